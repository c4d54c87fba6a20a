//! `examine`: a black-box conformance suite for any echo server. Here are what is examined and the
//! order of events.
//!
//! ```text
//!   record, junit, page   the results as JSON, as JUnit XML, as a table     pure data
//!   run                   runs cases, looks after the server in between
//!   cases                 what is done, what is right, and why
//!   case, context         what a case consists of, and works with
//!   subject               the server: its address, its process
//!   client, datagram      clients, whose every call has a deadline
//!   vitals                what the kernel says about processes              reads /proc
//!   wait, payload, failure
//! ```
//!
//! A case is ordinary use of sockets, which a right server survives. Whether a server is right is
//! decided by deadlines, by counts and by the time that its threads are runnable, which a busy
//! machine does not change; never by how long something took.

mod case;
mod cases;
pub(crate) mod client;
mod context;
pub(crate) mod datagram;
pub(crate) mod failure;
mod junit;
mod page;
pub(crate) mod payload;
mod record;
mod run;
mod subject;
mod vitals;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use socket2::SockAddr;

pub use junit::junit;
pub use page::markdown;
pub use record::{Examination, Examined, Outcome, SCHEMA, Status};

use crate::case::Transport;
use case::Case;
use failure::Stop;
use run::Rules;
use subject::Subject;

/// Which cases run, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Words of which one must be in a case's name; all cases without one.
    pub(crate) only: Vec<String>,
    /// Words of which none may be in it.
    pub(crate) except: Vec<String>,
    /// Per case.
    pub(crate) timeout: Duration,
    /// The server serves one client at a time.
    pub(crate) is_sequential: bool,
    /// How many times a case that fails runs again, so that its failure can be said to repeat.
    pub(crate) again: u32,
}

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// It runs already. With the path of a Unix socket.
    Running(SockAddr, Option<PathBuf>),
    /// It is started by this command.
    Command(String),
}

/// How an examination ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// All cases ran.
    Complete(Vec<Outcome>),
    /// A signal was received.
    Interrupted(Vec<Outcome>),
}

impl Plan {
    fn cases(&self, transport: Transport) -> Vec<Case> {
        let has = |words: &[String], case: &Case| {
            words.iter().any(|word| case.full_name().contains(word.as_str()))
        };
        let is_chosen = |case: &Case| {
            (self.only.is_empty() || has(&self.only, case)) && !has(&self.except, case)
        };
        cases::all().into_iter().filter(|it| it.on.includes(transport) && is_chosen(it)).collect()
    }

    /// How many cases there are for a transport.
    pub(crate) fn len(&self, transport: Transport) -> usize {
        self.cases(transport).len()
    }
}

/// Examines one server; `show` receives each result. Fails if it cannot be started or connected to.
pub(crate) fn examine(
    place: &Place,
    transport: Transport,
    plan: &Plan,
    mut show: impl FnMut(&Outcome) -> Result<()>,
) -> Result<Ending> {
    let mut subject = match place {
        Place::Running(addr, path) => Subject::running(transport, addr.clone(), path.clone()),
        Place::Command(command) => Subject::start(command, transport)?,
    };
    let mut outcomes = Vec::new();
    let rules = Rules { timeout: plan.timeout, is_sequential: plan.is_sequential };
    match run::prepare(&mut subject, rules) {
        Ok(()) => {}
        Err(Stop::Interrupted) => return Ok(Ending::Interrupted(outcomes)),
        Err(Stop::Wrong(why)) if !why.contains(client::CANNOT_CONNECT) => {
            let outcome = run::first_client_failed(why);
            show(&outcome)?;
            return Ok(Ending::Complete(vec![outcome]));
        }
        Err(Stop::Wrong(why) | Stop::Skipped(why)) => return Err(anyhow!(why)),
    }
    for case in plan.cases(transport) {
        let Ok(outcome) = run::run_again(&case, &mut subject, rules, plan.again) else {
            return Ok(Ending::Interrupted(outcomes));
        };
        show(&outcome)?;
        outcomes.push(outcome);
    }
    Ok(Ending::Complete(outcomes))
}

/// Cases that show whether the bytes of a server are right, in a second or two: some lengths, many
/// clients, and ends whose echo is read late.
const BYTES: [&str; 7] = [
    "bytes/1023",
    "bytes/65537",
    "bytes/8-mib",
    "bytes/clients-do-not-mix",
    "half-close/at-once",
    "half-close/late-1-mib",
    "half-close/late-8-mib",
];

/// How long each of them may take.
const BYTES_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server of streams gets wrong of its bytes: name and reason of each case. A case in which
/// it ended, or after which it served no other client, is not told. Fails if it cannot be started.
pub(crate) fn wrong_bytes(
    command: &str,
    transport: Transport,
    is_sequential: bool,
) -> Result<Vec<(String, String)>> {
    let plan = Plan {
        only: BYTES.map(str::to_owned).to_vec(),
        except: Vec::new(),
        timeout: BYTES_TIMEOUT,
        is_sequential,
        again: 0,
    };
    let place = Place::Command(command.to_owned());
    let (Ending::Complete(cases) | Ending::Interrupted(cases)) =
        examine(&place, transport, &plan, |_| Ok(()))?;
    let failed = cases.into_iter().filter(|it| it.status == Status::Failed && !it.server_lost);
    Ok(failed.map(|it| (it.name, it.why.unwrap_or_default())).collect())
}

/// All cases: name, transports, what is right and why.
pub(crate) fn list(plan: &Plan, transports: &[Transport]) -> String {
    let is_listed = |case: &Case| transports.iter().any(|&it| case.on.includes(it));
    let mut text = String::new();
    let has = |words: &[String], name: &str| words.iter().any(|word| name.contains(word.as_str()));
    for case in cases::all().iter().filter(|case| is_listed(case)) {
        let name = case.full_name();
        if has(&plan.except, &name) || !(plan.only.is_empty() || has(&plan.only, &name)) {
            continue;
        }
        let needs = if case.needs_process { ", with --start" } else { "" };
        text += &format!(
            "{name} ({}{needs})\n    {}\n    {}\n",
            case.on.text(),
            case.right,
            case.because
        );
    }
    text
}
