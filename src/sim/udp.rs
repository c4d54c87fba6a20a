//! UDP's rules: nobody waits for room, and what finds none is lost.
//!
//! Knows datagram sockets and names.

use super::socket::{destination, fits, source};
use super::world::{FileId, World};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLOUT};
use crate::kernel::Kind;

/// The longest datagrams: 65,535 less the headers of UDP and, over IPv4, of IP.
///
/// Man page: udp(7)
const V4_BYTES_MAX: usize = 65_507;
const V6_BYTES_MAX: usize = 65_527;

impl World {
    /// Reference: net/ipv4/udp.c: `udp_sendmsg`
    pub(super) fn send_udp(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
    ) -> Result<usize, Errno> {
        // Whatever comes of it, who sends has a port from here on.
        // Reference: net/ipv4/af_inet.c: `inet_send_prepare`
        self.bind_any(file, None)?;
        let common = &mut self.datagram(file).common;
        let is_v4 = common.family == Family::Inet;
        if buf.len() > if is_v4 { V4_BYTES_MAX } else { V6_BYTES_MAX } {
            return Err(Errno::EMSGSIZE);
        }
        let to = match (addr, common.remote) {
            (Some(addr), _) => {
                fits(common.family, addr)?;
                destination(addr)
            }
            (None, Some(remote)) => remote,
            (None, None) => return Err(Errno::EDESTADDRREQ),
        };
        let ip = to.ip().ok_or(Errno::EINVAL)?;
        if addr.is_some() && to.port() == Some(0) {
            return Err(Errno::EINVAL);
        }
        let is_broadcast = matches!(ip, core::net::IpAddr::V4(ip) if ip.is_broadcast());
        if is_broadcast && !common.options.may_broadcast() {
            return Err(Errno::EACCES);
        }
        if !self.reaches(file, &to) {
            return Err(Errno::ENETUNREACH);
        }
        let common = &mut self.datagram(file).common;
        let has_error = common.error.take();
        let write_shut = common.write_shut;
        if let Some(errno) = has_error {
            return Err(errno);
        }
        if write_shut {
            return Err(Errno::EPIPE);
        }
        self.transmit(file, buf, &to);
        Ok(buf.len())
    }

    fn transmit(&mut self, file: FileId, buf: &[u8], to: &Addr) {
        let local = self.datagram(file).common.local;
        let from = local.map(|local| match (local.ip(), to.ip()) {
            (Some(mine), Some(theirs)) if mine.is_unspecified() => {
                core::net::SocketAddr::new(source(theirs), local.port().unwrap_or(0)).into()
            }
            _ => local,
        });
        // It leaves our buffer before it arrives: there is room again, and that is an edge each time.
        // Reference: net/core/sock.c: `sock_def_write_space_wfree`
        self.wake(file, EPOLLOUT);
        if to.ip().is_some_and(|ip| ip.is_multicast()) {
            for found in self.who_hears(to, from) {
                self.post(file, found, buf, from.unwrap_or(Addr::Unspec));
            }
            return;
        }
        match self.find_inet(to, Kind::Datagram, from) {
            Some(found) => self.post(file, found, buf, from.unwrap_or(Addr::Unspec)),
            // The answer says that the port is closed. Only a connected socket hears of it.
            // Reference: net/ipv4/udp.c: `__udp4_lib_err`
            None if self.datagram(file).common.remote == Some(*to) => {
                self.datagram(file).common.error = Some(Errno::ECONNREFUSED);
                self.wake(file, EPOLLERR);
            }
            None => {}
        }
    }
}
