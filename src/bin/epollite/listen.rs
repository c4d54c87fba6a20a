//! From a target on the command line to bound sockets: resolves names, takes over stale Unix socket
//! paths and leaves live ones alone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use epollite::kernel::{CallError, SocketOption, SocketType, Syscall, close_quietly};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::server::{
    PortSharing, bind_datagram, bind_datagram_everywhere, bind_stream, bind_stream_everywhere,
};
use epollite::{Addr, Errno, Fd, Kernel};

use crate::args::Target;
use crate::exit::CliError;
use crate::small_map::sort_few;

/// Where to listen, with resolved names.
#[derive(Debug)]
pub(crate) enum Place {
    Port {
        transport: &'static str,
        addr: Addr,
        /// On all addresses of this machine, IPv6 and IPv4; only the port of `addr` counts.
        is_everywhere: bool,
    },
    Unix(UnixAddr),
    /// A socket from another process.
    Open(BoundSocket),
}

/// A bound socket, and its address as it is printed.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    pub(crate) fd: Fd,
    pub(crate) transport: &'static str,
    pub(crate) address: OsString,
    /// The file of a Unix socket, to be removed on shutdown.
    pub(crate) file: Option<SocketFile>,
}

/// A Unix socket's file, by path and inode: another server may have replaced it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Resolves the names. Done before anything is bound and before signals are blocked: a resolver may
/// take long, and an interrupt during that time leaves no socket file behind.
pub(crate) fn look_up(targets: &[Target]) -> Result<Vec<Place>, CliError> {
    let place = |transport, text: &str| {
        // Without a host it listens on all addresses of both families, as other servers do.
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            let addr = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into();
            return Ok(Place::Port { transport, addr, is_everywhere: true });
        }
        // The first of several addresses: IPv4 is sorted before IPv6.
        let addr = resolve(text)?[0];
        Ok(Place::Port { transport, addr, is_everywhere: false })
    };
    let places = targets.iter().map(|target| match target {
        Target::Tcp(text) => place("tcp", text),
        Target::Udp(text) => place("udp", text),
        Target::Unix(name) => Ok(Place::Unix(*name)),
    });
    places.collect()
}

impl Place {
    /// Whether the socket is from another process.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// The transport and address of a socket from another process.
    pub(crate) fn open_address(&self) -> Option<(&'static str, &OsString)> {
        match self {
            Self::Open(bound) => Some((bound.transport, &bound.address)),
            _ => None,
        }
    }

    /// Whether clients connect here, each with a descriptor of its own.
    pub(crate) fn has_connections(&self) -> bool {
        match self {
            Self::Port { transport, .. } => *transport != "udp",
            Self::Unix(_) => true,
            Self::Open(bound) => bound.has_connections(),
        }
    }
}

impl BoundSocket {
    /// Whether clients connect to it.
    pub(crate) fn has_connections(&self) -> bool {
        !["udp", "unix-datagram"].contains(&self.transport)
    }
}

/// The sockets for one place: one, or one for each of `threads` that can share a port.
/// `socket_buffer_bytes` is for the connections of a TCP listener.
pub(crate) fn bind(
    kernel: &mut dyn Kernel,
    place: Place,
    threads: u32,
    socket_buffer_bytes: Option<u32>,
) -> Result<Vec<BoundSocket>, CliError> {
    let bounds = match place {
        Place::Port { transport, addr, is_everywhere } => {
            bind_port(kernel, transport, addr, is_everywhere, threads)?
        }
        Place::Unix(name) => vec![bind_unix(kernel, name)?],
        Place::Open(bound) => vec![bound],
    };
    if let Some(bytes) = socket_buffer_bytes {
        for bound in bounds.iter().filter(|bound| bound.transport == "tcp") {
            set_buffers(kernel, bound, bytes)?;
        }
    }
    Ok(bounds)
}

/// Connections inherit the sizes from the listener, and the kernel no longer changes them: tcp(7).
fn set_buffers(kernel: &mut dyn Kernel, bound: &BoundSocket, bytes: u32) -> Result<(), CliError> {
    for option in [SocketOption::ReceiveBufferBytes(bytes), SocketOption::SendBufferBytes(bytes)] {
        kernel.setsockopt(&bound.fd, option).map_err(|errno| {
            let address = format!("tcp {}", bound.address.display());
            bind_failure(&address, CallError { call: Syscall::Setsockopt, errno }, true)
        })?;
    }
    Ok(())
}

