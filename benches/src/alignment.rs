//! `epollite-bench alignment`: what receiving and sending cost by the place of the buffer.
//!
//! The kernel copies the bytes of a socket with `rep movsb`. On some processors that instruction is
//! slow when the destination begins a few bytes after the source, counted within a page. Client and
//! server are two threads; a client's messages begin at the start of a page, as those of most
//! clients do. Only the processor time of the server's thread counts, and only the copy in question
//! has a buffer at the offset: the other one is out of the way.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::host;
use crate::output;
use crate::process_usage::thread_cpu;
use crate::server::{Cores, pin};
use crate::stats::Estimate;

const PAGE_BYTES: usize = 4096;
/// The offset that the others are compared with: the middle of a page, far from both ends.
const REFERENCE: usize = PAGE_BYTES / 2;
/// The reference once more is the A/A control. A `Vec` of 128 KiB or more begins at 16: the
/// allocator's header comes before it.
const OFFSETS: [usize; 8] = [REFERENCE, 0, 16, 64, 256, 1024, 3072, PAGE_BYTES - 16];
const SIZES: [usize; 7] = [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// As the comparison's case of large messages.
const CONNECTIONS: usize = 8;
/// Bytes that one slice moves: some milliseconds.
const SLICE_BYTES: usize = 16 << 20;

/// Measures what a receive and a send cost by the offset of the buffer within a page.
///
/// A ratio of 1.00 is the cost at offset 2048 in the same round. Compare with the column A/A, which
/// is offset 2048 once more.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Rounds; the medians are printed.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
}

/// Which copy has its buffer at the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Receive,
    Send,
}

/// The subcommand.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let cores = Cores::choose()?;
    let machine = host::collect(cores);
    output::print(&format!("{}, {}\n", machine.cpu, machine.kernel))?;
    for (direction, title) in [
        (Direction::Receive, "receive: processor time by the offset of the buffer in its page"),
        (Direction::Send, "send: processor time by the offset of the buffer in its page"),
    ] {
        let mut text = format!("\n{title}\n{:>8}", "message");
        for offset in &OFFSETS[1..] {
            let _ = write!(text, " {offset:>6}");
        }
        output::print(&format!("{text} {:>6}\n", "A/A"))?;
        for size in SIZES {
            let ratios = ratios(cores, direction, size, args.rounds)?;
            let cells: String = ratios.iter().map(|ratio| format!(" {ratio:>6.2}")).collect();
            output::print(&format!("{:>5} KiB{cells}\n", size >> 10))?;
        }
    }
    Ok(0)
}

/// The medians of the ratios to the reference, in the order of `OFFSETS`; the last one is of the
/// reference itself.
fn ratios(cores: Cores, direction: Direction, size: usize, rounds: u16) -> Result<Vec<f64>> {
    let mut pairs = connect()?;
    let mut ratios = vec![Vec::new(); OFFSETS.len()];
    for round in 0..=rounds {
        let mut costs = Vec::new();
        for offset in OFFSETS.iter().chain([&REFERENCE]) {
            costs.push(slice(cores, &mut pairs, direction, size, *offset)?.as_secs_f64());
        }
        // The first round warms up.
        if round > 0 {
            for (ratios, cost) in ratios.iter_mut().zip(&costs[1..]) {
                ratios.push(cost / costs[0]);
            }
        }
    }
    Ok(ratios.into_iter().map(|ratios| Estimate::of(ratios).median).collect())
}

/// The ends of the connections: the client's and the server's.
struct Pairs {
    clients: Vec<TcpStream>,
    servers: Vec<TcpStream>,
}

fn connect() -> Result<Pairs> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(listener.local_addr()?).context("cannot connect")?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        clients.push(client);
        servers.push(server);
    }
    Ok(Pairs { clients, servers })
}

/// Echoes messages on every connection in turn, and returns the server's processor time.
fn slice(
    cores: Cores,
    pairs: &mut Pairs,
    direction: Direction,
    size: usize,
    offset: usize,
) -> Result<Duration> {
    let rounds = SLICE_BYTES / size / CONNECTIONS;
    let Pairs { clients, servers } = pairs;
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            pin(cores.server)?;
            serve(servers, direction, size, offset, rounds)
        });
        let loaded = pin(cores.load).and_then(|()| load(clients, size, rounds));
        let cost = server.join().map_err(|_| anyhow::anyhow!("the server's thread panicked"))?;
        loaded.and(cost)
    })
}

fn load(clients: &mut [TcpStream], size: usize, rounds: usize) -> Result<()> {
    let mut message = PlacedBuffer::new(size, 0);
    let mut reply = PlacedBuffer::new(size, REFERENCE);
    for _ in 0..rounds {
        for client in &mut *clients {
            client.write_all(message.bytes())?;
        }
        for client in &mut *clients {
            client.read_exact(reply.bytes())?;
        }
    }
    Ok(())
}

fn serve(
    servers: &mut [TcpStream],
    direction: Direction,
    size: usize,
    offset: usize,
    rounds: usize,
) -> Result<Duration> {
    let (receive_at, send_at) = match direction {
        Direction::Receive => (offset, REFERENCE),
        Direction::Send => (REFERENCE, offset),
    };
    let mut receive_buffer = PlacedBuffer::new(size, receive_at);
    let mut send_buffer = PlacedBuffer::new(size, send_at);
    let began = thread_cpu()?;
    for _ in 0..rounds {
        for server in &mut *servers {
            let mut left = size;
            // As an echo server: what has arrived is sent back at once.
            while left > 0 {
                let count = server.read(&mut receive_buffer.bytes()[..left])?;
                anyhow::ensure!(count > 0, "the client ended early");
                server.write_all(&send_buffer.bytes()[..count])?;
                left -= count;
            }
        }
    }
    Ok(thread_cpu()? - began)
}

/// A buffer at an offset within a page.
struct PlacedBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl PlacedBuffer {
    fn new(len: usize, offset: usize) -> Self {
        let memory = vec![7; len + 2 * PAGE_BYTES];
        let start = memory.as_ptr().align_offset(PAGE_BYTES) + offset;
        Self { memory, start, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_at_its_offset() {
        for offset in OFFSETS {
            let mut buffer = PlacedBuffer::new(100, offset);
            assert_eq!(buffer.bytes().as_ptr().addr() % PAGE_BYTES, offset);
            assert_eq!(buffer.bytes().len(), 100);
        }
    }

    #[test]
    fn every_size_is_a_whole_number_of_rounds() {
        for size in SIZES {
            assert_eq!(SLICE_BYTES % (size * CONNECTIONS), 0);
        }
    }

    #[test]
    fn a_slice_moves_its_bytes_in_both_directions() {
        let (cores, mut pairs) = (Cores { server: 0, load: 0 }, connect().unwrap());
        for direction in [Direction::Receive, Direction::Send] {
            let cost = slice(cores, &mut pairs, direction, 64 << 10, 16).unwrap();
            assert!(cost > Duration::ZERO);
        }
    }
}
