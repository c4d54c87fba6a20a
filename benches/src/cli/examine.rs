//! `epollite-bench examine`: the arguments, the table, and what is written.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use epollite::Addr;
use socket2::SockAddr;

use super::target;
use crate::case::{self, Case, Transport};
use crate::examine::{
    Ending, Examination, Examined, Outcome, Place, Plan, SCHEMA, Status, examine, junit, list,
    markdown,
};
use crate::exit::{self, Usage};
use crate::interrupt;
use crate::output::{self, print, print_error};
use crate::schema::Origin;
use crate::server;
use crate::servers::{self, Builder};
use crate::table::folded;
use crate::units;
use crate::{atomic_file, host};

/// Descriptors for the clients of a case, and as many for the server.
const DESCRIPTORS: u64 = 4096;

/// Examines an echo server: is each byte right, whatever its clients do.
///
/// Each case is ordinary use of sockets, which a right server survives. After each one a new client
/// must be served; with --start the server must also have closed all sockets, waited for its
/// children, come to rest, and kept its memory and its log short. Exit codes: 0 all right; 1 a case
/// fails; 2 bad arguments; 69 no server; 130 interrupted.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The server: ADDRESS:PORT, [IPV6]:PORT or NAME:PORT; unix:PATH
    #[arg(value_name = "ADDR")]
    addr: Option<OsString>,
    /// Starts the server, and examines its process too; {port} becomes a free port, and {path} a
    /// path
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["addr", "unix"])]
    start: Option<String>,
    /// Examines servers that this program knows, separated by commas: names, models, peers, all
    #[arg(long, value_name = "NAME", value_delimiter = ',',
          conflicts_with_all = ["addr", "unix", "start", "udp"])]
    servers: Vec<String>,
    /// With --servers: the epollite program, instead of building it
    #[arg(long, value_name = "FILE", requires = "servers")]
    program: Option<PathBuf>,
    /// The server echoes datagrams
    #[arg(long, conflicts_with = "unix")]
    udp: bool,
    /// The server is at a Unix socket: a path, or a name that begins with @
    #[arg(long, value_name = "PATH", conflicts_with = "addr")]
    unix: Option<OsString>,
    /// Runs only cases whose name contains one of these words, separated by commas
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    only: Vec<String>,
    /// Leaves out cases whose name contains one of these words
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    except: Vec<String>,
    /// Lists the cases: what is right, and which document says so
    #[arg(long)]
    list: bool,
    /// The server serves one client at a time: cases that need more are skipped
    #[arg(long)]
    one_client: bool,
    /// How long a case may take
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = units::nonzero_duration)]
    timeout: Duration,
    /// A case that fails runs so many times again, and its reason says how often it failed
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    again: u32,
    /// Prints only failures and the sum
    #[arg(short, long)]
    quiet: bool,
    /// Also writes the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also writes the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also writes a page about the servers to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Examines nothing: takes the results from this file, written with --json
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["addr", "unix", "start", "servers", "list"])]
    from: Option<PathBuf>,
}

