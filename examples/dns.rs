//! One question to a name server, built and read by hand: where is this host?
//!
//! ```text
//! cargo run --example dns -- 9.9.9.9 example.org
//! ```
//!
//! DNS by UDP is a datagram there and a datagram back, RFC 1035:
//!
//! ```text
//!  12 bytes of header:  id | flags | questions | answers | authorities | additional
//!  the question:        3www7example3org0 | type A = 1 | class IN = 1
//!  each answer:         name | type | class | seconds it is good for | length | data
//! ```
//!
//! A datagram may be lost, so that the question is asked again; and it may be anybody's, so that
//! only an answer to the very question counts.

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::env;
use std::net::UdpSocket;

use epollite::{Errno, Event, Interest, Kernel, Linux, Reactor, Received, Trigger};

/// How often it is asked, and how long an answer may take each time.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(2);

/// An answer without extensions has at most 512 bytes; room for those who send more.
const MESSAGE_BYTES_MAX: usize = 4_096;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const CLASS_IN: u16 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [server, name] = &words[..] else {
        return Err("usage: dns SERVER[:PORT] NAME".into());
    };
    let id = unlikely_number();
    let query = query(id, name)?;
    let answer = ask(&server_addr(server)?, &query)?;
    let mut found = 0;
    for record in read(&answer, &query)? {
        println!("{record}");
        found += 1;
    }
    println!("{found} answers in {} bytes", answer.len());
    Ok(())
}

fn server_addr(text: &str) -> Result<SocketAddr, Box<dyn Error>> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let ip = text.parse().map_err(|_| format!("'{text}' is no IP address"))?;
    Ok(SocketAddr::new(ip, 53))
}

/// Whoever forges an answer has to guess this, and our port.
fn unlikely_number() -> u16 {
    let nanos = Linux.now().nanos().to_le_bytes();
    u16::from_le_bytes([nanos[0], nanos[1]]) ^ u16::from_le_bytes([nanos[2], nanos[3]])
}

/// Header and question.
fn query(id: u16, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut query = Vec::new();
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        query.extend(word.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..64).contains(len));
        query.push(len.ok_or("a label of a name has 1 to 63 bytes")?);
        query.extend(label.as_bytes());
    }
    query.push(0);
    if query.len() - 12 > 255 {
        return Err("a name has at most 255 bytes".into());
    }
    query.extend(TYPE_A.to_be_bytes());
    query.extend(CLASS_IN.to_be_bytes());
    Ok(query)
}

/// Sends the question until the answer to it comes.
fn ask(server: &SocketAddr, query: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    // Connected, it hears this server only, and of a closed port too.
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    let mut reactor = Reactor::new()?;
    let token = reactor.register_or_close(socket.into(), Interest::READABLE, Trigger::Level, ())?;
    let mut buf = vec![0; MESSAGE_BYTES_MAX];
    for _ in 0..TRIES {
        reactor.source(token).ok_or("it is registered")?.io.send(query)?;
        let deadline = reactor.kernel().now() + PATIENCE;
        while let Some(Event::Io { token, .. }) = reactor.next(Some(deadline))? {
            let Some(mut source) = reactor.source(token) else { continue };
            match source.io.recv(&mut buf) {
                Ok(Received::Bytes(count)) if answers(&buf[..count], query) => {
                    buf.truncate(count);
                    return Ok(buf);
                }
                // Another's, or late, or empty: listen on.
                Ok(_) => {}
                Err(Errno::ECONNREFUSED) => return Err(format!("nobody serves {server}").into()),
                Err(errno) => return Err(errno.into()),
            }
            // A flood of what is not for us must not be listened to for ever.
            if reactor.kernel().now() >= deadline {
                break;
            }
        }
    }
    Err(format!("no answer from {server}").into())
}

/// Whether this answers the query: the same number, and the same question word for word.
fn answers(message: &[u8], query: &[u8]) -> bool {
    message.len() >= query.len()
        && message[..2] == query[..2]
        && message[2] & 0x80 != 0
        && message[12..query.len()] == query[12..]
}

/// The records of an answer, as text.
fn read(message: &[u8], query: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
    const TRUNCATED: u8 = 0x02;
    match message[3] & 0x0f {
        0 => {}
        3 => return Err("there is no such name".into()),
        code => return Err(format!("the server answers with error {code}").into()),
    }
    if message[2] & TRUNCATED != 0 {
        println!("(the answer was too long for a datagram: here is its beginning)");
    }
    let mut reader = Reader { message, at: query.len() };
    let answers = u16::from_be_bytes([message[6], message[7]]);
    let mut records = Vec::new();
    for _ in 0..answers {
        let Some(record) = record(&mut reader) else {
            // A datagram cut short between two records is no error if it says so.
            return if message[2] & TRUNCATED != 0 {
                Ok(records)
            } else {
                Err("the answer is cut short, or makes no sense".into())
            };
        };
        records.push(record);
    }
    Ok(records)
}

fn record(reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.name()?;
    let (kind, class, seconds) = (reader.u16()?, reader.u16()?, reader.u32()?);
    let len = usize::from(reader.u16()?);
    let data = reader.at;
    let bytes = reader.bytes(len)?;
    let text = match (kind, class, bytes) {
        (TYPE_A, CLASS_IN, &[a, b, c, d]) => format!("A {}", Ipv4Addr::new(a, b, c, d)),
        (TYPE_CNAME, CLASS_IN, _) => {
            // Its name may point back into the message.
            format!("CNAME {}", Reader { message: reader.message, at: data }.name()?)
        }
        _ => format!("type {kind}, {len} bytes"),
    };
    Some(format!("{name} {seconds} s {text}"))
}

/// A place in a message. Nothing here trusts what the message says of its own lengths.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A name: labels, and at its end a zero or a pointer to where it goes on. A pointer must go
    /// back, so that following them has an end.
    fn name(&mut self) -> Option<String> {
        let (mut name, mut at, mut earliest, mut end) = (String::new(), self.at, self.at, None);
        loop {
            let len = *self.message.get(at)?;
            match len {
                0 => break,
                1..64 => {
                    let label = self.message.get(at + 1..at + 1 + usize::from(len))?;
                    // What is no printable ASCII is shown as what it is in bytes.
                    name.push_str(&label.escape_ascii().to_string());
                    name.push('.');
                    at += 1 + usize::from(len);
                }
                0xc0.. => {
                    let low = *self.message.get(at + 1)?;
                    end = end.or(Some(at + 2));
                    at = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                    if at >= earliest {
                        return None;
                    }
                    earliest = at;
                }
                _ => return None,
            }
            if name.len() > 4 * 255 {
                return None;
            }
        }
        self.at = end.unwrap_or(at + 1);
        Some(if name.is_empty() { ".".into() } else { name })
    }
}
