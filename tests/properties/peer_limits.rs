//! Properties of the limits by address: they agree with a model that remembers every address,
//! whatever the clock does, and the memory is bounded.

use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use epollite::server::{Admission, AdmissionId, PeerLimits, PeerLimitsConfig, Rate, Refusal};
use epollite::{Addr, Instant};

/// Addresses that the plan chooses from: so many that they do not all fit.
const PEERS: usize = 12;

/// What is known about one address.
#[derive(Clone, Default)]
struct Known {
    open: u32,
    /// When its rate will not have been used at all, in nanoseconds: at the earliest, if it was
    /// forgotten whenever it may have been, and at the latest, if never.
    unused_at: [u64; 2],
    /// When it was last seen, as a number of calls; 0 for never.
    seen: u64,
    /// The times at which one was admitted since it may have been forgotten.
    admitted: Vec<u64>,
}

/// Runs `plan`: its first three bytes are the configuration, then a byte per call. The clock stands
/// still between calls unless one moves it, forward or back.
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
    let model = Model { connections_max, rate, addresses_max, ..Model::default() };
    let (mut streams, mut datagrams) = (model.clone(), Model { connections_max: None, ..model });
    let step = rate.map_or(0, |rate| u64::try_from(rate.period.as_nanos()).expect("short") / 6);
    let mut now = 0_u64;
    let mut admitted: Vec<(usize, AdmissionId)> = Vec::new();
    for (number, &call) in (1..).zip(calls) {
        let value = usize::from(call >> 3);
        let (peer, time) = (value % PEERS, Instant::from_nanos(now));
        match call % 8 {
            0..=2 => {
                let result = limits.admit(&address(peer, number), time);
                streams.admit(peer, now, number, result.map(drop));
                if let Ok(id) = result {
                    admitted.push((peer, id));
                }
            }
            3 => {
                let count = u32::from(call >> 3) / 8 + 1;
                let result = limits.admit_datagrams(&address(peer, number), count, time);
                datagrams.admit_datagrams(peer, count, now, number, result);
            }
            4 | 5 if !admitted.is_empty() => {
                let (peer, id) = admitted.swap_remove(value % admitted.len());
                limits.release(id);
                let known = streams.touch(peer, number);
                known.open = known.open.checked_sub(1).expect("it was open");
            }
            7 => now = now.saturating_sub(u64::from(call >> 3) * step / 8),
            _ => now += u64::from(call >> 3) * step,
        }
        let (addresses, of_datagrams) = limits.addresses();
        let bound = streams.open() + addresses_max as usize;
        assert!(addresses <= bound, "invariant: {addresses} are remembered, {bound} at most");
        let bound = addresses_max as usize;
        assert!(of_datagrams <= bound, "invariant: {of_datagrams} are remembered, {bound} at most");
    }
}

#[derive(Clone, Default)]
struct Model {
    connections_max: Option<NonZeroU32>,
    rate: Option<Rate>,
    addresses_max: u32,
    known: HashMap<usize, Known>,
}

impl Model {
    /// How many addresses have a connection.
    fn open(&self) -> usize {
        self.known.values().filter(|known| known.open > 0).count()
    }

    fn touch(&mut self, peer: usize, number: u64) -> &mut Known {
        let known = self.known.entry(peer).or_default();
        known.seen = number;
        known
    }

    /// Whether the address cannot have been forgotten for another: it is connected, or too few
    /// others were seen since.
    fn is_exact(&self, peer: usize) -> bool {
        let Some(known) = self.known.get(&peer) else { return true };
        let newer = self.known.values().filter(|other| other.seen > known.seen).count();
        known.open > 0 || newer < self.addresses_max as usize
    }

    /// The address as it is for a call at `now`.
    fn called(&mut self, peer: usize, now: u64, number: u64) -> &mut Known {
        // One whose rate is not used at all may be forgotten, which only a clock that goes back
        // tells.
        for known in self.known.values_mut() {
            if known.open == 0 && known.unused_at[0] <= now {
                known.forget();
            }
        }
        let is_exact = self.is_exact(peer);
        let known = self.touch(peer, number);
        if !is_exact {
            known.forget();
        }
        known
    }

    /// # Panics
    /// The result is none of those that there may be.
    fn admit(&mut self, peer: usize, now: u64, number: u64, result: Result<(), Refusal>) {
        let (max, rate) = (self.connections_max, self.rate);
        let known = self.called(peer, now, number);
        if max.is_some_and(|max| known.open >= max.get()) {
            assert_eq!(result, Err(Refusal::Connections), "invariant: so many and no more");
            return;
        }
        match rate {
            None => assert_eq!(result, Ok(()), "invariant: there is no rate"),
            Some(rate) => known.use_rate(rate, 1, now, result),
        }
        known.open += u32::from(result.is_ok());
    }

    /// # Panics
    /// The result is none of those that there may be.
    fn admit_datagrams(
        &mut self,
        peer: usize,
        count: u32,
        now: u64,
        number: u64,
        result: Result<(), Refusal>,
    ) {
        let rate = self.rate;
        match rate {
            None => assert_eq!(result, Ok(()), "invariant: there is no rate"),
            Some(rate) => self.called(peer, now, number).use_rate(rate, count, now, result),
        }
    }
}

impl Known {
    /// It may have been forgotten.
    fn forget(&mut self) {
        self.unused_at[0] = 0;
        self.admitted.clear();
    }

    /// # Panics
    /// The result is none of those that there may be.
    fn use_rate(&mut self, rate: Rate, count: u32, now: u64, result: Result<(), Refusal>) {
        let end = now + interval(rate) * u64::from(rate.count.get());
        let begin = self.unused_at.map(|unused_at| unused_at.max(now));
        let next = begin.map(|begin| begin + interval(rate));
        if result.is_err() {
            assert_eq!(result, Err(Refusal::Rate), "invariant: there is a place");
            assert!(next[1] > end, "invariant: an address never has less than its rate");
            return;
        }
        assert!(next[0] <= end, "invariant: an address has no more than its rate");
        let used = interval(rate) * u64::from(count);
        self.unused_at = begin.map(|begin| begin.min(end - interval(rate)) + used);
        self.admitted.push(now);
        self.check_every_span(rate);
    }

    /// In no span of time are more admitted than at once and what the rate gives in it.
    fn check_every_span(&self, rate: Rate) {
        let (mut from, mut until) = (u64::MAX, 0);
        for (number, &time) in (1_u128..).zip(self.admitted.iter().rev()) {
            (from, until) = (from.min(time), until.max(time));
            let count = u128::from(rate.count.get());
            let given = u128::from(until - from) * count / rate.period.as_nanos();
            assert!(number <= count + given, "invariant: no more than the rate in any time");
        }
    }
}

/// Also one whose period is no multiple of its number, where each nanosecond counts.
fn rate(byte: u8) -> Option<Rate> {
    let count = NonZeroU32::new(u32::from(byte % 5))?;
    let is_short = byte / 5 % 2 == 1;
    let period = if is_short { Duration::from_nanos(10) } else { Duration::from_secs(1) };
    Some(Rate { count, period })
}

fn interval(rate: Rate) -> u64 {
    let nanos = rate.period.as_nanos().div_ceil(rate.count.get().into());
    u64::try_from(nanos).expect("it is short")
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
            let mut segments = [0x2001, 0xdb8, 0, 0, host, 0, 0, 1];
            // Two of them differ in one part of the /64 only, whichever it is.
            segments[peer / 3] ^= low;
            Ipv6Addr::from(segments).into()
        }
    };
    SocketAddr::from((ip, 1_000 + low)).into()
}
