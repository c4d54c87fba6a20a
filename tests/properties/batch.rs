//! Properties of `Batch`, compared with a plain list of datagrams.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use core::net::{IpAddr, Ipv4Addr};

use epollite::Addr;
use epollite::net::{DatagramBatch, PacketInfo, SockAddr};

/// Pushes, retains, fills, clears and turns into replies as `plan` directs, and checks after each
/// step that batch and list agree. Its first two bytes are the limits.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_list(plan: &[u8]) {
    let [datagrams_max, bytes_max, plan @ ..] = plan else {
        return;
    };
    let datagrams_max = usize::from(datagrams_max % 9);
    let mut harness = Harness {
        batch: DatagramBatch::new(datagrams_max, usize::from(bytes_max % 9)),
        list: Vec::new(),
        next: 0,
        recv_max: datagrams_max,
    };
    for step in plan.chunks_exact(2) {
        harness.step(step[0], step[1]);
        harness.agree();
    }
    assert!(!harness.batch.has_control_messages(), "invariant: not unless they are asked for");
    harness.batch.enable_control_messages();
    assert!(harness.batch.has_control_messages());
}

struct Harness {
    batch: DatagramBatch,
    list: Vec<Entry>,
    /// The next byte: every datagram has different content.
    next: u8,
    recv_max: usize,
}

/// Bytes, port of the address, whether it was truncated, and its local address.
type Entry = (Vec<u8>, u16, bool, Option<PacketInfo>);

impl Harness {
    fn step(&mut self, operation: u8, amount: u8) {
        match operation % 8 {
            0..=3 => self.push(amount),
            4 | 5 => {
                // By position, so that every pattern of retained datagrams occurs.
                let (mut pattern, mut other) = (amount, amount);
                let keep = |bits: &mut u8| {
                    *bits = bits.rotate_right(1);
                    *bits & 1 == 0
                };
                self.batch.retain(|_| keep(&mut pattern));
                self.list.retain(|_| keep(&mut other));
            }
            6 => self.fill(amount),
            _ => match amount % 4 {
                0 => {
                    self.batch.clear();
                    self.list.clear();
                }
                1 => {
                    self.recv_max = usize::from(amount / 4 % 12);
                    self.batch.set_recv_max(self.recv_max);
                    let slots = self.batch.datagrams_max().max(1);
                    let wanted = self.recv_max.clamp(1, slots);
                    assert_eq!(self.batch.recv_max(), wanted, "invariant: one to all slots");
                }
                2 => self.turn_into_replies(),
                _ => self.forget_packet_info(usize::from(amount / 4)),
            },
        }
    }

    fn push(&mut self, len: u8) {
        let bytes = self.bytes_of(usize::from(len % 12));
        let fits = self.list.len() < self.batch.datagrams_max()
            && bytes.len() <= self.batch.datagram_bytes_max();
        assert_eq!(
            self.batch.push(&bytes, &address(len)),
            fits,
            "invariant: accepted whole, exactly when there is room"
        );
        if fits {
            self.list.push((bytes, u16::from(len), false, None));
        }
    }

    /// As a kernel does it, including one that reports a wrong length.
    fn fill(&mut self, amount: u8) {
        self.list.clear();
        let mut count = 0;
        let slots = self.batch.recv_slots().count();
        assert!(
            slots <= self.recv_max.max(1),
            "invariant: a receive brings no more than it may: {slots} of {}",
            self.recv_max
        );
        for (room, header) in self.batch.recv_slots().take(usize::from(amount % 12)) {
            self.next = self.next.wrapping_add(1);
            room.fill(self.next);
            let cut = self.next.is_multiple_of(3);
            header.addr = address(amount);
            header.truncated = cut;
            header.len_bytes = if cut { usize::MAX } else { room.len() / 2 };
            let kept = header.len_bytes.min(room.len());
            header.packet_info = packet_info(self.next);
            let info = header.packet_info;
            self.list.push((room[..kept].to_vec(), u16::from(amount), cut, info));
            count += 1;
        }
        self.batch.set_len(count);
    }

    fn turn_into_replies(&mut self) {
        self.batch.set_reply_addresses();
        for (.., info) in &mut self.list {
            *info = info.and_then(PacketInfo::reply);
        }
    }

    fn forget_packet_info(&mut self, index: usize) {
        let Some(index) = index.checked_rem(self.list.len()) else { return };
        assert_eq!(
            self.batch.forget_packet_info(index),
            self.list[index].3.take().is_some(),
            "invariant: it returns whether there was a source address"
        );
    }

    fn bytes_of(&mut self, len: usize) -> Vec<u8> {
        self.next = self.next.wrapping_add(1);
        vec![self.next; len]
    }

    fn agree(&self) {
        let batch = &self.batch;
        let here: Vec<_> = batch
            .iter()
            .map(|datagram| {
                let addr = datagram.addr.decode().ok();
                let port = addr.and_then(|addr| addr.port()).unwrap_or_default();
                (datagram.bytes.to_vec(), port, datagram.truncated, datagram.packet_info)
            })
            .collect();
        assert_eq!(
            here, self.list,
            "invariant: each datagram keeps its bytes, its addresses and its order"
        );
        assert_eq!(batch.len(), self.list.len(), "invariant: len is the number of datagrams");
        assert_eq!(batch.is_empty(), self.list.is_empty(), "invariant: is_empty is len == 0");
    }
}

/// None, a local address, or one that cannot be a source.
fn packet_info(byte: u8) -> Option<PacketInfo> {
    let addr = |last| IpAddr::V4(Ipv4Addr::new(if last % 2 == 0 { 127 } else { 224 }, 0, 0, last));
    (!byte.is_multiple_of(4)).then(|| PacketInfo { addr: addr(byte), interface: byte.into() })
}

fn address(port: u8) -> SockAddr {
    Addr::from(core::net::SocketAddr::from(([127, 0, 0, 1], port.into()))).encode()
}
