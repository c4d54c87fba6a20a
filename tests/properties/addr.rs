//! Properties of `Addr`: round trips of arbitrary bytes and texts.
//!
//! Plain functions over plain values, used by proptest (`tests/properties/main.rs`) and by the
//! fuzzer; they depend on neither. Each panics with the name of the violated invariant.

use core::net::SocketAddrV6;

use epollite::Addr;
use epollite::net::SockAddr;

/// Decodes arbitrary bytes. A decoded address encodes to bytes of the same address, and prints as a
/// text of the same address.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn arbitrary_bytes_never_panic_and_reencode(bytes: &[u8]) {
    let decoded = Addr::decode(bytes);
    if let Ok(addr) = decoded {
        same_significant_bytes(addr, bytes);
        bytes_round_trip(addr);
        text_round_trip(addr);
    }

    let mut filled = SockAddr::EMPTY;
    if let Some(room) = filled.buffer_mut().get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
        filled.set_len(u32::try_from(bytes.len()).expect("128 bytes at most fit"));
        assert_eq!(
            filled.as_bytes(),
            bytes,
            "invariant: a buffer filled by the kernel keeps its bytes"
        );
        assert_eq!(filled.decode(), decoded, "invariant: a buffer decodes like its bytes");
    }
}

/// Encodes an address and decodes it again.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn bytes_round_trip(addr: Addr) {
    let bytes = addr.encode();
    assert_eq!(
        bytes.decode(),
        Ok(addr),
        "invariant: an address decodes from its own bytes: {bytes:?}"
    );
}

/// Prints an address and parses it. Only the flowinfo is lost: it has no textual form.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn text_round_trip(addr: Addr) {
    let text = addr.to_string();
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(printable, "invariant: an address prints as printable ASCII: {text:?}");
    assert_eq!(
        text.parse(),
        Ok(without_flowinfo(addr)),
        "invariant: a printed address parses to itself: {text:?}"
    );
}

/// Parses arbitrary text. A parsed address prints as a text of the same address, and its bytes
/// decode to it.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn arbitrary_text_never_panics(text: &str) {
    if let Ok(addr) = text.parse::<Addr>() {
        assert_eq!(addr, without_flowinfo(addr), "invariant: a text has no flowinfo: {text:?}");
        bytes_round_trip(addr);
        text_round_trip(addr);
    }
}

/// Compares the bytes read with those written, up to the significant length: the zeros after an
/// IPv4 address, and everything after an IP address or the NUL of a path, may differ.
fn same_significant_bytes(addr: Addr, bytes: &[u8]) {
    let written = addr.encode();
    let written = written.as_bytes();
    let telling = match addr {
        Addr::V4(_) => 8,
        Addr::V6(_) => 28,
        Addr::Unix(unix) => match unix.as_path() {
            Some(path) => 2 + path.len(),
            None => bytes.len().max(written.len()),
        },
        Addr::Unspecified => 0,
    };
    assert_eq!(
        written.get(..telling),
        bytes.get(..telling),
        "invariant: an address encodes to the bytes it was decoded from"
    );
}

fn without_flowinfo(addr: Addr) -> Addr {
    match addr {
        Addr::V6(v6) => Addr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        other => other,
    }
}
