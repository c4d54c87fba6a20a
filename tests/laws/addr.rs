//! The laws of `Addr`: bytes and texts from anywhere, there and back.
//!
//! Plain functions over plain values, for proptest (`tests/laws.rs`) and the fuzzer alike: they
//! know neither. Each panics with the name of the law that was broken.

use core::net::SocketAddrV6;

use epollite::{Addr, SockAddr};

/// Decodes any bytes; what is an address encodes to bytes that are the same address, and prints as
/// a text that is the same address.
///
/// # Panics
/// When a law is broken, with its name.
pub fn hostile_bytes_never_panic_and_reencode(bytes: &[u8]) {
    let decoded = Addr::decode(bytes);
    if let Ok(addr) = decoded {
        same_bytes_where_they_say_something(addr, bytes);
        bytes_round_trip(addr);
        text_round_trip(addr);
    }

    let mut filled = SockAddr::EMPTY;
    if let Some(room) = filled.buffer_mut().get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
        filled.set_len(u32::try_from(bytes.len()).expect("128 bytes at most fit"));
        assert_eq!(filled.as_bytes(), bytes, "law: a kernel's buffer holds what was written");
        assert_eq!(filled.decode(), decoded, "law: a buffer decodes as its bytes do");
    }
}

/// Encodes an address and decodes it again.
///
/// # Panics
/// When a law is broken, with its name.
pub fn bytes_round_trip(addr: Addr) {
    let bytes = addr.encode();
    assert_eq!(bytes.decode(), Ok(addr), "law: an address decodes from its own bytes: {bytes:?}");
}

/// Prints an address and reads it back. Flowinfo alone is lost: nobody writes it, so neither do we.
///
/// # Panics
/// When a law is broken, with its name.
pub fn text_round_trip(addr: Addr) {
    let text = addr.to_string();
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(printable, "law: an address prints as printable ASCII: {text:?}");
    assert_eq!(
        text.parse(),
        Ok(without_flowinfo(addr)),
        "law: what is printed reads back as the same address: {text:?}"
    );
}

/// Reads any text; what is an address prints as a text that is the same address, and so do its
/// bytes.
///
/// # Panics
/// When a law is broken, with its name.
pub fn hostile_text_never_panics(text: &str) {
    if let Ok(addr) = text.parse::<Addr>() {
        assert_eq!(addr, without_flowinfo(addr), "law: a text has no flowinfo: {text:?}");
        bytes_round_trip(addr);
        text_round_trip(addr);
    }
}

/// Compares what was read with what is written, by counting bytes only: the zeros after an IPv4
/// address, and all that follows an IP address or the NUL of a path, may be anything.
fn same_bytes_where_they_say_something(addr: Addr, bytes: &[u8]) {
    let written = addr.encode();
    let written = written.as_bytes();
    let telling = match addr {
        Addr::V4(_) => 8,
        Addr::V6(_) => 28,
        Addr::Unix(unix) => match unix.as_path() {
            Some(path) => 2 + path.len(),
            None => bytes.len().max(written.len()),
        },
        Addr::Unspec => 0,
    };
    assert_eq!(
        written.get(..telling),
        bytes.get(..telling),
        "law: an address is written as it was read"
    );
}

fn without_flowinfo(addr: Addr) -> Addr {
    match addr {
        Addr::V6(v6) => Addr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        other => other,
    }
}
