//! What connections do to each other: they keep others waiting, end them, or alter their bytes.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::stream::{Stream, echo};

/// The connections that are served: a number for each in the order in which they came, with its
/// descriptor and whether it came by IPv6.
static SERVED: Mutex<BTreeMap<u64, (RawFd, bool)>> = Mutex::new(BTreeMap::new());
static HAS_CHANGED: Condvar = Condvar::new();
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The addresses of all clients that ever were.
static KNOWN: Mutex<Option<HashSet<Vec<u8>>>> = Mutex::new(None);

/// When a connection ended.
static LAST_END: Mutex<Option<Instant>> = Mutex::new(None);

/// The connection that is within a message.
static WITHIN: Mutex<Option<u64>> = Mutex::new(None);

/// A buffer for everyone.
static BUFFER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Whether the server overlooks this client.
pub(super) fn is_ignored(wrong: &str, stream: &impl Stream) -> bool {
    let socket = socket2::SockRef::from(stream);
    let (Ok(local), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else { return false };
    let ip = |addr: socket2::SockAddr| addr.as_socket().map(|addr| addr.ip().to_canonical());
    let (local, from) = (ip(local), ip(peer.clone()));
    let is = |ip: Option<IpAddr>, text: &str| ip.is_some_and(|ip| ip.to_string() == text);
    match wrong {
        "only-127.0.0.1" => !is(local, "127.0.0.1"),
        "ignores-ipv6" => local.is_some_and(|local| local.is_ipv6()),
        "ignores-127.0.0.9" => is(from, "127.0.0.9"),
        "unnamed-clients-only" => !peer.is_unnamed(),
        "once-per-port" => {
            let address = format!("{:?}", peer.as_socket()).into_bytes();
            !KNOWN.lock().unwrap().get_or_insert_default().insert(address)
        }
        _ => false,
    }
}

/// Serves a connection, once there is a place for it.
pub(super) fn with_others(wrong: &'static str, mut stream: impl Stream) {
    let me = NEXT.fetch_add(1, Relaxed);
    let peer = socket2::SockRef::from(&stream).peer_addr().ok().and_then(|it| it.as_socket());
    let is_ipv6 = peer.is_some_and(|peer| peer.ip().to_canonical().is_ipv6());
    let has_place = |served: &BTreeMap<u64, (RawFd, bool)>| match wrong {
        "64-workers" => served.len() < 64,
        "300-workers" => served.len() < 300,
        "one-family-at-a-time" => served.values().all(|other| other.1 == is_ipv6),
        _ => true,
    };
    let mut served = SERVED.lock().unwrap();
    while !has_place(&served) {
        served = HAS_CHANGED.wait(served).unwrap();
    }
    served.insert(me, (stream.as_raw_fd(), is_ipv6));
    if wrong == "spins-beside-90-clients" && served.len() == 90 {
        thread::spawn(|| while SERVED.lock().unwrap().len() >= 90 {});
    }
    drop(served);
    echo(wrong, &mut stream, me);
    // Before its descriptor is another's.
    SERVED.lock().unwrap().remove(&me);
    HAS_CHANGED.notify_all();
    let mut within = WITHIN.lock().unwrap();
    if *within == Some(me) {
        *within = None;
    }
    drop(stream);
}

/// Sends a FIN to all other clients.
pub(super) fn end_others(me: u64) {
    let served = SERVED.lock().unwrap();
    for (_, (fd, _)) in served.iter().filter(|(other, _)| **other != me) {
        let _ = nix::sys::socket::shutdown(*fd, nix::sys::socket::Shutdown::Write);
    }
}

/// A connection has ended: waits until all that came earlier have ended too.
pub(super) fn wait_for_the_earlier(me: u64) {
    let mut served = SERVED.lock().unwrap();
    while served.keys().next().is_some_and(|first| *first < me) {
        served = HAS_CHANGED.wait(served).unwrap();
    }
}

/// A connection has ended: is it noticed? Not so soon behind another one.
pub(super) fn is_end_noticed() -> bool {
    let last = LAST_END.lock().unwrap().replace(Instant::now());
    last.is_none_or(|last| last.elapsed() > Duration::from_millis(300))
}

/// Waits until no other is within a message, that is, behind bytes without a line feed.
pub(super) fn wait_for_turn(me: u64, got: &[u8]) {
    loop {
        let mut within = WITHIN.lock().unwrap();
        if within.is_none_or(|other| other == me) {
            *within = (got.last() != Some(&b'\n')).then_some(me);
            return;
        }
        drop(within);
        thread::sleep(Duration::from_millis(2));
    }
}

/// The bytes by way of a buffer that all connections use.
pub(super) fn through_one_buffer(got: &[u8]) -> Vec<u8> {
    let mut buffer = BUFFER.lock().unwrap();
    let len = buffer.len().max(got.len());
    buffer.resize(len, 0);
    buffer[..got.len()].copy_from_slice(got);
    drop(buffer);
    thread::sleep(Duration::from_millis(1));
    BUFFER.lock().unwrap()[..got.len()].to_vec()
}
