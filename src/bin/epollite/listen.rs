//! From a target on the command line to bound sockets: names resolved, stale Unix paths taken
//! over, live ones left alone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use epollite::kernel::release;
use epollite::server::{
    BindError, Sharing, bind_datagram, bind_datagram_everywhere, bind_stream,
    bind_stream_everywhere,
};
use epollite::{Addr, Errno, Family, Fd, Kernel, Kind, UnixAddr};

use crate::args::Target;
use crate::failure::Failure;

/// Where to listen, with names looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Port {
        transport: &'static str,
        addr: Addr,
    },
    /// A port of every address that this machine has, of IPv6 and of IPv4.
    Everywhere {
        transport: &'static str,
        port: u16,
    },
    Unix(UnixAddr),
}

/// A bound socket, and its address as people write it.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) fd: Fd,
    pub(crate) transport: &'static str,
    pub(crate) address: OsString,
    /// The file that a Unix socket leaves behind.
    pub(crate) file: Option<SocketFile>,
}

/// A Unix socket's file, by name and by identity: another server may have put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Looks the names up. Done before anything is bound, and before signals are blocked: a resolver
/// takes its time, and a user who ends the program then leaves nothing behind.
pub(crate) fn look_up(targets: &[Target]) -> Result<Vec<Place>, Failure> {
    let place = |transport, text: &str| {
        // No host is every host: of both families, as other servers have it.
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            return Ok(Place::Everywhere { transport, port });
        }
        // Of several the first: IPv4 stands before IPv6.
        let addr = resolve(text)?[0];
        Ok(Place::Port { transport, addr })
    };
    let places = targets.iter().map(|target| match target {
        Target::Tcp(text) => place("tcp", text),
        Target::Udp(text) => place("udp", text),
        Target::Unix(name) => Ok(Place::Unix(*name)),
    });
    places.collect()
}

impl Place {
    /// Whether clients connect here, each to a descriptor of its own.
    pub(crate) fn has_connections(&self) -> bool {
        match self {
            Self::Port { transport, .. } | Self::Everywhere { transport, .. } => {
                *transport != "udp"
            }
            Self::Unix(_) => true,
        }
    }
}

/// The sockets for one place: one, or one for each of `threads` that can share a port.
pub(crate) fn bind<K: Kernel>(
    kernel: &mut K,
    place: Place,
    threads: u32,
) -> Result<Vec<Bound>, Failure> {
    match place {
        Place::Port { transport, addr } => {
            let is_datagram = transport == "udp";
            let open = |kernel: &mut K, addr: &Addr, sharing| match is_datagram {
                true => bind_datagram(kernel, addr, sharing),
                false => bind_stream(kernel, addr, sharing),
            };
            bind_port(kernel, transport, addr, threads, open)
        }
        Place::Everywhere { transport, port } => {
            let is_datagram = transport == "udp";
            let open = |kernel: &mut K, addr: &Addr, sharing| {
                let port = addr.port().unwrap_or(0);
                match is_datagram {
                    true => bind_datagram_everywhere(kernel, port, sharing),
                    false => bind_stream_everywhere(kernel, port, sharing),
                }
            };
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into();
            bind_port(kernel, transport, any, threads, open)
        }
        Place::Unix(name) => bind_unix(kernel, name).map(|bound| vec![bound]),
    }
}

fn unavailable(address: &str, why: &str) -> Failure {
    Failure::new(Failure::UNAVAILABLE, format!("cannot listen on {address}: {why}"))
}

/// What a failed call means to people.
fn explain(addr: &Addr, error: BindError) -> String {
    match error.errno {
        Errno::EADDRINUSE => "the address is in use (EADDRINUSE)".into(),
        Errno::EACCES if matches!(addr, Addr::V4(_) | Addr::V6(_)) => {
            "not permitted; ports below 1024 are privileged (EACCES)".into()
        }
        Errno::EADDRNOTAVAIL => "no interface here has this address (EADDRNOTAVAIL)".into(),
        _ => error.to_string(),
    }
}

/// The addresses that a text names, one at least; those of IPv4 first, which is what
/// `127.0.0.1` finds when the server was given `localhost`.
pub(crate) fn resolve(text: &str) -> Result<Vec<Addr>, Failure> {
    if let Ok(addr @ (Addr::V4(_) | Addr::V6(_))) = text.parse() {
        return Ok(vec![addr]);
    }
    let unknown = || Failure::new(Failure::UNAVAILABLE, format!("unknown host in '{text}'"));
    let (host, port) = text.rsplit_once(':').ok_or_else(unknown)?;
    let port: u16 = port.parse().map_err(|_| unknown())?;
    // A scope may be an interface's name, which the resolver knows, without the brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut found: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|_| unknown())?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    if found.is_empty() {
        return Err(unknown());
    }
    Ok(found.into_iter().map(Addr::from).collect())
}

