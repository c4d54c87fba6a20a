//! Datagrams: every length, boundaries, sources, floods, peers that have gone.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use super::because::{ANY_ADDRESS, BOUNDARY, SLEEP, UDP, UDP_ERRORS, UDP_SOURCE};
use super::grouped;
use super::tcp::need_wildcard;
use crate::examine::case::{Case, datagrams};
use crate::examine::context::Context;
use crate::examine::datagram::{
    echo, echo_with_retries, expect_silence, receive, send as send_one,
};
use crate::examine::failure::{Checked, Local, wrong};
use crate::examine::payload::{difference, payload};
use crate::examine::wait;

/// The longest datagram over IPv4: 65,535 minus the headers of IP and UDP.
const LONGEST: usize = 65_507;

/// Names and lengths.
const LENGTHS: [(&str, usize); 10] = [
    ("empty", 0),
    ("1", 1),
    ("2", 2),
    ("512", 512),
    ("1472", 1472),
    ("1473", 1473),
    ("4096", 4096),
    ("8192", 8192),
    ("65506", 65_506),
    ("65507", LONGEST),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = LENGTHS.iter().map(|&(name, len)| length(name, len)).collect();
    cases.extend(lengths());
    cases.extend(boundaries());
    cases.extend(sources());
    cases.extend(floods());
    cases.extend(errors());
    cases
}

fn length(name: &str, len: usize) -> Case {
    let right = match len {
        0 => "an empty datagram comes back".to_owned(),
        1 => "a datagram of one byte comes back".to_owned(),
        _ => format!("a datagram of {} bytes comes back whole", grouped(len)),
    };
    datagrams(&format!("length-{name}"), &right, BOUNDARY, move |ctx| {
        echo(&ctx.datagrams()?, &payload(len as u64, len), ctx.deadline)
    })
}

fn lengths() -> Vec<Case> {
    vec![
        datagrams(
            "lengths-0-to-1472",
            "every length that Ethernet carries comes back whole",
            BOUNDARY,
            |ctx| {
                let socket = ctx.datagrams()?;
                (0..=1472)
                    .try_for_each(|len| echo(&socket, &payload(len as u64, len), ctx.deadline))
            },
        ),
        datagrams(
            "lengths-sampled",
            "lengths up to 65,507, 997 apart, come back whole",
            BOUNDARY,
            |ctx| {
                let socket = ctx.datagrams()?;
                let mut lengths = (1473..LONGEST).step_by(997);
                lengths.try_for_each(|len| echo(&socket, &payload(len as u64, len), ctx.deadline))
            },
        ),
        datagrams("every-byte-value", "all 256 values come back", UDP, |ctx| {
            let bytes: Vec<u8> = (0..=u8::MAX).collect();
            echo(&ctx.datagrams()?, &bytes, ctx.deadline)
        }),
        datagrams("nul", "1,000 NUL bytes come back", UDP, |ctx| {
            echo(&ctx.datagrams()?, &[0; 1000], ctx.deadline)
        }),
    ]
}

fn boundaries() -> Vec<Case> {
    vec![
        datagrams("two-are-two", "two datagrams are answered by two", BOUNDARY, |ctx| {
            expect_all(ctx, &[payload(1, 100), payload(2, 50)])
        }),
        datagrams("equal-ones", "equal datagrams are answered each", UDP, |ctx| {
            expect_all(ctx, &vec![b"equal".to_vec(); 6])
        }),
        datagrams(
            "empty-between",
            "an empty datagram between others is answered",
            BOUNDARY,
            |ctx| expect_all(ctx, &[b"one".to_vec(), Vec::new(), b"three".to_vec()]),
        ),
        datagrams(
            "long-and-short",
            "a short datagram behind a long one comes back as it is",
            BOUNDARY,
            |ctx| {
                expect_all(ctx, &[payload(3, 30_000), payload(4, 3), payload(5, 9000), Vec::new()])
            },
        ),
        datagrams("burst-of-32", "32 small datagrams at once are all answered", UDP, |ctx| {
            expect_all(ctx, &(0..32).map(|nth| payload(nth, 64)).collect::<Vec<_>>())
        }),
        datagrams("once", "a datagram is answered once", UDP, |ctx| {
            let socket = ctx.datagrams()?;
            echo(&socket, b"once", ctx.deadline)?;
            ctx.pause(Duration::from_millis(60))?;
            expect_silence(&socket)
        }),
        datagrams("nothing-unasked", "no datagram comes unasked", UDP, |ctx| {
            let socket = ctx.datagrams()?;
            echo(&socket, b"asked once", ctx.deadline)?;
            ctx.others_are_served()?;
            ctx.pause(Duration::from_millis(60))?;
            expect_silence(&socket)
        }),
        datagrams("in-parts", "what MSG_MORE gathers is one datagram", BOUNDARY, |ctx| {
            let (socket, data) = (ctx.datagrams()?, payload(6, 900));
            let (more, raw) = (nix::libc::MSG_MORE, socket2::SockRef::from(&socket));
            raw.send_with_flags(&data[..400], more).local("send")?;
            raw.send(&data[400..]).local("send")?;
            expect(&receive(&socket, ctx.deadline)?, &data)
        }),
        datagrams(
            "segmented",
            "what UDP_SEGMENT cuts is answered piece by piece",
            BOUNDARY,
            |ctx| {
                let (socket, data) = (ctx.datagrams()?, payload(7, 800));
                setsockopt(&socket, UdpGsoSegment, &100).local("UDP_SEGMENT")?;
                send_one(&socket, &data, ctx.deadline)?;
                receive_set(&socket, data.chunks(100).map(<[u8]>::to_vec).collect(), ctx.deadline)
            },
        ),
        datagrams(
            "round-trips-500",
            "500 round trips are answered one after the other",
            UDP,
            |ctx| {
                let socket = ctx.datagrams()?;
                (0..500).try_for_each(|nth| echo(&socket, &payload(nth, 64), ctx.deadline))
            },
        ),
    ]
}

