//! Properties of `Batch`, compared with a plain list of datagrams.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use epollite::Addr;
use epollite::net::{DatagramBatch, SockAddr};

/// Pushes, retains, fills and clears as `plan` directs, and checks after each step that batch and
/// list agree. Its first two bytes are the limits.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_list(plan: &[u8]) {
    let [datagrams_max, bytes_max, plan @ ..] = plan else {
        return;
    };
    let mut harness = Harness {
        batch: DatagramBatch::new(usize::from(datagrams_max % 9), usize::from(bytes_max % 9)),
        list: Vec::new(),
        next: 0,
    };
    for step in plan.chunks_exact(2) {
        harness.step(step[0], step[1]);
        harness.agree();
    }
}

struct Harness {
    batch: DatagramBatch,
    /// Bytes, port of the address, whether it was truncated.
    list: Vec<(Vec<u8>, u16, bool)>,
    /// The next byte: every datagram has different content.
    next: u8,
}

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
            _ => {
                self.batch.clear();
                self.list.clear();
            }
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
            self.list.push((bytes, u16::from(len), false));
        }
    }

    /// As a kernel does it, including one that reports a wrong length.
    fn fill(&mut self, amount: u8) {
        self.list.clear();
        let mut count = 0;
        for (room, header) in self.batch.recv_slots().take(usize::from(amount % 12)) {
            self.next = self.next.wrapping_add(1);
            room.fill(self.next);
            let cut = self.next.is_multiple_of(3);
            header.addr = address(amount);
            header.truncated = cut;
            header.len_bytes = if cut { usize::MAX } else { room.len() / 2 };
            let kept = header.len_bytes.min(room.len());
            self.list.push((room[..kept].to_vec(), u16::from(amount), cut));
            count += 1;
        }
        self.batch.set_len(count);
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
                (datagram.bytes.to_vec(), port, datagram.truncated)
            })
            .collect();
        assert_eq!(
            here, self.list,
            "invariant: each datagram keeps its bytes, its address and its order"
        );
        assert_eq!(batch.len(), self.list.len(), "invariant: len is the number of datagrams");
        assert_eq!(batch.is_empty(), self.list.is_empty(), "invariant: is_empty is len == 0");
    }
}

fn address(port: u8) -> SockAddr {
    Addr::from(core::net::SocketAddr::from(([127, 0, 0, 1], port.into()))).encode()
}