fn bind_port<K: Kernel>(
    kernel: &mut K,
    transport: &'static str,
    addr: Addr,
    threads: u32,
    open: impl Fn(&mut K, &Addr, Sharing) -> Result<(Fd, Addr), BindError>,
) -> Result<Vec<Bound>, Failure> {
    let open = |kernel: &mut K, addr: &Addr, sharing| {
        open(kernel, addr, sharing)
            .map_err(|error| unavailable(&format!("{transport} {addr}"), &explain(addr, error)))
    };
    let (fd, actual) = open(kernel, &addr, Sharing::Alone)?;
    let bound = |fd| Bound { fd, transport, address: actual.to_string().into(), file: None };
    if threads == 1 {
        return Ok(vec![bound(fd)]);
    }
    // Sharing would share with anybody of the same user who shares too, in silence. Having
    // had the port alone proves that nobody else was there a moment ago.
    release(kernel, fd);
    (0..threads).map(|_| open(kernel, &actual, Sharing::Shared).map(|(fd, _)| bound(fd))).collect()
}

/// A Unix socket's name as people write it, in text: a path that is no text by its bytes, as
/// `\xNN`.
pub(crate) fn path_text(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}

/// A stream socket on a Unix name; a dead server's file is taken over.
pub(crate) fn bind_unix<K: Kernel>(kernel: &mut K, name: UnixAddr) -> Result<Bound, Failure> {
    let addr = Addr::Unix(name);
    let Some(path) = name.as_path() else {
        let address = addr.to_string().trim_start_matches("unix:").to_owned();
        let (fd, _) = bind_stream(kernel, &addr, Sharing::Alone)
            .map_err(|error| unavailable(&format!("unix {address}"), &explain(&addr, error)))?;
        return Ok(Bound { fd, transport: "unix", address: address.into(), file: None });
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let address = path.as_os_str().to_owned();
    let failed = |why: &str| unavailable(&format!("unix {}", path_text(path)), why);
    // Of two servers that find the same dead socket, the slower one must not take away what
    // the faster one has just bound: one at a time.
    let turn = take_turn(path);
    let opened = match bind_stream(kernel, &addr, Sharing::Alone) {
        Err(BindError { errno: Errno::EADDRINUSE, .. }) if turn.is_err() => {
            return Err(failed("it exists, and another program holds a lock on its folder"));
        }
        Err(BindError { errno: Errno::EADDRINUSE, .. }) => {
            clear_away(kernel, path, &addr).map_err(|why| failed(&why))?;
            bind_stream(kernel, &addr, Sharing::Alone)
        }
        opened => opened,
    };
    let (fd, _) = opened.map_err(|error| failed(&explain(&addr, error)))?;
    let file = socket_file(&name);
    Ok(Bound { fd, transport: "unix", address, file })
}

/// The file of a bound socket, if its name is a path.
pub(crate) fn socket_file(name: &UnixAddr) -> Option<SocketFile> {
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_path()?));
    let meta = fs::symlink_metadata(path).ok()?;
    Some(SocketFile { path: path.to_owned(), device: meta.dev(), inode: meta.ino() })
}

/// Locks the folder that the socket is in, as long as what is returned lives. Somebody else's
/// lock is waited for, but not for ever; where locks cannot be had at all, none is.
fn take_turn(path: &Path) -> Result<Option<File>, Locked> {
    const TRIES: u32 = 100;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) else { return Ok(None) };
    for _ in 0..TRIES {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(fs::TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(Locked)
}

/// Somebody else holds the lock.
struct Locked;

/// Removes the socket that a dead server has left at `path`; says why not for anything else.
fn clear_away<K: Kernel>(kernel: &mut K, path: &Path, addr: &Addr) -> Result<(), String> {
    let meta = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !meta.file_type().is_socket() {
        return Err("the file exists and is not a socket".into());
    }
    let probe = kernel.socket(Family::Unix, Kind::Stream).map_err(|errno| errno.to_string())?;
    let answer = kernel.connect(&probe, addr);
    release(kernel, probe);
    match answer {
        Err(Errno::ECONNREFUSED) => {
            fs::remove_file(path).map_err(|error| format!("a dead server's socket: {error}"))
        }
        // It answered, or its queue is full, or it speaks datagrams: it lives.
        _ => Err("the address is in use (EADDRINUSE)".into()),
    }
}

/// The files of a server. They are removed when it begins to leave, while its listeners are
/// still open: as long as they are, nobody else's file can have the identity of ours.
#[derive(Default, Debug)]
pub(crate) struct SocketFiles(Vec<SocketFile>);

impl SocketFiles {
    pub(crate) fn extend(&mut self, file: Option<SocketFile>) {
        self.0.extend(file);
    }

    /// Leaves them to somebody else: after a fork they are the parent's.
    pub(crate) fn disown(&mut self) {
        self.0.clear();
    }

    pub(crate) fn remove(&mut self) {
        self.0.drain(..).for_each(SocketFile::remove);
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        self.remove();
    }
}

impl SocketFile {
    /// Removes the file, if it is still ours.
    fn remove(self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| meta.dev() == self.device && meta.ino() == self.inode);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}