fn sources() -> Vec<Case> {
    vec![
        datagrams("32-clients", "each client gets its own datagrams", UDP, |ctx| {
            let sockets: Checked<Vec<UdpSocket>> = (0..32).map(|_| ctx.datagrams()).collect();
            let sockets = sockets?;
            for (nth, socket) in sockets.iter().enumerate() {
                send_one(socket, &payload(nth as u64, 64 + nth), ctx.deadline)?;
            }
            for (nth, socket) in sockets.iter().enumerate() {
                expect(&receive(socket, ctx.deadline)?, &payload(nth as u64, 64 + nth))?;
            }
            Ok(())
        }),
        datagrams(
            "source-port",
            "the answer comes from the port that was asked",
            UDP_SOURCE,
            |ctx| {
                let Some(server) = ctx.subject.ip() else { return wrong("no address") };
                from_address(ctx, server)
            },
        ),
        datagrams("source-address", "127.0.0.2 was asked, 127.0.0.2 answers", UDP_SOURCE, |ctx| {
            need_wildcard(ctx, IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
            let server = ctx.at(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)))?;
            from_address(ctx, server.as_socket().ok_or_else(no_address)?)
        }),
        datagrams("ipv6", "a socket bound to :: answers ::1", ANY_ADDRESS, |ctx| {
            need_wildcard(ctx, IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
            let server = ctx.at(IpAddr::V6(Ipv6Addr::LOCALHOST))?;
            from_address(ctx, server.as_socket().ok_or_else(no_address)?)
        }),
        datagrams("new-sockets", "300 clients, one after the other, are answered", UDP, |ctx| {
            (0..300).try_for_each(|nth| echo(&ctx.datagrams()?, &payload(nth, 32), ctx.deadline))
        }),
    ]
}

fn floods() -> Vec<Case> {
    vec![
        datagrams("flood", "after 20,000 unread datagrams others are served", UDP, |ctx| {
            flood(ctx, 20_000, 64)
        }),
        datagrams(
            "flood-of-long-ones",
            "after 300 unread ones of 60,000 bytes others are served",
            UDP,
            |ctx| flood(ctx, 300, 60_000),
        ),
        datagrams(
            "flood-of-empty-ones",
            "after 5,000 unread empty ones others are served",
            UDP,
            |ctx| flood(ctx, 5000, 0),
        ),
        datagrams("flood-unaltered", "what a flood leaves of the echo is unaltered", UDP, |ctx| {
            let socket = ctx.datagrams()?;
            let sent: BTreeSet<Vec<u8>> = (0..2000).map(|nth| payload(nth, 48)).collect();
            sent.iter().try_for_each(|data| send_one(&socket, data, ctx.deadline))?;
            let mut count = 0;
            while wait::ready(
                &socket,
                PollFlags::POLLIN,
                Instant::now() + Duration::from_millis(200),
            )? {
                if !sent.contains(&receive(&socket, ctx.deadline)?) {
                    return wrong("a datagram came that was never sent");
                }
                count += 1;
            }
            if count == 0 { wrong("no answer to any of 2,000") } else { Ok(()) }
        }),
        Case {
            needs_process: true,
            ..datagrams("idle-after-flood", "the server sleeps after a flood", SLEEP, |ctx| {
                flood(ctx, 5000, 64)?;
                ctx.check_idle()
            })
        },
        Case {
            needs_process: true,
            ..datagrams("queued-while-stopped", "what waits in the queue is answered", UDP, |ctx| {
                let (socket, data) = (ctx.datagrams()?, payload(8, 640));
                ctx.process()?.set_stopped(true);
                let mut parts = data.chunks(64);
                let sent = parts.try_for_each(|part| send_one(&socket, part, ctx.deadline));
                ctx.process()?.set_stopped(false);
                sent?;
                receive_set(&socket, data.chunks(64).map(<[u8]>::to_vec).collect(), ctx.deadline)
            })
        },
    ]
}

