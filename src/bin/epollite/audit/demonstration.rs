//! `epollite audit self`: a reactor of this process is audited, once without a fault and once with
//! four that are planted. It shows what an audit finds, and that it finds it on this kernel.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use epollite::audit::{Difference, Fault, compare, parse_fdinfo};
use epollite::kernel::{SocketType, close_quietly};
use epollite::net::AddressFamily;
use epollite::server::{PortSharing, bind_stream};
use epollite::{Errno, Fd, Interest, Kernel, Reactor, Token, Trigger};

use super::inspect::inspect;
use super::page;
use crate::exit::{CliError, failed};
use crate::output::columns::labelled;
use crate::output::log;

/// The registrations of the demonstration.
struct Demonstration {
    reactor: Reactor<()>,
    /// An edge-triggered end of a pair of Unix sockets.
    near: Token,
    /// A connection over TCP.
    client: Token,
}

pub(super) fn run() -> Result<(), CliError> {
    let mut it = Demonstration::new()?;
    let pid = std::process::id();
    let own = "The reactor's own table and the kernel's";

    let (state, faults) = inspect(pid)?;
    let mut text = String::from("Before: a reactor with a listener, a connection and a pair\n\n");
    text += &page::process(&state, &faults);
    let differences = it.differences()?;
    text += &match differences.first() {
        None => format!("\n{own} agree.\n"),
        Some(difference) => labelled("", &format!("{own} differ: {difference}.")),
    };
    let is_clean = faults.is_empty() && differences.is_empty();

    let planted = it.plant_faults().map_err(failed("a call of the demonstration"))?;
    let (state, faults) = inspect(pid)?;
    text += "\nAfter: a close that leaves a ghost, a socket in no epoll, two bad masks\n\n";
    text += &page::process(&state, &faults);
    let differences = it.differences()?;
    text += "\n";
    for difference in &differences {
        text += &labelled("", &format!("{own} differ: {difference}."));
    }
    let has_found = planted.ghost_is_found(&differences) && planted.are_found(&faults);
    it.close(planted.left_open);
    log::write_result(&text)?;
    if is_clean && has_found {
        return Ok(());
    }
    Err(CliError::run("the audit of its own reactor did not find exactly what was planted"))
}

/// What was planted.
struct Planted {
    /// Descriptors of the ghost, of the socket that is not watched, and of the bad masks.
    ghost: u32,
    not_watched: u32,
    no_interest: u32,
    nothing_to_send: u32,
    /// To be closed at the end.
    left_open: Vec<Fd>,
}

impl Planted {
    fn are_found(&self, faults: &[Fault]) -> bool {
        let mut left = [self.ghost, self.not_watched, self.no_interest, self.nothing_to_send];
        left.sort_unstable();
        let mut found: Vec<u32> = faults
            .iter()
            .map(|fault| match fault {
                Fault::Ghost { entry, .. } if entry.fd == self.ghost => self.ghost,
                Fault::NotWatched { fd } if *fd == self.not_watched => self.not_watched,
                Fault::NoInterest { entry, .. } if entry.fd == self.no_interest => self.no_interest,
                Fault::NothingToSend { entry, .. } if entry.fd == self.nothing_to_send => {
                    self.nothing_to_send
                }
                _ => u32::MAX,
            })
            .collect();
        found.sort_unstable();
        found == left
    }

    fn ghost_is_found(&self, differences: &[Difference]) -> bool {
        matches!(differences, [Difference::OnlyInKernel(entry)] if entry.fd == self.ghost)
    }
}

impl Demonstration {
    fn new() -> Result<Self, CliError> {
        let mut reactor = Reactor::new().map_err(failed("epoll_create1"))?;
        reactor.waker()?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
        let bound = bind_stream(reactor.kernel(), &addr, PortSharing::Exclusive);
        let (listener, addr) = bound.map_err(|error| failed(error.call.name())(error.errno))?;
        let addr = SocketAddr::try_from(addr).map_err(|error| CliError::run(error.to_string()))?;
        let connected = TcpStream::connect(addr)
            .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
            .map_err(|error| CliError::run(format!("connect: {error}")))?;
        let register = |reactor: &mut Reactor<()>, fd, trigger| {
            let interest = Interest::READABLE | Interest::READ_CLOSED;
            let registered = reactor.register_or_close(fd, interest, trigger, ());
            registered.map_err(Errno::from).map_err(failed("epoll_ctl"))
        };
        let client = register(&mut reactor, OwnedFd::from(connected).into(), Trigger::Level)?;
        let (server, _) = reactor.kernel().accept4(&listener).map_err(failed("accept4"))?;
        register(&mut reactor, server, Trigger::Edge)?;
        register(&mut reactor, listener, Trigger::Level)?;
        let pair = reactor.kernel().socketpair(SocketType::Stream).map_err(failed("socketpair"))?;
        let near = register(&mut reactor, pair.0, Trigger::Edge)?;
        register(&mut reactor, pair.1, Trigger::OneShot)?;
        Ok(Self { reactor, near, client })
    }

    /// Where the reactor's table and the kernel's differ.
    fn differences(&self) -> Result<Vec<Difference>, CliError> {
        let path = format!("/proc/self/fdinfo/{}", self.reactor.epoll());
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| CliError::run(format!("{path}: {error}")))?;
        let in_kernel =
            parse_fdinfo(&text).map_err(|error| CliError::run(format!("{path}: {error}")))?;
        let in_reactor: Vec<_> = self.reactor.interest_list().collect();
        Ok(compare(&in_reactor, &in_kernel))
    }

    fn plant_faults(&mut self) -> Result<Planted, Errno> {
        let kernel = self.reactor.kernel();
        let idle = kernel.socket(AddressFamily::Unix, SocketType::Datagram)?;
        let not_watched = kernel.socket(AddressFamily::Unix, SocketType::Datagram)?;
        let no_interest = idle.number();
        self.reactor.register_or_close(idle, Interest::NONE, Trigger::Level, ())?;
        let (_, mut io) = self.reactor.get_mut(self.client).ok_or(Errno::EBADF)?;
        let nothing_to_send = io.fd().number();
        io.modify(Interest::READABLE | Interest::WRITABLE, Trigger::Level)?;
        // Edge-triggered, a close makes no EPOLL_CTL_DEL, and a duplicate keeps the registration.
        let (_, mut io) = self.reactor.get_mut(self.near).ok_or(Errno::EBADF)?;
        let ghost = io.fd().number();
        let duplicate = io.syscall(|kernel, fd| kernel.dup(fd))?;
        self.reactor.close(self.near);
        Ok(Planted {
            ghost,
            not_watched: not_watched.number(),
            no_interest,
            nothing_to_send,
            left_open: vec![duplicate, not_watched],
        })
    }

    fn close(mut self, fds: Vec<Fd>) {
        fds.into_iter().for_each(|fd| close_quietly(self.reactor.kernel(), fd));
    }
}
