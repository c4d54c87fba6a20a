//! The model of the running kernel: its version, and the effect of this machine's settings.
//!
//! Independent of the scenarios. Settings of one socket are made by a scenario; the rest is here.

use std::fs;
use std::sync::LazyLock;

use epollite::kernel::{SocketOption, SocketOptionName, SocketType};
use epollite::net::AddressFamily;
use epollite::sim::Sim;
use epollite::sim::{Ipv6, SimConfig, Version};
use epollite::{Addr, Fd, Kernel, Linux};

/// Settings of this machine, read once.
pub(crate) struct Machine {
    pub(crate) version: Version,
    /// `net.unix.max_dgram_qlen`, set per network namespace.
    pub(crate) datagrams_queued_max: usize,
    pub(crate) ipv6: Ipv6,
    is_v6_only: bool,
    pub(crate) binds_nonlocal_v4: bool,
    pub(crate) binds_nonlocal_v6: bool,
    /// `net.core.wmem_default` and so on, as reported by a socket: a namespace may hide them.
    unix_send_bytes: usize,
    pub(crate) send_bytes_max: u32,
    pub(crate) receive_bytes_max: u32,
}

pub(crate) static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let release = read("kernel/osrelease");
    let has_ipv6 = fs::exists("/proc/sys/net/ipv6").is_ok_and(|exists| exists);
    let (one, other) = Linux.socketpair(SocketType::Stream).expect("two descriptors are available");
    let unix_send_bytes = size(&one, SocketOptionName::SendBufferBytes) as usize;
    let largest = |option: SocketOption| {
        Linux.setsockopt(&one, option).expect("any size may be requested");
        size(&one, option.name()) / 2
    };
    let machine = Machine {
        version: Version::from_release(&release).expect("a release begins with two numbers"),
        datagrams_queued_max: read("net/unix/max_dgram_qlen").parse().expect("it is a number"),
        ipv6: ipv6(),
        is_v6_only: has_ipv6 && read("net/ipv6/bindv6only") == "1",
        binds_nonlocal_v4: read("net/ipv4/ip_nonlocal_bind") == "1",
        binds_nonlocal_v6: has_ipv6 && read("net/ipv6/ip_nonlocal_bind") == "1",
        unix_send_bytes,
        send_bytes_max: largest(SocketOption::SendBufferBytes(HUGE)),
        receive_bytes_max: largest(SocketOption::ReceiveBufferBytes(HUGE)),
    };
    for fd in [one, other] {
        Linux.close(fd).expect("it was open");
    }
    machine
});

/// More than any machine grants, and small enough to be doubled.
pub(crate) const HUGE: u32 = 1 << 30;

fn size(socket: &Fd, name: SocketOptionName) -> u32 {
    match Linux.getsockopt(socket, name) {
        Ok(SocketOption::SendBufferBytes(bytes) | SocketOption::ReceiveBufferBytes(bytes)) => bytes,
        other => panic!("{name:?} of a socket: {other:?}"),
    }
}

/// A model of the running kernel.
pub(crate) fn model() -> Sim {
    Sim::new(SimConfig {
        version: MACHINE.version,
        datagrams_queued_max: MACHINE.datagrams_queued_max,
        ipv6: MACHINE.ipv6,
        is_v6_only: MACHINE.is_v6_only,
        binds_nonlocal_v4: MACHINE.binds_nonlocal_v4,
        binds_nonlocal_v6: MACHINE.binds_nonlocal_v6,
        send_buffer_bytes: MACHINE.unix_send_bytes,
        send_buffer_bytes_max: MACHINE.send_bytes_max,
        receive_buffer_bytes_max: MACHINE.receive_bytes_max,
        ..SimConfig::default()
    })
}

fn ipv6() -> Ipv6 {
    let Ok(socket) = Linux.socket(AddressFamily::Inet6, SocketType::Datagram) else {
        return Ipv6::Absent;
    };
    let loopback: Addr = "[::1]:0".parse().expect("the address is valid");
    let bound = Linux.bind(&socket, &loopback);
    Linux.close(socket).expect("it was open");
    if bound.is_ok() { Ipv6::Present } else { Ipv6::Disabled }
}

fn read(name: &str) -> String {
    let path = format!("/proc/sys/{name}");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.trim().to_owned()
}
