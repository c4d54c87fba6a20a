//! Echo servers that are wrong in one way each, by name, with the standard library. Only what their
//! name says is wrong; `right` is right.

mod among;
mod datagrams;
mod stream;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::exit;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::ClockId;
use signal_hook::consts::{SIGCONT, SIGINT, SIGTERM, SIGWINCH};

use stream::Stream;

/// A copy of the descriptor of the TCP listener.
static LISTENER: OnceLock<TcpListener> = OnceLock::new();

/// Serves at a port, or a path, until it is ended.
pub(crate) fn serve(wrong: &'static str, place: &str) {
    match wrong {
        "ignores-sigint" => drop(signal_hook::flag::register(SIGINT, Arc::default())),
        "ends-at-continue" | "ends-at-winch" => {
            let signal = if wrong == "ends-at-winch" { SIGWINCH } else { SIGCONT };
            let always = Arc::new(true.into());
            signal_hook::flag::register_conditional_shutdown(signal, 1, always).unwrap();
        }
        "looks-each-millisecond" => drop(thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(1));
            }
        })),
        "ignores-sigterm" => drop(signal_hook::flag::register(SIGTERM, Arc::default())),
        "fails-at-sigterm" => {
            let always = Arc::new(true.into());
            signal_hook::flag::register_conditional_shutdown(SIGTERM, 3, always).unwrap();
        }
        "without-drain" => {
            let always = Arc::new(true.into());
            signal_hook::flag::register_conditional_shutdown(SIGTERM, 0, always).unwrap();
        }
        "never-idle" => drop(thread::spawn(work_without_end)),
        "works-in-bursts" => drop(thread::spawn(|| {
            loop {
                // On a core: the machine may be busy.
                let cpu = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap());
                let start = cpu();
                while cpu() - start < Duration::from_millis(40) {}
                thread::sleep(Duration::from_millis(110));
            }
        })),
        "gives-up-at-continue" => {
            signal_hook::flag::register(SIGCONT, Arc::clone(&stream::CONTINUED)).unwrap();
        }
        _ => {}
    }
    match (std::env::var_os("WRONG_UDP").is_some(), place.parse::<u16>()) {
        (true, Ok(port)) => datagrams::serve(wrong, port),
        (_, Ok(port)) => tcp(wrong, port),
        (_, Err(_)) => unix(wrong, place),
    }
}

fn work_without_end() {
    loop {
        std::hint::spin_loop();
    }
}

fn tcp(wrong: &'static str, port: u16) {
    let address: SocketAddr = match wrong {
        "only-127.0.0.1" => format!("0.0.0.0:{port}").parse().unwrap(),
        "ignores-ipv6" | "alters" | "one-family-at-a-time" => {
            format!("[::]:{port}").parse().unwrap()
        }
        _ => format!("127.0.0.1:{port}").parse().unwrap(),
    };
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
            .unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(false).unwrap();
    }
    socket.set_reuse_address(wrong != "without-reuseaddr").unwrap();
    if socket.bind(&address.into()).is_err() {
        exit(i32::from(wrong != "succeeds-without-port"));
    }
    socket.listen(1024).unwrap();
    let listener = TcpListener::from(socket);
    drop(LISTENER.set(listener.try_clone().unwrap()));
    if wrong == "accepts-one-per-event" {
        accept_one_per_event(wrong, &listener);
    }
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(_) if wrong == "logs-at-limit" => {
                // Slowly enough not to spin.
                eprintln!("cannot accept: {}", "for lack of descriptors ".repeat(100));
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(_) if wrong == "spins-at-limit" => continue,
            Err(_) if wrong == "ends-at-limit" => exit(1),
            Err(_) => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if wrong == "ends-at-urgent" {
            socket2::SockRef::from(&stream).set_out_of_band_inline(true).unwrap();
        }
        drop(stream.set_nodelay(true));
        connection(wrong, stream);
    }
}

/// Edge-triggered, and it accepts once for each event: those that come together stay in the queue.
fn accept_one_per_event(wrong: &'static str, listener: &TcpListener) -> ! {
    listener.set_nonblocking(true).unwrap();
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0)).unwrap();
    let accept = || {
        let accepted = listener.accept().map(|(stream, _)| {
            stream.set_nonblocking(false).unwrap();
            connection(wrong, stream);
        });
        accepted.is_ok()
    };
    let mut accepted = 0;
    loop {
        if epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE) != Ok(1) {
            continue;
        }
        // Those that come together are here by then.
        thread::sleep(Duration::from_millis(5));
        // Not of those by which it is seen to have started.
        while accept() {
            accepted += 1;
            if accepted > 4 {
                break;
            }
        }
    }
}

fn unix(wrong: &'static str, path: &str) {
    if wrong == "short-paths-only" && path.len() > 90 {
        exit(1);
    }
    // A path that a live server uses is not taken.
    let is_live = UnixStream::connect(path).is_ok();
    if (!is_live && wrong != "keeps-left-path") || wrong == "steals-path" {
        drop(std::fs::remove_file(path));
    }
    if is_live && wrong == "removes-path-in-vain" {
        drop(std::fs::remove_file(path));
        exit(1);
    }
    let Ok(listener) = UnixListener::bind(path) else { exit(1) };
    if wrong == "not-writable" {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    if wrong != "leaves-path" {
        let path = path.to_owned();
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM]).unwrap();
        thread::spawn(move || {
            signals.forever().next();
            drop(std::fs::remove_file(path));
            exit(0);
        });
    }
    for stream in listener.incoming().flatten() {
        connection(wrong, stream);
    }
}

/// A thread for each client, unless that is what is wrong.
fn connection(wrong: &'static str, stream: impl Stream) {
    if among::is_ignored(wrong, &stream) {
        // It stays open, and is not served.
        return std::mem::forget(stream);
    }
    let serve = move || among::with_others(wrong, stream);
    if wrong == "one-client-at-a-time" {
        serve();
    } else if thread::Builder::new().stack_size(256 << 10).spawn(serve).is_err() {
        eprintln!("no thread");
    }
}