/// One server with one transport.
struct Subject {
    name: String,
    version: Option<String>,
    transport: Transport,
    place: Place,
    is_sequential: bool,
    /// Whether it is the software of others, of which is not recorded in which case it ended.
    is_others: bool,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.from {
        let found = Examination::read(path).map_err(Usage::new)?;
        write(args, &found)?;
        return Ok(code(&found));
    }
    let plan = Plan {
        only: args.only.clone(),
        except: args.except.clone(),
        timeout: args.timeout,
        is_sequential: args.one_client,
        again: args.again,
    };
    if args.list {
        let all = [Transport::Tcp, Transport::Udp, Transport::Unix];
        return print(&folded(&list(&plan, &all))).map(|()| 0);
    }
    for path in [&args.json, &args.junit, &args.markdown].into_iter().flatten() {
        output::check_writable(Some(path)).map_err(Usage::new)?;
    }
    interrupt::install_handlers()?;
    server::raise_file_limit(DESCRIPTORS).context("cannot raise the limit of open files")?;
    let mut found = Examination {
        schema: SCHEMA,
        date: host::date(),
        kernel: host::kernel(),
        servers: Vec::new(),
        absent: Vec::new(),
    };
    let subjects = subjects(args, &mut found)?;
    if subjects.iter().all(|subject| plan.len(subject.transport) == 0) {
        let why = "no case has such a name: --list shows all";
        return Err(Usage::new(anyhow::anyhow!(why)).into());
    }
    let mut interrupted = false;
    for subject in subjects {
        interrupted = examine_one(args, &plan, subject, &mut found)?;
        if interrupted {
            print_error("interrupted; the results so far are kept");
            break;
        }
    }
    write(args, &found)?;
    let is_absent =
        !found.absent.is_empty() && !args.servers.is_empty() && found.servers.is_empty();
    Ok(match (interrupted, code(&found)) {
        (true, _) => interrupt::EXIT_CODE,
        (false, 0) if is_absent => exit::UNAVAILABLE,
        (false, code) => code,
    })
}

/// Examines one server, prints its table, and keeps its results; whether a signal was received.
fn examine_one(
    args: &Args,
    plan: &Plan,
    subject: Subject,
    found: &mut Examination,
) -> Result<bool> {
    let title = format!("{}, {}", subject.name, transport_name(subject.transport));
    if !args.quiet {
        print(&folded(&format!("{title}\n")))?;
    }
    let plan = Plan { is_sequential: plan.is_sequential || subject.is_sequential, ..plan.clone() };
    let show = |outcome: &Outcome| {
        let is_shown = !args.quiet || outcome.status == Status::Failed;
        if is_shown { print(&row(outcome)) } else { Ok(()) }
    };
    let ending = examine(&subject.place, subject.transport, &plan, show);
    let (cases, interrupted) = match ending.with_context(|| subject.name.clone())? {
        Ending::Complete(cases) => (cases, false),
        Ending::Interrupted(cases) => (cases, true),
    };
    let Subject { name: server, version, transport, .. } = subject;
    let examined = Examined { server, version, transport, cases, was_lost: false };
    let [right, wrong, skipped] =
        [Status::Ok, Status::Failed, Status::Skipped].map(|status| examined.count(status));
    print(&folded(&format!("{title}: {right} right, {wrong} wrong, {skipped} skipped\n")))?;
    found.servers.push(if subject.is_others { examined.redacted() } else { examined });
    Ok(interrupted)
}

/// Which servers, from the arguments.
fn subjects(args: &Args, found: &mut Examination) -> Result<Vec<Subject>> {
    if !args.servers.is_empty() {
        return known_servers(args, found);
    }
    let one = |name: String, transport, place| Subject {
        name,
        version: None,
        transport,
        place,
        is_sequential: false,
        is_others: false,
    };
    let usage = |why: String| Usage::new(anyhow::anyhow!(why));
    if let Some(command) = &args.start {
        let transport = match (args.udp, command.contains("{path}"), command.contains("{port}")) {
            (true, false, true) => Transport::Udp,
            (false, true, false) => Transport::Unix,
            (false, false, true) => Transport::Tcp,
            _ => {
                let why = "--start: the command needs {port}, or {path} for a Unix socket";
                return Err(usage(why.to_owned()).into());
            }
        };
        if shlex::split(command).is_none() {
            return Err(usage(format!("--start: unterminated quote in `{command}`")).into());
        }
        let name = command.clone();
        return Ok(vec![one(name, transport, Place::Command(command.clone()))]);
    }
    let (text, transport) = match (&args.addr, &args.unix) {
        (Some(addr), _) if args.udp => (addr, Transport::Udp),
        (Some(addr), _) => (addr, Transport::Tcp),
        (None, Some(path)) => (path, Transport::Unix),
        (None, None) => {
            return Err(usage("give an address, --unix, --start or --servers".to_owned()).into());
        }
    };
    let targets = target::parse(text, transport).map_err(usage)?;
    let addr = targets.first().context("a name has an address")?.addr();
    let transport = if matches!(addr, Addr::Unix(_)) { Transport::Unix } else { transport };
    let (addr, path) = socket_addr(addr).map_err(Usage::new)?;
    Ok(vec![one(text.to_string_lossy().into_owned(), transport, Place::Running(addr, path))])
}

