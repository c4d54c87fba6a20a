//! A process as `/proc` shows it: its open descriptors, and the interest list of each epoll.
//!
//! Knows files of `/proc` and kcmp(2), and not what a fault is.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use epollite::audit::{
    EpollEntry, FileId, FileKind, OpenFile, Target, WatchedEpoll, parse_fdinfo, target_of,
};

use super::sockets::{SocketInfo, SocketTable};
use crate::exit::CliError;
use crate::models::is_file_watched;
use crate::output::columns::one_line;

/// A process at one moment. (It is not stopped: two files may be of different moments.)
#[derive(Debug)]
pub(super) struct ProcessState {
    pub(super) pid: u32,
    /// Its command, as in `/proc/PID/comm`.
    pub(super) command: String,
    pub(super) epolls: Vec<WatchedEpoll>,
    pub(super) descriptors: Vec<Descriptor>,
    /// Whether its epolls are those of a [`Reactor`](epollite::Reactor): then data is a token.
    pub(super) has_tokens: bool,
}

/// An open descriptor.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) open: OpenFile,
    /// What it is, in words.
    pub(super) text: String,
}

/// The data of the entry that a reactor makes for its waker.
const WAKER_DATA: u64 = u64::MAX;

impl ProcessState {
    /// Reads `/proc/PID`.
    ///
    /// # Errors
    /// No such process, it has ended, or no permission to inspect it.
    pub(super) fn read(pid: u32) -> Result<Self, CliError> {
        let thread = living_thread(pid)?;
        let folder = format!("/proc/{thread}");
        let failed = |error: &io::Error| CliError::run(failure(pid, &folder, error));
        let mut numbers = Vec::new();
        for entry in fs::read_dir(format!("{folder}/fd")).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            numbers.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        let sockets = SocketTable::read(&folder);
        let mut epoll_fds = Vec::new();
        let mut descriptors = Vec::new();
        for fd in numbers {
            let path = format!("{folder}/fd/{fd}");
            let link = match fs::read_link(&path) {
                Ok(link) => link.to_string_lossy().into_owned(),
                // Closed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&error)),
            };
            let Ok(meta) = fs::metadata(&path) else { continue };
            let file = FileId { inode: meta.ino(), device: meta.dev() };
            descriptors.push(describe(fd, file, &link, &sockets));
            epoll_fds.extend((link == "anon_inode:[eventpoll]").then_some(fd));
        }
        let mut epolls = Vec::new();
        for fd in epoll_fds {
            if let Some(entries) = read_entries(&folder, fd)? {
                epolls.push(resolve(thread, fd, entries, &descriptors));
            }
        }
        // While it ends, its folder empties: what was read then is of no process.
        if has_ended(thread) || !Path::new(&folder).exists() {
            return Err(CliError::run(format!("process {pid} has ended while it was read")));
        }
        let mut entries = epolls.iter().flat_map(|epoll: &WatchedEpoll| &epoll.entries);
        let has_waker = entries.any(|(entry, _)| entry.data == WAKER_DATA);
        // A name is bytes.
        let command = fs::read(format!("{folder}/comm")).unwrap_or_default();
        let command = one_line(String::from_utf8_lossy(&command).trim_end_matches('\n'));
        let has_tokens = has_waker || is_this_program(&folder);
        Ok(Self { pid, command, epolls, descriptors, has_tokens })
    }

    pub(super) fn open_files(&self) -> Vec<OpenFile> {
        self.descriptors.iter().map(|descriptor| descriptor.open).collect()
    }

    /// What descriptor `fd` is, in words.
    pub(super) fn text(&self, fd: u32) -> Option<&str> {
        find(&self.descriptors, fd).map(|descriptor| descriptor.text.as_str())
    }
}

/// The descriptor of this number; they are in order.
fn find(descriptors: &[Descriptor], fd: u32) -> Option<&Descriptor> {
    let at = descriptors.binary_search_by_key(&fd, |descriptor| descriptor.open.fd).ok()?;
    Some(&descriptors[at])
}

fn failure(pid: u32, folder: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !Path::new("/proc/self").exists() => {
            format!("{folder}: {error}: there is no /proc here")
        }
        io::ErrorKind::NotFound if !Path::new(folder).exists() => format!("no such process: {pid}"),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to inspect process {pid}: be its user, or have CAP_SYS_PTRACE")
        }
        _ => format!("{folder}: {error}"),
    }
}

