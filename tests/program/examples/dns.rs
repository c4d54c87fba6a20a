//! The name that `examples/dns.rs` resolves, and a small name server with correct, malformed or
//! missing responses.

use std::net::UdpSocket;
use std::thread;

use super::command;

pub(super) const A: [u8; 4] = [0, 1, 0, 1];
const CNAME: [u8; 4] = [0, 5, 0, 1];
/// A pointer to the question's name, after the header.
pub(super) const THE_NAME: [u8; 2] = [0xc0, 12];

#[test]
fn dns_query_and_response() {
    let printed = query_against(|query| {
        // www.example.org is an alias of host.example.org, whose name ends with the question's.
        let to_host = [&b"\x04host"[..], &[0xc0, 16]].concat();
        let alias = record(&THE_NAME, CNAME, 300, &to_host);
        let behind_the_alias = 12 + u16::try_from(query.len() - 12 + 12).unwrap();
        let host = (0xc000 | behind_the_alias).to_be_bytes();
        let address = record(&host, A, 60, &[192, 0, 2, 7]);
        vec![answer(query, 0x8180, &[alias, address])]
    });
    let wanted = "www.example.org. 300 s CNAME host.example.org.\n\
                  host.example.org. 60 s A 192.0.2.7\n\
                  2 answers in 68 bytes\n";
    assert_eq!(printed, (wanted.to_owned(), String::new()));
}

#[test]
fn dns_ignores_mismatched_responses() {
    let printed = query_against(|query| {
        let right = answer(query, 0x8180, &[record(&THE_NAME, A, 1, &[192, 0, 2, 1])]);
        let (mut number, mut name, mut question) = (right.clone(), right.clone(), right.clone());
        number[0] ^= 1;
        name[14] ^= 1;
        question[2] &= 0x7f;
        vec![Vec::new(), number, name, question, right]
    });
    assert_eq!(printed.0.lines().next(), Some("www.example.org. 1 s A 192.0.2.1"), "{printed:?}");
}

#[test]
fn dns_reports_errors() {
    let no_such_name = query_against(|query| vec![answer(query, 0x8183, &[])]);
    assert!(no_such_name.1.contains("NXDOMAIN"), "{no_such_name:?}");
    let refused = query_against(|query| vec![answer(query, 0x8185, &[])]);
    assert!(refused.1.contains("returned error 5"), "{refused:?}");
    let full = [record(&THE_NAME, A, 1, &[192, 0, 2, 1])];
    let cut = query_against(|query| {
        let mut cut = answer(query, 0x8180, &full);
        cut.truncate(cut.len() - 3);
        vec![cut]
    });
    assert!(cut.1.contains("malformed"), "{cut:?}");
    // A truncated response is reported, and its records are shown.
    let printed_reply = query_against(|query| vec![answer(query, 0x8380, &full)]);
    assert!(printed_reply.0.contains("truncated: the response"), "{printed_reply:?}");
    assert!(printed_reply.0.contains("192.0.2.1"), "{printed_reply:?}");
}

#[test]
fn dns_rejects_pointer_loops() {
    // To itself, forward, into the header, past the end; and a name that never ends.
    for pointer in [[0xc0, 33], [0xc0, 40], [0xc0, 0], [0xff, 0xff], [63, 63]] {
        let printed =
            query_against(|query| vec![answer(query, 0x8180, &[record(&pointer, A, 1, &[1; 4])])]);
        let is_refused = printed.1.contains("malformed");
        // A pointer into the header points backwards, and so is allowed: it must terminate, that is
        // all.
        assert!(is_refused || pointer == [0xc0, 0], "{pointer:?}: {printed:?}");
    }
}

#[test]
fn dns_reports_connection_refused() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = command("dns").args([&closed.to_string(), "example.org"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("no server at"), "{error}");
}

/// Output and error of `dns` for these responses.
fn query_against(answers: impl FnOnce(&[u8]) -> Vec<Vec<u8>> + Send) -> (String, String) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap().to_string();
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let mut buf = [0; 512];
            let (count, client) = server.recv_from(&mut buf).unwrap();
            for answer in answers(&buf[..count]) {
                server.send_to(&answer, client).unwrap();
            }
        });
        command("dns").args([&addr, "www.example.org"]).output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    let printed = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.success(), printed.1.is_empty(), "{printed:?}");
    printed
}

pub(super) fn answer(query: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap();
    let mut answer = query.to_vec();
    answer[2..4].copy_from_slice(&flags.to_be_bytes());
    answer[6..8].copy_from_slice(&count.to_be_bytes());
    answer.extend(records.concat());
    answer
}

pub(super) fn record(name: &[u8], kind_and_class: [u8; 4], seconds: u32, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    [name, &kind_and_class, &seconds.to_be_bytes(), &len, data].concat()
}
