//! Servers of datagrams.

use std::net::{SocketAddr, UdpSocket};
use std::process::exit;
use std::thread;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, UdpGroSegment};

/// By this datagram `examine` sees after each case that the server still serves.
const ANSWERED_CHECK: &[u8] = b"still served?";

pub(super) fn serve(wrong: &'static str, port: u16) {
    let address = match wrong {
        "from-any-address" | "right-everywhere" => "0.0.0.0",
        "ignores-ipv6" => "::",
        _ => "127.0.0.1",
    };
    let Ok(socket) = UdpSocket::bind((address, port)) else { exit(1) };
    if wrong == "ends-at-icmp-error" {
        setsockopt(&socket, Ipv4RecvErr, &true).unwrap();
    }
    if wrong == "merges-segments" {
        setsockopt(&socket, UdpGroSegment, &true).unwrap();
    }
    if matches!(wrong, "drops-beyond-8" | "answers-the-latest") {
        in_batches(wrong, &socket);
    }
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut buf = vec![0; 1 << 17];
    let (mut peers, mut last, mut first, mut long_ones) = (Vec::new(), None, None, 0_u64);
    for nth in 0_u64.. {
        let (count, from) = match socket.recv_from(&mut buf) {
            Ok(received) => received,
            Err(_) if wrong == "ends-at-icmp-error" => exit(1),
            Err(_) => continue,
        };
        let data = buf[..count].to_vec();
        long_ones += u64::from(count > 9000);
        if !peers.contains(&from) {
            peers.push(from);
        }
        let repeated = last.replace((data.clone(), from)) == Some((data.clone(), from));
        let answer = match wrong {
            "cuts-at-1472" => data[..count.min(1472)].to_vec(),
            "cuts-at-512" => data[..count.min(512)].to_vec(),
            "cuts-at-65000" => data[..count.min(65_000)].to_vec(),
            "cuts-at-nul" => data.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            "alters" if data != ANSWERED_CHECK => match data.split_last() {
                Some((last, rest)) => [rest, &[last ^ 1]].concat(),
                None => vec![0],
            },
            "ignores-empty" if count == 0 => continue,
            "ignores-repetition" if repeated => continue,
            "ignores-ipv6" if from.ip().to_canonical().is_ipv6() => continue,
            "stops-at-20" if nth > 20 => continue,
            "stops-at-long-ones" if long_ones > 3 => continue,
            "spins-from-100-on" if nth == 100 => {
                thread::spawn(super::work_without_end);
                data
            }
            "ignores-from-100-clients-on" if peers.len() > 100 => continue,
            "alters-some" if nth % 64 == 63 && count == 48 => vec![0; 48],
            "merges" => match first.take() {
                None if count == 100 => {
                    first = Some(data);
                    continue;
                }
                None => data,
                Some(first) => [first, data].concat(),
            },
            _ => data,
        };
        match wrong {
            "from-another-port" if count == 11 => drop(other.send_to(&answer, from)),
            "tells-all" => {
                peers.iter().for_each(|peer| drop(socket.send_to(&answer, peer)));
            }
            "twice" => (0..2).for_each(|_| drop(socket.send_to(&answer, from))),
            "answers-short-ones-only" if count > 9000 => {}
            _ => drop(socket.send_to(&answer, from)),
        }
    }
}

/// Takes what has come in a while, and then answers: not all of it, or not to all.
fn in_batches(wrong: &str, socket: &UdpSocket) -> ! {
    let mut buf = vec![0; 1 << 17];
    loop {
        let mut batch: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
        socket.set_nonblocking(false).unwrap();
        while let Ok((count, from)) = socket.recv_from(&mut buf) {
            batch.push((buf[..count].to_vec(), from));
            if batch.len() == 1 {
                thread::sleep(Duration::from_millis(10));
                socket.set_nonblocking(true).unwrap();
            }
        }
        let Some(latest) = batch.last().map(|(_, from)| *from) else { continue };
        for (nth, (data, from)) in batch.into_iter().enumerate() {
            let to = if wrong == "answers-the-latest" { latest } else { from };
            if wrong != "drops-beyond-8" || nth < 8 {
                drop(socket.send_to(&data, to));
            }
        }
    }
}