/// A thread that has descriptors: the first one may have ended before the others. What cannot be
/// read is no error here.
fn living_thread(pid: u32) -> Result<u32, CliError> {
    if !has_ended(pid) {
        return Ok(pid);
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut threads = threads.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let living = threads.find(|thread| !has_ended(*thread));
    living.ok_or_else(|| {
        CliError::run(format!("process {pid} has ended; its parent has not waited for it yet"))
    })
}

/// Whether a thread is a zombie, or on the way to be one: its descriptors are closed before.
///
/// Man page: proc_pid_stat(5). Reference: include/linux/sched.h: `PF_EXITING`
fn has_ended(thread: u32) -> bool {
    const EXITING: u32 = 4;
    const FLAGS_COLUMN: usize = 6;
    let stat = fs::read(format!("/proc/{thread}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything.
    let stat = String::from_utf8_lossy(&stat);
    let Some((_, columns)) = stat.rsplit_once(") ") else { return false };
    let flags = columns.split(' ').nth(FLAGS_COLUMN).and_then(|it| it.parse::<u32>().ok());
    columns.starts_with(['Z', 'X']) || flags.is_some_and(|flags| flags & EXITING != 0)
}

/// Whether the process runs a program of this name.
fn is_this_program(folder: &str) -> bool {
    let name = |path: &Path| path.file_name().map(std::ffi::OsStr::to_owned);
    let its = fs::read_link(format!("{folder}/exe")).ok();
    let its = its.as_deref().and_then(name);
    let own = std::env::current_exe().ok();
    its.is_some() && its == own.as_deref().and_then(name)
}

/// The interest list of the epoll `fd`, unless it has been closed.
fn read_entries(folder: &str, fd: u32) -> Result<Option<Vec<EpollEntry>>, CliError> {
    let path = format!("{folder}/fdinfo/{fd}");
    match fs::read_to_string(&path) {
        Ok(text) => match parse_fdinfo(&text) {
            Ok(entries) => Ok(Some(entries)),
            Err(error) => Err(CliError::run(format!("{path}: {error}"))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::run(format!("{path}: {error}"))),
    }
}

/// Decides for each entry what its number stands for: by kcmp(2), which compares files; where that
/// is not permitted, by the inode.
fn resolve(
    pid: u32,
    epoll: u32,
    entries: Vec<EpollEntry>,
    descriptors: &[Descriptor],
) -> WatchedEpoll {
    let mut seen: HashMap<u32, u32> = HashMap::new();
    let entries = entries.into_iter().map(|entry| {
        let count = seen.entry(entry.fd).or_default();
        let nth = *count;
        *count += 1;
        let open = find(descriptors, entry.fd).map(|descriptor| &descriptor.open);
        let by_inode = target_of(&entry, open);
        let target = match is_file_watched(pid.cast_signed(), entry.fd, epoll, entry.fd, nth) {
            Ok(true) => Target::Watched,
            Ok(false) => Target::Reused,
            Err(_) => by_inode,
        };
        (entry, target)
    });
    WatchedEpoll { fd: epoll, entries: entries.collect() }
}

/// What a link of `/proc/PID/fd` means.
fn describe(fd: u32, file: FileId, link: &str, sockets: &SocketTable) -> Descriptor {
    let open = OpenFile { fd, file, kind: FileKind::Other, send_queue_bytes: None };
    if link.starts_with("socket:[") {
        let kind = FileKind::Socket;
        let SocketInfo { text, send_queue_bytes } = match sockets.get(file.inode) {
            Some(info) => info.clone(),
            // A TCP socket that is closed, or not bound yet, is in no table.
            None => SocketInfo { text: "socket, not connected".into(), send_queue_bytes: None },
        };
        return Descriptor { open: OpenFile { kind, send_queue_bytes, ..open }, text };
    }
    if let Some(name) = link.strip_prefix("anon_inode:") {
        let name = name.trim_matches(['[', ']']);
        let text = if name == "eventpoll" { "epoll" } else { name };
        let kind = FileKind::Anonymous;
        return Descriptor { open: OpenFile { kind, ..open }, text: one_line(text) };
    }
    let text = if link.starts_with("pipe:[") { "pipe".into() } else { one_line(link) };
    Descriptor { open, text }
}
