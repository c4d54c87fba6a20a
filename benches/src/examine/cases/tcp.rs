//! What only TCP has: the urgent byte, options, addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

use super::because::{
    ANY_ADDRESS, DUAL_STACK, ECHO, KEEPALIVE, SAME_PORT, SLEEP, STREAM, URGENT, ZERO_WINDOW,
};
use crate::case::Transport;
use crate::examine::case::{Case, On, many, stream};
use crate::examine::client::Client;
use crate::examine::context::Context;
use crate::examine::failure::{Checked, Local, skipped, wrong};
use crate::examine::payload::payload;
use crate::examine::vitals;
use crate::examine::wait;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = urgent();
    cases.extend(options());
    cases.extend(addresses());
    cases.into_iter().map(|case| Case { on: On::Tcp, ..case }).collect()
}

fn urgent() -> Vec<Case> {
    vec![
        stream("urgent-byte", "the stream goes on behind an urgent byte", URGENT, |ctx| {
            let client = ctx.client()?;
            client.echo(b"before")?;
            send_urgent(&client)?;
            client.send(b"behind")?;
            client.half_close()?;
            expect_around_urgent(&client, b"", b"behind")
        }),
        stream("urgent-inside", "bytes on both sides of an urgent byte come back", URGENT, |ctx| {
            let client = ctx.client()?;
            client.send(b"before")?;
            send_urgent(&client)?;
            client.send(b"behind")?;
            client.half_close()?;
            expect_around_urgent(&client, b"before", b"behind")
        }),
        stream(
            "urgent-last",
            "the bytes before an urgent byte and a FIN come back",
            URGENT,
            |ctx| {
                let client = ctx.client()?;
                client.send(b"before")?;
                send_urgent(&client)?;
                client.half_close()?;
                expect_around_urgent(&client, b"before", b"")
            },
        ),
        Case {
            needs_process: true,
            ..stream("urgent-idle", "the server sleeps beside an urgent byte", SLEEP, |ctx| {
                let client = ctx.client()?;
                client.echo(b"before")?;
                send_urgent(&client)?;
                ctx.check_idle()
            })
        },
    ]
}

fn send_urgent(client: &Client) -> Checked {
    client.socket.send_out_of_band(b"!").local("send").map(drop)
}

/// Reads to the end: `before`, the urgent byte or not, `behind`.
fn expect_around_urgent(client: &Client, before: &[u8], behind: &[u8]) -> Checked {
    let got = client.receive_to_the_end()?;
    let without = [before, behind].concat();
    let with = [before, b"!", behind].concat();
    if got == without || got == with {
        return Ok(());
    }
    wrong(format!("{} bytes came back, and {} or one more are right", got.len(), without.len()))
}

fn prepared(
    name: &str,
    right: &str,
    prepare: impl Fn(&Socket) -> io::Result<()> + 'static,
) -> Case {
    stream(name, right, STREAM, move |ctx| {
        ctx.client_with(&prepare)?.echo_to_the_end(&payload(1, 200_000))
    })
}

fn options() -> Vec<Case> {
    vec![
        prepared("small-segments", "200 KB in segments of 88 bytes come back", |socket| {
            socket.set_tcp_mss(88)
        }),
        prepared("nodelay", "200 KB come back without the delay of Nagle", |socket| {
            socket.set_tcp_nodelay(true)
        }),
        prepared("delayed-acks", "200 KB come back with delayed acknowledgements", |socket| {
            socket.set_tcp_quickack(false)
        }),
        stream("keepalive", "keepalive probes are no bytes", KEEPALIVE, |ctx| {
            let every = Duration::from_secs(1);
            let keepalive = TcpKeepalive::new().with_time(every).with_interval(every);
            let client = ctx.client_with(|socket| socket.set_tcp_keepalive(&keepalive))?;
            client.echo(b"before")?;
            ctx.pause(Duration::from_millis(1300))?;
            client.expect_silence()?;
            client.echo_to_the_end(b"behind")
        }),
        stream(
            "same-port-again",
            "a client's port is served again after a reset",
            SAME_PORT,
            same_port_again,
        ),
        stream(
            "zero-window",
            "the window closes and opens again: all bytes come back",
            ZERO_WINDOW,
            |ctx| {
                let client = ctx.client_with(|socket| socket.set_recv_buffer_size(4096))?;
                let data = payload(2, 512 << 10);
                let sent = client.fill(&data, data.len())?;
                ctx.pause(Duration::from_millis(300))?;
                client.echo_from(&data, sent)
            },
        ),
    ]
}