fn errors() -> Vec<Case> {
    vec![
        datagrams(
            "client-gone",
            "a client that has closed is no error for others",
            UDP_ERRORS,
            |ctx| {
                // Its port is its own: a late answer cannot be another client's.
                let other = ctx.datagrams()?;
                // A server that can be stopped answers none of them before it closes.
                let set_stopped = |is_stopped| {
                    ctx.process().into_iter().for_each(|process| process.set_stopped(is_stopped));
                };
                set_stopped(true);
                let sent = (0..50).try_for_each(|nth| {
                    send_one(&ctx.datagrams()?, &payload(nth, 64), ctx.deadline)
                });
                set_stopped(false);
                sent?;
                echo_with_retries(&other, b"still served?", ctx.deadline)
            },
        ),
        datagrams(
            "clients-come-and-go",
            "clients that have closed are no error between round trips",
            UDP_ERRORS,
            |ctx| {
                let staying = ctx.datagrams()?;
                for nth in 0..50 {
                    send_one(&ctx.datagrams()?, b"gone", ctx.deadline)?;
                    echo(&staying, &payload(nth, 100), ctx.deadline)?;
                }
                Ok(())
            },
        ),
        datagrams(
            "small-receive-buffer",
            "a client that cannot hold its answers keeps no other waiting",
            UDP,
            |ctx| {
                let socket = ctx.datagrams()?;
                socket2::SockRef::from(&socket).set_recv_buffer_size(2304).local("SO_RCVBUF")?;
                for nth in 0..200 {
                    send_one(&socket, &payload(nth, 1000), ctx.deadline)?;
                }
                ctx.others_are_served()
            },
        ),
    ]
}

/// Sends all, and expects an answer to each, in any order.
fn expect_all(ctx: &Context<'_>, data: &[Vec<u8>]) -> Checked {
    let socket = ctx.datagrams()?;
    data.iter().try_for_each(|data| send_one(&socket, data, ctx.deadline))?;
    receive_set(&socket, data.to_vec(), ctx.deadline)
}

fn receive_set(socket: &UdpSocket, mut missing: Vec<Vec<u8>>, deadline: Instant) -> Checked {
    while !missing.is_empty() {
        let got = receive(socket, deadline)?;
        match missing.iter().position(|data| *data == got) {
            Some(at) => drop(missing.swap_remove(at)),
            None => return wrong(format!("{} bytes came that were not sent like that", got.len())),
        }
    }
    Ok(())
}

fn expect(got: &[u8], sent: &[u8]) -> Checked {
    difference(sent, got).map_or(Ok(()), wrong)
}

/// Sends without reading, then lets another client ask.
fn flood(ctx: &mut Context<'_>, count: u64, len: usize) -> Checked {
    let (socket, data) = (ctx.datagrams()?, payload(9, len));
    (0..count).try_for_each(|_| send_one(&socket, &data, ctx.deadline))?;
    drop(socket);
    ctx.others_are_served()
}

/// Asks this address from a socket that is not connected, and compares the source of the answer.
fn from_address(ctx: &Context<'_>, server: SocketAddr) -> Checked {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).local("bind")?;
    socket.set_nonblocking(true).local("fcntl")?;
    socket.send_to(b"from where?", server).local("sendto")?;
    let mut buf = [0; 64];
    if !wait::ready(&socket, PollFlags::POLLIN, ctx.deadline)? {
        return wrong(format!("no answer from {server} in time"));
    }
    match socket.recv_from(&mut buf) {
        Ok((count, from)) if from == server => expect(&buf[..count], b"from where?"),
        Ok((_, from)) => wrong(format!("{server} was asked, and {from} answered")),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => wrong("refused"),
        Err(error) => Err(error).local("recvfrom"),
    }
}

fn no_address() -> crate::examine::failure::Stop {
    crate::examine::failure::Stop::Skipped("no address".to_owned())
}
