//! Our own clients: small, strict about every byte, never waiting for ever.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use super::pattern::Pattern;
use super::wait::{PATIENCE, eventually, until_still};

/// A stream with two halves that can be used, and closed, apart.
pub(crate) trait Duplex: Read + Write + Send + Sized + 'static {
    /// The same connection once more.
    fn twin(&self) -> Self;
    /// Says that nothing more will be sent.
    fn half_close(&self);
    /// How long a read or a write may take.
    fn set_patience(&self, patience: Duration);
    fn set_blocking(&self, blocking: bool);
}

impl Duplex for TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().expect("there are descriptors left")
    }

    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("the connection is open");
    }

    fn set_patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).expect("it is not zero");
        self.set_write_timeout(Some(patience)).expect("it is not zero");
    }

    fn set_blocking(&self, blocking: bool) {
        self.set_nonblocking(!blocking).expect("the connection is open");
    }
}

impl Duplex for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().expect("there are descriptors left")
    }

    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("the connection is open");
    }

    fn set_patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).expect("it is not zero");
        self.set_write_timeout(Some(patience)).expect("it is not zero");
    }

    fn set_blocking(&self, blocking: bool) {
        self.set_nonblocking(!blocking).expect("the connection is open");
    }
}

/// A TCP connection that waits for nothing longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn connect(address: &str) -> TcpStream {
    let parsed = address.parse().expect("the program prints addresses as numbers");
    let stream = TcpStream::connect_timeout(&parsed, PATIENCE)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    stream.set_patience(PATIENCE);
    stream.set_nodelay(true).expect("TCP has the option");
    stream
}

/// The same over a Unix socket.
#[track_caller]
pub(crate) fn connect_unix(path: &str) -> UnixStream {
    let stream = UnixStream::connect(path)
        .unwrap_or_else(|error| panic!("cannot connect to {path}: {error}"));
    stream.set_patience(PATIENCE);
    stream
}

/// Makes a call again that a signal has interrupted. A machine that is frozen for a moment
/// interrupts whoever waits with a timeout, handler or not: socket(7).
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
    stream.write_all(bytes).expect("the server takes what we send");
    expect(stream, bytes);
}

/// Reads exactly `bytes`.
#[track_caller]
pub(crate) fn expect(stream: &mut impl Read, bytes: &[u8]) {
    let mut back = vec![0; bytes.len()];
    let read = stream.read_exact(&mut back);
    assert!(read.is_ok(), "law: all that is sent comes back; got {read:?}");
    assert!(back == bytes, "law: bytes out are bytes in");
}

/// Reads the orderly end, with nothing before it.
#[track_caller]
pub(crate) fn expect_end(stream: &mut impl Read) {
    let read = uninterrupted(|| stream.read(&mut [0; 16]));
    assert!(matches!(read, Ok(0)), "law: an orderly end and nothing more; got {read:?}");
}

/// Nothing comes, neither bytes nor an end. A moment is looked at, no more: what comes too late
/// for it is not noticed, and what must not come never does.
#[track_caller]
pub(crate) fn expect_silence(stream: &mut impl Duplex) {
    stream.set_patience(Duration::from_millis(200));
    let read = uninterrupted(|| stream.read(&mut [0; 16]));
    stream.set_patience(PATIENCE);
    let kind = read.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::WouldBlock), "law: nothing comes that is not due");
}

/// A new client is served.
#[track_caller]
pub(crate) fn is_served(address: &str) {
    echo(&mut connect(address), b"is anybody there?");
}

/// Sends `total` bytes and then the end, while reading all of them and the end back.
#[track_caller]
pub(crate) fn exchange(mut stream: impl Duplex, total: usize) {
    let mut writing = stream.twin();
    let writer = thread::spawn(move || {
        let mut sent = Pattern::new();
        while sent.passed() < total {
            let bytes = sent.next(total - sent.passed());
            writing.write_all(bytes).expect("the server takes what we send");
        }
        writing.half_close();
    });
    let back = read_to_end(&mut stream);
    writer.join().expect("the writer could write everything");
    assert_eq!(back, total, "law: all that is sent comes back before the end");
}

/// Reads until the orderly end; all of it must be the pattern. Gives the number of bytes.
#[track_caller]
pub(crate) fn read_to_end(stream: &mut impl Read) -> usize {
    let mut back = Pattern::new();
    let mut buf = vec![0; 64 * 1024];
    loop {
        match uninterrupted(|| stream.read(&mut buf)) {
            Ok(0) => return back.passed(),
            Ok(count) => back.confirm(&buf[..count]),
            Err(error) => panic!("law: an orderly end; got {error} after {}", back.passed()),
        }
    }
}

/// Sends the pattern without ever reading, until nothing more goes in. Gives the number of bytes.
pub(crate) fn stuff(stream: &mut impl Duplex, most: usize) -> usize {
    let mut sent = Pattern::new();
    stream.set_blocking(false);
    // Many looks of some milliseconds: far longer than a server needs to take what it will.
    until_still("the server to take no more", 60, || {
        while sent.passed() < most {
            match stream.write(sent.peek(most - sent.passed())) {
                Ok(count) => sent.skip(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("law: a slow reader is not cut off; got {error}"),
            }
        }
        sent.passed()
    });
    stream.set_blocking(true);
    sent.passed()
}

/// Waits until nobody listens on `address` any more.
pub(crate) fn until_refused(address: &str) {
    eventually("the listener to be closed", || TcpStream::connect(address).is_err().then_some(()));
}
