//! Properties of the limits by address: they agree with a model that remembers every address, and
//! the memory is bounded.

use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use epollite::server::{Admission, PeerLimits, PeerLimitsConfig, Rate, Refusal, Seat};
use epollite::{Addr, Instant};

/// Addresses that the plan chooses from: so many that they do not all fit.
const PEERS: usize = 12;

/// What is known about one address.
#[derive(Clone, Copy, Default)]
struct Known {
    open: u32,
    /// When its rate will not have been used at all, in nanoseconds: at the earliest, if it was
    /// forgotten whenever it may have been, and at the latest, if never.
    unused_at: [u64; 2],
    /// When it was last seen, as a number of calls; 0 for never.
    seen: u64,
}

/// Runs `plan`: its first three bytes are the configuration, then a byte per call.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agree_with_a_naive_model(plan: &[u8]) {
    let [first, max, room, calls @ ..] = plan else { return };
    let (connections_max, rate) = (NonZeroU32::new(u32::from(max % 4)), rate(*first));
    let addresses_max = u32::from(room % 8);
    let config = PeerLimitsConfig {
        connections_max,
        accept_rate: rate,
        datagram_rate: rate,
        addresses_max,
        seed: u64::from(*first) << 32 | u64::from(*max),
        ..PeerLimitsConfig::default()
    };
    let mut limits = PeerLimits::new(config).expect("there is memory");
    let mut model = Model { connections_max, rate, ..Model::default() };
    let mut now = 0_u64;
    let mut seats: Vec<(usize, Seat)> = Vec::new();
    for (number, &call) in (1..).zip(calls) {
        let peer = usize::from(call >> 2) % PEERS;
        match call % 4 {
            0 | 1 => {
                let result = limits.admit(&address(peer, number), Instant::from_nanos(now));
                model.admit(peer, now, number, addresses_max, result.map(drop));
                if let Ok(seat) = result {
                    seats.push((peer, seat));
                }
            }
            2 if !seats.is_empty() => {
                let (peer, seat) = seats.swap_remove(usize::from(call >> 2) % seats.len());
                limits.release(seat);
                model.known[&peer].open.checked_sub(1).expect("it was open");
                model.touch(peer, number).open -= 1;
            }
            _ => now += u64::from(call) * 20_000_000,
        }
        for (&peer, known) in &model.known {
            let max = connections_max.map_or(u32::MAX, NonZeroU32::get);
            assert!(known.open <= max, "invariant: address {peer} has too many connections");
        }
        let open = model.known.values().filter(|known| known.open > 0).count();
        let bound = open + addresses_max as usize;
        let (addresses, _) = limits.addresses();
        assert!(addresses <= bound, "invariant: {addresses} are remembered, {bound} at most");
    }
}

#[derive(Default)]
struct Model {
    connections_max: Option<NonZeroU32>,
    rate: Option<Rate>,
    known: HashMap<usize, Known>,
}

impl Model {
    fn touch(&mut self, peer: usize, number: u64) -> &mut Known {
        let known = self.known.entry(peer).or_default();
        known.seen = number;
        known
    }

    /// Whether the address cannot have been forgotten: it is connected, or too few others were seen
    /// since.
    fn is_exact(&self, peer: usize, addresses_max: u32) -> bool {
        let Some(known) = self.known.get(&peer) else { return true };
        let newer = self.known.values().filter(|other| other.seen > known.seen).count();
        known.open > 0 || newer < addresses_max as usize
    }

    /// # Panics
    /// The result is none of those that there may be.
    fn admit(
        &mut self,
        peer: usize,
        now: u64,
        number: u64,
        addresses_max: u32,
        result: Result<(), Refusal>,
    ) {
        let (max, rate) = (self.connections_max, self.rate);
        let is_exact = self.is_exact(peer, addresses_max);
        let known = self.touch(peer, number);
        if !is_exact {
            known.unused_at[0] = 0;
        }
        if max.is_some_and(|max| known.open >= max.get()) {
            assert_eq!(result, Err(Refusal::Connections), "invariant: so many and no more");
            return;
        }
        let Some(rate) = rate else {
            assert_eq!(result, Ok(()), "invariant: there is no rate");
            known.open += 1;
            return;
        };
        let end = now + interval(rate) * u64::from(rate.count.get());
        let next = known.unused_at.map(|unused_at| unused_at.max(now) + interval(rate));
        if result.is_ok() {
            assert!(next[0] <= end, "invariant: an address has no more than its rate");
            known.unused_at = next.map(|next| next.min(end));
            known.open += 1;
        } else {
            assert_eq!(result, Err(Refusal::Rate), "invariant: there is a place");
            assert!(next[1] > end, "invariant: an address never has less than its rate");
        }
    }
}

fn rate(byte: u8) -> Option<Rate> {
    let count = NonZeroU32::new(u32::from(byte % 5))?;
    Some(Rate { count, period: Duration::from_secs(1) })
}

fn interval(rate: Rate) -> u64 {
    1_000_000_000 / u64::from(rate.count.get())
}

/// An address of a peer: IPv4, the same as IPv6, or any of a /64.
fn address(peer: usize, number: u64) -> Addr {
    let low = u16::try_from(peer).expect("there are few");
    let v4 = Ipv4Addr::new(10, 0, 0, low.to_be_bytes()[1]);
    let ip: IpAddr = match peer % 3 {
        0 if number.is_multiple_of(2) => v4.to_ipv6_mapped().into(),
        0 => v4.into(),
        _ => {
            let host = u16::try_from(number % 1_000).expect("it is below 1,000");
            Ipv6Addr::new(0x2001, 0xdb8, 0, low, host, 0, 0, 1).into()
        }
    };
    SocketAddr::from((ip, 1_000 + low)).into()
}