/// The call, its address and its error: `bind tcp 127.0.0.1:80: EACCES: …`.
fn bind_failure(address: &str, CallError { call, errno }: CallError, is_port: bool) -> CliError {
    let why = match errno {
        Errno::EACCES if is_port => "EACCES: ports below 1024 are privileged".into(),
        Errno::EADDRNOTAVAIL => "EADDRNOTAVAIL: no interface here has this address".into(),
        _ => errno.to_string(),
    };
    path_failure(call, address, &why)
}

fn path_failure(call: Syscall, address: &str, why: &str) -> CliError {
    CliError::new(CliError::UNAVAILABLE, format!("{} {address}: {why}", call.name()))
}

/// The addresses of a name, at least one; IPv4 first, so that `127.0.0.1` connects when the server
/// was started with `localhost`.
pub(crate) fn resolve(text: &str) -> Result<Vec<Addr>, CliError> {
    if let Ok(addr @ (Addr::V4(_) | Addr::V6(_))) = text.parse() {
        return Ok(vec![addr]);
    }
    let unknown = || CliError::new(CliError::UNAVAILABLE, format!("unknown host in '{text}'"));
    let (host, port) = text.rsplit_once(':').ok_or_else(unknown)?;
    let port: u16 = port.parse().map_err(|_| unknown())?;
    // A scope may be an interface name, which the resolver accepts without the brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut found: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|_| unknown())?.collect();
    sort_few(&mut found, SocketAddr::is_ipv6);
    found.dedup();
    if found.is_empty() {
        return Err(unknown());
    }
    Ok(found.into_iter().map(Addr::from).collect())
}

fn bind_port(
    kernel: &mut dyn Kernel,
    transport: &'static str,
    addr: Addr,
    is_everywhere: bool,
    threads: u32,
) -> Result<Vec<BoundSocket>, CliError> {
    let open = |mut kernel: &mut dyn Kernel, addr: &Addr, sharing| {
        let port = addr.port().unwrap_or(0);
        let opened = match (transport, is_everywhere) {
            ("udp", true) => bind_datagram_everywhere(&mut kernel, port, sharing),
            ("udp", false) => bind_datagram(&mut kernel, addr, sharing),
            (_, true) => bind_stream_everywhere(&mut kernel, port, sharing),
            (_, false) => bind_stream(&mut kernel, addr, sharing),
        };
        opened.map_err(|error| bind_failure(&format!("{transport} {addr}"), error, true))
    };
    let (fd, actual) = open(kernel, &addr, PortSharing::Exclusive)?;
    let bound = |fd| BoundSocket { fd, transport, address: actual.to_string().into(), file: None };
    if threads == 1 {
        return Ok(vec![bound(fd)]);
    }
    // Any process of the same user with SO_REUSEPORT could share the port unnoticed. An exclusive
    // bind just before proves that the port was free.
    close_quietly(kernel, fd);
    (0..threads)
        .map(|_| open(kernel, &actual, PortSharing::ReusePort).map(|(fd, _)| bound(fd)))
        .collect()
}

/// The listener of `--metrics`.
pub(crate) fn bind_metrics(kernel: &mut dyn Kernel, text: &str) -> Result<BoundSocket, CliError> {
    let place = look_up(&[Target::Tcp(text.to_owned())])?.remove(0);
    Ok(bind(kernel, place, 1, None)?.remove(0))
}

/// A Unix socket's path as text; a path that is not valid UTF-8 with its bytes as `\xNN`.
pub(crate) fn path_text(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}

