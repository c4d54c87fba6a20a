//! `-z`: who listens, port by port, within `-w` each.
//!
//! A TCP port that takes a connection is open. UDP has no such answer: there a port is closed
//! when the kernel hears that it is, and open when nothing comes back for a second.

use std::time::Duration;

use epollite::kernel::release;
use epollite::{Addr, Errno, Event, Interest, Kernel, Kind, Reactor, Trigger};

use super::desk::Entry;
use super::{dial, name, say};
use crate::args::{Nc, Place};
use crate::failure::Failure;

/// How long a UDP port has to say that it is closed, unless `-w` says otherwise.
const SILENCE: Duration = Duration::from_secs(1);

pub(super) fn run<K: Kernel>(options: &Nc, kernel: K) -> Result<(), Failure> {
    let mut reactor = Reactor::on(kernel).map_err(|errno| say::broken("epoll_create1", errno))?;
    let (host, addrs) = name::targets(options)?;
    let (first, last) = match options.place {
        Place::Ports { first, last, .. } => (first, last),
        Place::Unix(_) => (0, 0),
    };
    let mut is_any_open = false;
    let mut failed = String::new();
    for port in first..=last {
        if let Some(interval) = options.interval.filter(|_| port > first) {
            let until = reactor.kernel().now() + interval;
            // Nothing is registered: this only waits.
            let waited = reactor.next(Some(until));
            waited.map_err(|errno| say::broken("epoll_wait", errno))?;
        }
        for addr in addrs.iter().map(|addr| addr.with_port(port)) {
            match probe(options, &mut reactor, &addr) {
                Ok(()) => {
                    say::succeeded(options, &host, &addr);
                    is_any_open = true;
                    break;
                }
                Err(why) => {
                    failed = say::failed(options, &host, &addr, &why);
                    if first < last {
                        say::remark(options, &failed);
                    }
                }
            }
        }
    }
    match is_any_open {
        true => Ok(()),
        false if first == last => Err(Failure::new(Failure::RUN, failed)),
        false => {
            let protocol = say::protocol(options);
            let line = format!("none of the ports {first}-{last} of {host} ({protocol}) is open");
            Err(Failure::new(Failure::RUN, line))
        }
    }
}

fn probe<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    addr: &Addr,
) -> Result<(), Errno> {
    let socket = dial::dial(options, reactor, addr)?;
    let answer = match options.kind {
        Kind::Stream => Ok(()),
        Kind::Datagram => reactor.kernel().send(&socket, b"X").map(drop),
    };
    if options.kind == Kind::Stream || answer.is_err() {
        release(reactor.kernel(), socket);
        return answer;
    }
    let token =
        reactor.register_or_close(socket, Interest::READABLE, Trigger::Level, Entry::dialling())?;
    let deadline = reactor.kernel().now() + options.patience.unwrap_or(SILENCE);
    let event = reactor.next(Some(deadline));
    let answer = match (event, reactor.source(token)) {
        (Ok(Some(Event::Io { .. })), Some(mut source)) => source.io.recv(&mut [0; 1]).map(drop),
        (Err(errno), _) => Err(errno),
        _ => Ok(()),
    };
    reactor.close(token);
    answer
}