/// The address for the system calls, and the path of a Unix socket.
fn socket_addr(addr: Addr) -> Result<(SockAddr, Option<PathBuf>)> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let Addr::Unix(unix) = addr else {
        let addr = std::net::SocketAddr::try_from(addr);
        return Ok((addr.map_err(|_| anyhow::anyhow!("not an IP address"))?.into(), None));
    };
    if let Some(path) = unix.as_path() {
        let path = PathBuf::from(OsStr::from_bytes(path));
        return Ok((SockAddr::unix(&path)?, Some(path)));
    }
    let Some(name) = unix.as_abstract() else { bail!("a Unix socket has a name") };
    let name = [&[0], name].concat();
    Ok((SockAddr::unix(OsStr::from_bytes(&name))?, None))
}

/// The known servers, built; with each transport that they support.
fn known_servers(args: &Args, found: &mut Examination) -> Result<Vec<Subject>> {
    let entries = servers::select(&args.servers, &[]).map_err(Usage::new)?;
    let mut builder = Builder::new(args.program.clone()).map_err(Usage::new)?;
    let mut subjects = Vec::new();
    for entry in entries {
        let built = match builder.build(&entry) {
            Ok(built) => built,
            Err(why) => {
                print_error(format!("{}: {why}", entry.name));
                found.absent.push((entry.name, why));
                continue;
            }
        };
        for name in ["ping", "udp", "unix"] {
            let case = Case::find(case::all(), name).map_err(|why| anyhow::anyhow!(why))?;
            let Ok(command) = built.command(&case) else { continue };
            subjects.push(Subject {
                name: entry.name.clone(),
                version: built.about.version.clone(),
                transport: case.transport,
                place: Place::Command(command.to_owned()),
                is_sequential: entry.name == servers::SEQUENTIAL,
                is_others: entry.origin == Origin::Peer,
            });
        }
    }
    Ok(subjects)
}

/// A row of the table, and what was found below it.
fn row(outcome: &Outcome) -> String {
    let word = match outcome.status {
        Status::Ok => "ok",
        Status::Failed => "FAIL",
        Status::Skipped => "skipped",
    };
    let time = if outcome.status == Status::Skipped {
        String::new()
    } else {
        units::time(outcome.seconds * 1e9)
    };
    let mut text =
        format!("  {:<44}{word:<8}{time:>10}", outcome.name).trim_end().to_owned() + "\n";
    if let Some(why) = &outcome.why {
        text += &format!("      {why}\n");
    }
    if outcome.status == Status::Failed {
        text += &format!("      right: {}\n      {}\n", outcome.right, outcome.because);
    }
    folded(&text)
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Unix => "Unix",
    }
}

fn write(args: &Args, found: &Examination) -> Result<()> {
    if let Some(path) = &args.json {
        found.write(path)?;
    }
    let texts = [(&args.junit, junit as fn(&Examination) -> String), (&args.markdown, markdown)];
    for (path, text) in texts {
        if let Some(path) = path {
            atomic_file::write(path, &text(found))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

fn code(found: &Examination) -> u8 {
    let is_wrong = found.servers.iter().any(|server| server.count(Status::Failed) > 0);
    if is_wrong || found.servers.iter().any(|server| server.was_lost) { exit::FAILED } else { 0 }
}
