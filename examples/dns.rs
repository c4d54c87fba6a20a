//! One query to a name server, built and parsed by hand: the addresses of a host.
//!
//! ```text
//! cargo run --example dns -- 9.9.9.9 example.org
//! ```
//!
//! DNS over UDP is one datagram each way, RFC 1035:
//!
//! ```text
//!  12 bytes of header:  id | flags | questions | answers | authorities | additional
//!  the question:        3www7example3org0 | type A = 1 | class IN = 1
//!  each answer:         name | type | class | time to live in seconds | length | data
//! ```
//!
//! A datagram may be lost, so the query is repeated; and it may be forged, so only a response to
//! this query counts.

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::env;
use std::net::UdpSocket;

use epollite::{Errno, Event, Interest, Kernel, Linux, Reactor, Received, Trigger};

/// How often the query is sent, and how long to wait for a response each time.
const ATTEMPTS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(2);

/// A response without extensions has at most 512 bytes; room for servers that send more.
const MESSAGE_BYTES_MAX: usize = 4_096;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const CLASS_IN: u16 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [server, name] = &args[..] else {
        return Err("usage: dns SERVER[:PORT] NAME".into());
    };
    let id = random_id();
    let query = query(id, name)?;
    let response = exchange(&server_addr(server)?, &query)?;
    let records = parse_records(&response, &query)?;
    for record in &records {
        println!("{record}");
    }
    println!("{} answers in {} bytes", records.len(), response.len());
    Ok(())
}

fn server_addr(text: &str) -> Result<SocketAddr, Box<dyn Error>> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let ip = text.parse().map_err(|_| format!("'{text}' is not an IP address"))?;
    Ok(SocketAddr::new(ip, 53))
}

/// A forged response has to contain this, and be sent to our port.
fn random_id() -> u16 {
    let nanos = Linux.now().as_nanos().to_le_bytes();
    u16::from_le_bytes([nanos[0], nanos[1]]) ^ u16::from_le_bytes([nanos[2], nanos[3]])
}

/// The header and the question.
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

/// Sends the query until the response arrives.
fn exchange(server: &SocketAddr, query: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    // Connected, the socket receives from this server only, and reports a closed port.
    socket.connect(server)?;
    let mut reactor = Reactor::new()?;
    let token = reactor.register_or_close(socket.into(), Interest::READABLE, Trigger::Level, ())?;
    let mut buf = vec![0; MESSAGE_BYTES_MAX];
    for _ in 0..ATTEMPTS {
        reactor.get_mut(token).ok_or("it is registered")?.1.send(query)?;
        let deadline = reactor.kernel().now() + TIMEOUT;
        while let Some(Event::Io { token, .. }) = reactor.next(Some(deadline))? {
            let Some((_, mut io)) = reactor.get_mut(token) else { continue };
            match io.recv(&mut buf) {
                Ok(Received::Bytes(count)) if is_response(&buf[..count], query) => {
                    buf.truncate(count);
                    return Ok(buf);
                }
                // From another query, late, or empty: continue.
                Ok(_) => {}
                Err(Errno::ECONNREFUSED) => return Err(format!("no server at {server}").into()),
                Err(errno) => return Err(errno.into()),
            }
            // A flood of other datagrams must not extend the wait.
            if reactor.kernel().now() >= deadline {
                break;
            }
        }
    }
    Err(format!("no response from {server}").into())
}

/// Whether this is a response to the query: the same id, and the same question.
fn is_response(message: &[u8], query: &[u8]) -> bool {
    message.len() >= query.len()
        && message[..2] == query[..2]
        && message[2] & 0x80 != 0
        && message[12..query.len()] == query[12..]
}

/// The records of a response, as text.
fn parse_records(message: &[u8], query: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
    const TRUNCATED: u8 = 0x02;
    match message[3] & 0x0f {
        0 => {}
        3 => return Err("the name does not exist (NXDOMAIN)".into()),
        code => return Err(format!("the server returned error {code}").into()),
    }
    if message[2] & TRUNCATED != 0 {
        println!("(truncated: the response does not fit a datagram)");
    }
    let mut reader = Reader { message, offset: query.len() };
    let answers = u16::from_be_bytes([message[6], message[7]]);
    let mut records = Vec::new();
    for _ in 0..answers {
        let Some(record) = record(&mut reader) else {
            // A truncated response may end between two records.
            return if message[2] & TRUNCATED != 0 {
                Ok(records)
            } else {
                Err("the response is malformed".into())
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
    let data = reader.offset;
    let bytes = reader.bytes(len)?;
    let text = match (kind, class, bytes) {
        (TYPE_A, CLASS_IN, &[a, b, c, d]) => format!("A {}", Ipv4Addr::new(a, b, c, d)),
        (TYPE_CNAME, CLASS_IN, _) => {
            // The name may be a pointer into the message.
            format!("CNAME {}", Reader { message: reader.message, offset: data }.name()?)
        }
        _ => format!("type {kind}, {len} bytes"),
    };
    Some(format!("{name} {seconds} s {text}"))
}

/// A position in a message. Lengths in the message are not trusted.
struct Reader<'a> {
    message: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.offset..self.offset.checked_add(len)?)?;
        self.offset += len;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A name: labels, and at its end a zero or a pointer to its continuation. A pointer must go
    /// backwards, so that following pointers terminates.
    fn name(&mut self) -> Option<String> {
        let (mut name, mut offset, mut earliest, mut end) =
            (String::new(), self.offset, self.offset, None);
        loop {
            let len = *self.message.get(offset)?;
            match len {
                0 => break,
                1..64 => {
                    let label = self.message.get(offset + 1..offset + 1 + usize::from(len))?;
                    // Bytes that are not printable ASCII are escaped.
                    name.push_str(&label.escape_ascii().to_string());
                    name.push('.');
                    offset += 1 + usize::from(len);
                }
                0xc0.. => {
                    let low = *self.message.get(offset + 1)?;
                    end = end.or(Some(offset + 2));
                    offset = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                    if offset >= earliest {
                        return None;
                    }
                    earliest = offset;
                }
                _ => return None,
            }
            if name.len() > 4 * 255 {
                return None;
            }
        }
        self.offset = end.unwrap_or(offset + 1);
        Some(if name.is_empty() { ".".into() } else { name })
    }
}