fn same_port_again(ctx: &mut Context<'_>) -> Checked {
    // A port that the kernel chooses at connect(2) may be that of other connections too.
    let is_ipv6 = ctx.subject.ip().is_some_and(|addr| addr.is_ipv6());
    let any = if is_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let any = SocketAddr::new(any, 0).into();
    let first = ctx.client_with(|socket| socket.bind(&any))?;
    first.echo(b"first")?;
    let local = first.socket.local_addr().local("getsockname")?;
    first.reset()?;
    // The reset reaches the server's kernel before a SYN that is sent later.
    let again = ctx.client_with(|socket| {
        socket.set_reuse_address(true)?;
        socket.bind(&local)
    })?;
    again.echo_to_the_end(b"again")
}

fn addresses() -> Vec<Case> {
    vec![
        stream(
            "another-loopback-address",
            "a wildcard listener serves 127.0.0.2",
            ANY_ADDRESS,
            |ctx| {
                need_wildcard(ctx, IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
                at(ctx, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)))?.echo_to_the_end(b"127.0.0.2")
            },
        ),
        stream("ipv6", "a listener on :: serves ::1", ANY_ADDRESS, |ctx| {
            need_wildcard(ctx, IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
            at(ctx, IpAddr::V6(Ipv6Addr::LOCALHOST))?.echo_to_the_end(b"::1")
        }),
        many("dual-stack", "IPv4 and IPv6 clients are served at once", DUAL_STACK, |ctx| {
            need_wildcard(ctx, IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
            let four = at(ctx, IpAddr::V4(Ipv4Addr::LOCALHOST))?;
            four.echo(b"four")?;
            at(ctx, IpAddr::V6(Ipv6Addr::LOCALHOST))?.echo_to_the_end(b"six")?;
            four.echo_to_the_end(b"four again")
        }),
        stream("client-address", "a client at 127.0.0.9 is served", ECHO, |ctx| {
            if !ctx.subject.ip().is_some_and(|addr| addr.ip().is_ipv4() && addr.ip().is_loopback())
            {
                return skipped("the server is not at an IPv4 loopback address");
            }
            let from = SocketAddr::from(([127, 0, 0, 9], 0)).into();
            ctx.client_with(|socket| socket.bind(&from))?.echo_to_the_end(b"127.0.0.9")
        }),
    ]
}

fn at(ctx: &Context<'_>, ip: IpAddr) -> Checked<Client> {
    Client::connect(&ctx.at(ip)?, ctx.deadline, |_| Ok(()))
}

/// Skips the case unless the server listens at every address of the family, as `/proc` shows it.
pub(super) fn need_wildcard(ctx: &Context<'_>, any: IpAddr) -> Checked {
    let (process, Some(addr)) = (ctx.process()?, ctx.subject.ip()) else {
        return skipped("no port");
    };
    let is_datagrams = ctx.subject.transport == Transport::Udp;
    let mut bound = Vec::new();
    wait::until(ctx.deadline, || {
        bound = vitals::local_addresses(process.pid(), addr.port(), is_datagrams);
        !bound.is_empty()
    })?;
    let serves = |ip: &IpAddr| ip.is_unspecified() && (ip.is_ipv6() || any.is_ipv4());
    if bound.iter().any(serves) { Ok(()) } else { skipped(format!("it is not bound to {any}")) }
}
