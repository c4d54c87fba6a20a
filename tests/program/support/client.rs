//! Test clients: small, strict about every byte, and never blocking without a timeout.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

use epollite::kernel::SocketType;
use epollite::{Addr, Errno, Kernel, Linux};

use super::pattern::Pattern;
use super::wait::{TIMEOUT, eventually, until_still};

/// A stream whose two halves can be used and closed separately.
pub(crate) trait Duplex: Read + Write + Send + Sized + 'static {
    /// A second handle to the same connection.
    fn second_handle(&self) -> Self;
    /// Shuts down the write side.
    fn half_close(&self);
    /// Sets the read and write timeouts.
    fn set_timeout(&self, timeout: Duration);
    fn set_blocking(&self, blocking: bool);
}

impl Duplex for TcpStream {
    fn second_handle(&self) -> Self {
        self.try_clone().expect("there are descriptors left")
    }

    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("the connection is open");
    }

    fn set_timeout(&self, timeout: Duration) {
        self.set_read_timeout(Some(timeout)).expect("it is not zero");
        self.set_write_timeout(Some(timeout)).expect("it is not zero");
    }

    fn set_blocking(&self, blocking: bool) {
        self.set_nonblocking(!blocking).expect("the connection is open");
    }
}

impl Duplex for UnixStream {
    fn second_handle(&self) -> Self {
        self.try_clone().expect("there are descriptors left")
    }

    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("the connection is open");
    }

    fn set_timeout(&self, timeout: Duration) {
        self.set_read_timeout(Some(timeout)).expect("it is not zero");
        self.set_write_timeout(Some(timeout)).expect("it is not zero");
    }

    fn set_blocking(&self, blocking: bool) {
        self.set_nonblocking(!blocking).expect("the connection is open");
    }
}

/// A TCP connection whose reads and writes time out after [`TIMEOUT`].
#[track_caller]
pub(crate) fn connect(address: &str) -> TcpStream {
    let parsed = address.parse().expect("the program prints addresses as numbers");
    let stream = TcpStream::connect_timeout(&parsed, TIMEOUT)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    stream.set_timeout(TIMEOUT);
    stream.set_nodelay(true).expect("TCP has the option");
    stream
}

/// The same over a Unix socket.
#[track_caller]
pub(crate) fn connect_unix(path: &str) -> UnixStream {
    let stream = UnixStream::connect(path)
        .unwrap_or_else(|error| panic!("cannot connect to {path}: {error}"));
    stream.set_timeout(TIMEOUT);
    stream
}

/// Retries a call that was interrupted by a signal. Freezing and resuming a machine interrupts
/// every call that waits with a timeout, with or without a signal handler: socket(7).
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sends `bytes` and reads them back.
#[track_caller]
pub(crate) fn echo(stream: &mut (impl Read + Write), bytes: &[u8]) {
    stream.write_all(bytes).expect("the server reads the data");
    expect(stream, bytes);
}

/// Reads exactly `bytes`.
#[track_caller]
pub(crate) fn expect(stream: &mut impl Read, bytes: &[u8]) {
    let mut back = vec![0; bytes.len()];
    let read = stream.read_exact(&mut back);
    assert!(read.is_ok(), "invariant: all that is sent comes back; got {read:?}");
    assert!(back == bytes, "invariant: output equals input");
}

/// Reads the orderly end, with nothing before it.
#[track_caller]
pub(crate) fn expect_end(stream: &mut impl Read) {
    let read = uninterrupted(|| stream.read(&mut [0; 16]));
    assert!(matches!(read, Ok(0)), "invariant: EOF and nothing more; got {read:?}");
}

/// Checks that neither data nor EOF arrives. Only a short moment is observed: late data is not
/// noticed, and data that must never arrive does not.
#[track_caller]
pub(crate) fn expect_silence(stream: &mut impl Duplex) {
    stream.set_timeout(Duration::from_millis(200));
    let read = uninterrupted(|| stream.read(&mut [0; 16]));
    stream.set_timeout(TIMEOUT);
    let kind = read.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::WouldBlock), "invariant: no unexpected data");
}

/// A new client is served.
#[track_caller]
pub(crate) fn is_served(address: &str) {
    echo(&mut connect(address), b"probe");
}

/// Sends `total` bytes and then EOF, while reading all of them and the EOF back.
#[track_caller]
pub(crate) fn exchange(mut stream: impl Duplex, total: usize) {
    let mut writing = stream.second_handle();
    let writer = thread::spawn(move || {
        let mut sent = Pattern::new();
        while sent.offset() < total {
            let bytes = sent.next(total - sent.offset());
            writing.write_all(bytes).expect("the server reads the data");
        }
        writing.half_close();
    });
    let back = read_to_end(&mut stream);
    writer.join().expect("the writer could write everything");
    assert_eq!(back, total, "invariant: all that is sent comes back before the end");
}

/// Reads until a clean EOF; all of it must be the pattern. Returns the number of bytes.
#[track_caller]
pub(crate) fn read_to_end(stream: &mut impl Read) -> usize {
    let mut back = Pattern::new();
    let mut buf = vec![0; 64 * 1024];
    loop {
        match uninterrupted(|| stream.read(&mut buf)) {
            Ok(0) => return back.offset(),
            Ok(count) => back.verify(&buf[..count]),
            Err(error) => panic!("invariant: a clean EOF; got {error} after {}", back.offset()),
        }
    }
}

/// Sends the pattern without ever reading, until no more fits. Returns the number of bytes.
pub(crate) fn fill_buffers(stream: &mut impl Duplex, most: usize) -> usize {
    let mut sent = Pattern::new();
    stream.set_blocking(false);
    // Polls many times, some milliseconds apart: far longer than a server needs to read what it
    // will.
    until_still("the server to take no more", 60, || {
        while sent.offset() < most {
            match stream.write(sent.peek(most - sent.offset())) {
                Ok(count) => sent.skip(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("invariant: a slow reader is not cut off; got {error}"),
            }
        }
        sent.offset()
    });
    stream.set_blocking(true);
    sent.offset()
}

/// Connects from an address of this machine.
pub(crate) fn connect_from(from: &str, address: &str) -> TcpStream {
    let address: Addr = address.parse().unwrap();
    let socket = Linux.socket(address.family().unwrap(), SocketType::Stream).unwrap();
    Linux.bind(&socket, &format!("{from}:0").parse().unwrap()).unwrap();
    assert!(matches!(Linux.connect(&socket, &address), Ok(()) | Err(Errno::EINPROGRESS)));
    let stream = TcpStream::from(OwnedFd::from(socket));
    stream.set_blocking(true);
    stream.set_timeout(TIMEOUT);
    stream
}

/// Waits until connections to `address` are refused.
pub(crate) fn until_refused(address: &str) {
    eventually("the listener to be closed", || TcpStream::connect(address).is_err().then_some(()));
}
