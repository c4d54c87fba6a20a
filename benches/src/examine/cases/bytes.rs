//! Bytes come back as they were sent: lengths and contents.

use super::because::ECHO;
use super::grouped;
use crate::examine::case::{Case, many, stream};
use crate::examine::failure::Checked;
use crate::examine::payload::payload;

/// Lengths at which buffers end: names and bytes.
const LENGTHS: [(&str, usize); 14] = [
    ("1", 1),
    ("2", 2),
    ("1023", 1023),
    ("4095", 4095),
    ("4096", 4096),
    ("4097", 4097),
    ("16384", 16_384),
    ("16385", 16_385),
    ("65535", 65_535),
    ("65536", 65_536),
    ("65537", 65_537),
    ("131072", 131_072),
    ("1-mib", 1 << 20),
    ("8-mib", 8 << 20),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = LENGTHS.iter().map(|&(name, len)| length(name, len)).collect();
    cases.extend(CONTENTS.iter().map(|&(name, right, bytes)| content(name, right, bytes)));
    cases.extend([
        stream("lengths-1-to-300", "messages of 1 to 300 bytes come back", ECHO, |ctx| {
            let client = ctx.client()?;
            (1..=300).try_for_each(|len| client.echo(&payload(len as u64, len)))
        }),
        stream("two-messages", "the second message comes back after the first", ECHO, |ctx| {
            let client = ctx.client()?;
            client.echo(&payload(1, 700))?;
            client.echo_to_the_end(&payload(2, 300))
        }),
        stream("same-message-twice", "equal messages are two messages", ECHO, |ctx| {
            let client = ctx.client()?;
            (0..8).try_for_each(|_| client.echo(b"the same bytes again"))
        }),
        stream("nothing-unasked", "no byte comes before the client has sent one", ECHO, |ctx| {
            let silent = ctx.client()?;
            wait_a_little(ctx)?;
            silent.expect_silence()?;
            silent.echo_to_the_end(b"x")
        }),
        stream("nothing-behind-the-echo", "no byte comes behind the echo", ECHO, |ctx| {
            let client = ctx.client()?;
            client.echo(&payload(3, 5000))?;
            wait_a_little(ctx)?;
            client.expect_silence()?;
            client.half_close()?;
            client.expect_end()
        }),
        stream("every-byte-value", "all 256 values, in every pair, come back", ECHO, |ctx| {
            let pairs = (0..=u8::MAX).flat_map(|one| (0..=u8::MAX).map(move |two| [one, two]));
            ctx.client()?.echo_to_the_end(&pairs.flatten().collect::<Vec<u8>>())
        }),
        many("clients-do-not-mix", "each client gets its own bytes", ECHO, |ctx| {
            let clients = ctx.clients(16)?;
            for round in 0..8 {
                let data = |at: usize| payload((round * 16 + at) as u64, 900 + at);
                for (at, client) in clients.iter().enumerate() {
                    client.send(&data(at))?;
                }
                for (at, client) in clients.iter().enumerate().rev() {
                    client.receive(&data(at))?;
                }
            }
            Ok(())
        }),
    ]);
    cases
}

/// Contents that a line editor, a terminal, a C string or a decoder would change.
const CONTENTS: [(&str, &str, &[u8]); 9] = [
    ("nul", "NUL bytes come back unchanged", &[0]),
    ("nul-inside", "a NUL within a text comes back unchanged", b"one\0two"),
    ("0xff", "bytes 0xff, in telnet a command, come back unchanged", &[0xff]),
    ("lf", "line feeds come back unchanged", b"\n"),
    ("crlf", "CR LF, CR and LF are not converted", b"a\r\nb\rc\nd\n\r"),
    (
        "control",
        "the control characters of a terminal are nothing but bytes",
        b"\x04\x03\x1a\x7f\x08",
    ),
    ("utf-8", "characters of several bytes come back unchanged", "Größe 🦀 漢字 ".as_bytes()),
    (
        "not-utf-8",
        "bytes that are no UTF-8 come back unchanged",
        &[0xc3, 0x28, 0xa0, 0xed, 0xa0, 0x80, 0xf8],
    ),
    ("format", "what printf(3) would replace comes back unchanged", b"%s%n%d%%{}\\n"),
];

fn length(name: &str, len: usize) -> Case {
    let right = if len == 1 {
        "a byte comes back, then the end".to_owned()
    } else {
        format!("{} bytes come back, then the end", grouped(len))
    };
    stream(name, &right, ECHO, move |ctx| ctx.client()?.echo_to_the_end(&payload(len as u64, len)))
}

/// The content once, and many times over.
fn content(name: &str, right: &str, bytes: &'static [u8]) -> Case {
    let name = format!("content-{name}");
    stream(&name, right, ECHO, move |ctx| {
        let client = ctx.client()?;
        client.echo(bytes)?;
        client.echo_to_the_end(&bytes.repeat(70_000 / bytes.len()))
    })
}

fn wait_a_little(ctx: &crate::examine::context::Context<'_>) -> Checked {
    ctx.pause(std::time::Duration::from_millis(60))
}
