//! The client whose latency is measured: one connection that stays, one message at a time, and now
//! and then a new connection. It knows no attack.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;

use crate::examine::payload::payload;

/// A server that does not answer for so long has failed.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Between two new connections.
const CONNECT_INTERVAL: Duration = Duration::from_millis(2);

const MESSAGE_BYTES: usize = 64;

/// A polite client.
#[derive(Debug)]
pub(super) struct Polite {
    target: SocketAddr,
    stream: TcpStream,
    messages: u64,
}

/// What one slice has shown, in nanoseconds.
#[derive(Debug)]
pub(super) struct Slice {
    /// From a send to the last byte of its echo.
    pub(super) echo: Histogram<u64>,
    /// From the start of a connect to the last byte of the first echo.
    pub(super) connect: Histogram<u64>,
}

impl Slice {
    fn new() -> Result<Self> {
        let histogram = || Histogram::new(3).context("a histogram of three digits");
        Ok(Self { echo: histogram()?, connect: histogram()? })
    }

    /// Adds those of another slice.
    pub(super) fn add(&mut self, other: &Self) {
        let pairs = [(&mut self.echo, &other.echo), (&mut self.connect, &other.connect)];
        for (mine, others) in pairs {
            mine.add(others).expect("both grow as needed");
        }
    }
}

impl Polite {
    pub(super) fn connect(target: SocketAddr) -> Result<Self> {
        Ok(Self { target, stream: connect(target)?, messages: 0 })
    }

    /// Exchanges messages for some time. The last exchange is finished, and counts.
    pub(super) fn slice(&mut self, length: Duration) -> Result<Slice> {
        let mut slice = Slice::new()?;
        let start = Instant::now();
        let mut connected = start;
        while start.elapsed() < length {
            self.messages += 1;
            let message = payload(self.messages, MESSAGE_BYTES);
            let begun = Instant::now();
            echo(&mut self.stream, &message).context("the connection that stays")?;
            record(&mut slice.echo, begun)?;
            // At least one in each slice.
            if slice.connect.is_empty() || connected.elapsed() >= CONNECT_INTERVAL {
                let begun = Instant::now();
                connect(self.target)
                    .and_then(|mut stream| echo(&mut stream, &message))
                    .context("a new connection")?;
                record(&mut slice.connect, begun)?;
                connected = Instant::now();
            }
        }
        Ok(slice)
    }
}

fn record(histogram: &mut Histogram<u64>, begun: Instant) -> Result<()> {
    histogram.record(u64::try_from(begun.elapsed().as_nanos())?).context("a latency")
}

fn connect(target: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, ANSWER_MAX).context("connect")?;
    stream.set_nodelay(true).context("setsockopt")?;
    stream.set_read_timeout(Some(ANSWER_MAX)).context("setsockopt")?;
    stream.set_write_timeout(Some(ANSWER_MAX)).context("setsockopt")?;
    Ok(stream)
}

/// One message, and its echo, of which every byte is compared.
fn echo(stream: &mut TcpStream, sent: &[u8]) -> Result<()> {
    let mut received = [0; MESSAGE_BYTES];
    stream.write_all(sent).context("send")?;
    stream.read_exact(&mut received).context("the echo")?;
    ensure!(received[..] == *sent, "the echo differs from what was sent");
    Ok(())
}
