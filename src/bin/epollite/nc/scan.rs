//! `-z`: finds open ports, one by one, within `-w` each.
//!
//! A TCP port that accepts a connection is open. UDP has no such reply: there a port is closed when
//! an ICMP error reports it, and assumed open when nothing comes back for a second.

use std::time::Duration;

use epollite::kernel::{SocketType, close_quietly};
use epollite::{Addr, Errno, Event, Interest, Kernel, Reactor, Trigger};

use super::session::{FdEntry, Role};
use super::{connect, messages, resolve};
use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;

/// How long to wait for a UDP port's ICMP error, unless `-w` sets it.
const UDP_PROBE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn run<K: Kernel>(options: &NcOptions, kernel: K) -> Result<(), CliError> {
    let mut reactor =
        Reactor::with_kernel(kernel).map_err(messages::failed_call("epoll_create1"))?;
    let (host, addrs) = resolve::resolve_targets(options)?;
    let (first, last) = match options.endpoint {
        Endpoint::Ports { first, last, .. } => (first, last),
        Endpoint::Unix(_) => (0, 0),
    };
    let mut is_any_open = false;
    let mut failed = String::new();
    for port in first..=last {
        if let Some(interval) = options.interval.filter(|_| port > first) {
            let until = reactor.kernel().now() + interval;
            // Nothing is registered: this only waits.
            reactor.next(Some(until)).map_err(messages::failed_call("epoll_wait"))?;
        }
        for addr in addrs.iter().map(|addr| addr.with_port(port)) {
            match probe(options, &mut reactor, &addr) {
                Ok(()) => {
                    messages::succeeded(options, &host, &addr);
                    is_any_open = true;
                    break;
                }
                Err(why) => {
                    failed = messages::failed(options, &host, &addr, &why);
                    if first < last {
                        messages::verbose(options, &failed);
                    }
                }
            }
        }
    }
    match is_any_open {
        true => Ok(()),
        false if first == last => Err(CliError::run(failed)),
        false => {
            let protocol = messages::protocol(options);
            let line = format!("none of the ports {first}-{last} of {host} ({protocol}) is open");
            Err(CliError::run(line))
        }
    }
}

fn probe<K: Kernel>(
    options: &NcOptions,
    reactor: &mut Reactor<FdEntry, K>,
    addr: &Addr,
) -> Result<(), Errno> {
    let socket = connect::connect(options, reactor, addr)?;
    let outcome = match options.kind() {
        SocketType::Stream | SocketType::SeqPacket => Ok(()),
        SocketType::Datagram => reactor.kernel().send(&socket, b"X").map(drop),
    };
    if !options.is_datagram || outcome.is_err() {
        close_quietly(reactor.kernel(), socket);
        return outcome;
    }
    let entry = FdEntry::new(Role::Connecting, Interest::READABLE);
    let token = reactor.register_or_close(socket, Interest::READABLE, Trigger::Level, entry)?;
    let deadline = reactor.kernel().now() + options.timeout.unwrap_or(UDP_PROBE_TIMEOUT);
    let event = reactor.next(Some(deadline));
    let outcome = match (event, reactor.get_mut(token)) {
        (Ok(Some(Event::Io { .. })), Some((_, mut io))) => io.recv(&mut [0; 1]).map(drop),
        (Err(errno), _) => Err(errno),
        _ => Ok(()),
    };
    reactor.close(token);
    outcome
}