/// A stream socket on a Unix name; the stale file of a dead server is replaced.
pub(crate) fn bind_unix(
    mut kernel: &mut dyn Kernel,
    name: UnixAddr,
) -> Result<BoundSocket, CliError> {
    let addr = Addr::Unix(name);
    let Some(path) = name.as_path() else {
        let address = addr.to_string().trim_start_matches("unix:").to_owned();
        let (fd, _) = bind_stream(&mut kernel, &addr, PortSharing::Exclusive)
            .map_err(|error| bind_failure(&format!("unix {address}"), error, false))?;
        return Ok(BoundSocket { fd, transport: "unix", address: address.into(), file: None });
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let address = path.as_os_str().to_owned();
    let shown = format!("unix {}", path_text(path));
    let failed = |why: &str| path_failure(Syscall::Bind, &shown, why);
    // Two servers may find the same stale socket. The lock serializes them, so that the slower one
    // does not remove the socket that the faster one has just bound.
    let lock = lock_directory(path);
    let opened = match bind_stream(&mut kernel, &addr, PortSharing::Exclusive) {
        Err(CallError { errno: Errno::EADDRINUSE, .. }) if lock.is_err() => {
            return Err(failed("it exists, and another program holds a lock on its folder"));
        }
        Err(CallError { errno: Errno::EADDRINUSE, .. }) => {
            unlink_stale(kernel, path, &addr).map_err(|why| failed(&why))?;
            bind_stream(&mut kernel, &addr, PortSharing::Exclusive)
        }
        opened => opened,
    };
    let (fd, _) = opened.map_err(|error| bind_failure(&shown, error, false))?;
    let file = socket_file(&name);
    Ok(BoundSocket { fd, transport: "unix", address, file })
}

/// The address of a socket as it is printed: a path as it is, not as text.
pub(crate) fn socket_address(addr: &Addr) -> OsString {
    match addr {
        Addr::Unix(name) => name.as_path().map_or_else(
            || addr.to_string().trim_start_matches("unix:").into(),
            |path| std::ffi::OsStr::from_bytes(path).to_owned(),
        ),
        addr => addr.to_string().into(),
    }
}

/// The file of a bound socket, if its name is a path.
pub(crate) fn socket_file(name: &UnixAddr) -> Option<SocketFile> {
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_path()?));
    let meta = fs::symlink_metadata(path).ok()?;
    Some(SocketFile { path: path.to_owned(), device: meta.dev(), inode: meta.ino() })
}

/// Locks the directory of the socket, until the result is dropped. Waits a limited time for another
/// process's lock, which is the error; where locking is not supported, no lock is taken.
fn lock_directory(path: &Path) -> Result<Option<File>, ()> {
    const LOCK_ATTEMPTS: u32 = 100;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) else { return Ok(None) };
    for _ in 0..LOCK_ATTEMPTS {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(fs::TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(())
}

/// Removes the stale socket of a dead server at `path`; anything else is an error with the reason.
fn unlink_stale(kernel: &mut dyn Kernel, path: &Path, addr: &Addr) -> Result<(), String> {
    let meta = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !meta.file_type().is_socket() {
        return Err("the file exists and is not a socket".into());
    }
    let probe = kernel
        .socket(AddressFamily::Unix, SocketType::Stream)
        .map_err(|errno| errno.to_string())?;
    let result = kernel.connect(&probe, addr);
    close_quietly(kernel, probe);
    match result {
        Err(Errno::ECONNREFUSED) => {
            fs::remove_file(path).map_err(|error| format!("a dead server's socket: {error}"))
        }
        // It accepted, or its backlog is full, or it is a datagram socket: the server is alive.
        _ => Err("the address is in use (EADDRINUSE)".into()),
    }
}

/// The socket files of a server. They are removed when shutdown begins, while its listeners are
/// still open: until then no other file can have the same inode.
#[derive(Default, Debug)]
pub(crate) struct SocketFiles {
    files: Vec<SocketFile>,
    /// Whether they are those of a predecessor, which still serves.
    are_lent: bool,
}

impl SocketFiles {
    pub(crate) fn extend(&mut self, file: Option<SocketFile>) {
        self.files.extend(file);
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(SocketFile::path)
    }

    /// Until they are given, the files are those of another server: none is removed.
    pub(crate) const fn lend(&mut self) {
        self.are_lent = true;
    }

    pub(crate) const fn give(&mut self) {
        self.are_lent = false;
    }

    /// Forgets the files without removing them: after a fork they are the parent's.
    pub(crate) fn forget(&mut self) {
        self.files.clear();
    }

    pub(crate) fn remove(&mut self) {
        let are_ours = !self.are_lent;
        self.files.drain(..).filter(|_| are_ours).for_each(SocketFile::remove);
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        self.remove();
    }
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, if it is still ours.
    fn remove(self) {
        let is_same = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| meta.dev() == self.device && meta.ino() == self.inode);
        if is_same {
            let _ = fs::remove_file(&self.path);
        }
    }
}
