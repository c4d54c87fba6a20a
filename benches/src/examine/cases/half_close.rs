//! A client that has ended its half: all its bytes come back, then the end.

use std::time::Duration;

use super::because::{CLOSE_WAIT, HALF_CLOSE};
use super::grouped;
use crate::examine::case::{Case, On, many, stream};
use crate::examine::client::{Exchange, fill_all};
use crate::examine::context::Context;
use crate::examine::failure::{Checked, wrong};
use crate::examine::payload::payload;
use crate::examine::wait;

/// Names and bytes.
const LENGTHS: [(&str, usize); 6] = [
    ("1", 1),
    ("64", 64),
    ("64-kib", 65_536),
    ("65537", 65_537),
    ("1-mib", 1 << 20),
    ("8-mib", 8 << 20),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases =
        vec![stream("at-once", "no byte and a FIN: a FIN comes back", HALF_CLOSE, |ctx| {
            ctx.client()?.echo_to_the_end(b"")
        })];
    cases.extend(LENGTHS.iter().map(|&(name, len)| behind(name, len)));
    cases.extend(LENGTHS.iter().skip(2).map(|&(name, len)| late(name, len)));
    cases.extend(others());
    cases.extend(ends());
    cases
}

/// Everything is sent, then the FIN; the echo is read from the first byte on.
fn behind(name: &str, len: usize) -> Case {
    let right = if len == 1 {
        "a byte with a FIN behind it: it comes back, then a FIN".to_owned()
    } else {
        format!("{} bytes with a FIN behind them: they come back, then a FIN", grouped(len))
    };
    stream(&format!("behind-{name}"), &right, HALF_CLOSE, move |ctx| {
        let (client, data) = (ctx.client()?, payload(len as u64, len));
        let sent = client.fill(&data, len)?;
        if sent < len {
            return client.echo_from(&data, sent);
        }
        client.half_close()?;
        client.receive(&data)?;
        client.expect_end()
    })
}

/// The echo is read late: the server's send buffer is full when the FIN arrives.
fn late(name: &str, len: usize) -> Case {
    let right = format!("{} bytes, a FIN, a late reader: all come back, then a FIN", grouped(len));
    stream(&format!("late-{name}"), &right, HALF_CLOSE, move |ctx| {
        let how = Exchange { is_late: true, half_close: true, ..Exchange::default() };
        ctx.client()?.exchange(&payload(len as u64, len), how)
    })
}

fn others() -> Vec<Case> {
    vec![
        many("late-8-at-once", "8 late readers of 512 KiB lose nothing", HALF_CLOSE, |ctx| {
            let (clients, data) = (ctx.clients(8)?, payload(1, 512 << 10));
            let sent = fill_all(&clients, &data, data.len())?;
            ctx.pause(Duration::from_millis(300))?;
            for (client, sent) in clients.iter().zip(sent) {
                client.echo_from(&data, sent)?;
            }
            Ok(())
        }),
        stream("slow-reader", "1 MiB, a FIN, a slow reader: all come back", HALF_CLOSE, |ctx| {
            let how = Exchange {
                is_late: true,
                half_close: true,
                read_bytes: 16_384,
                read_pause: Duration::from_millis(3),
                ..Exchange::default()
            };
            ctx.client()?.exchange(&payload(2, 1 << 20), how)
        }),
        stream("after-silence", "a FIN behind a silence: a FIN comes back", HALF_CLOSE, |ctx| {
            let client = ctx.client()?;
            client.echo(b"hello")?;
            ctx.pause(Duration::from_millis(100))?;
            client.half_close()?;
            client.expect_end()
        }),
        stream("not-before-the-client", "the server does not end first", HALF_CLOSE, |ctx| {
            let client = ctx.client()?;
            client.echo(&payload(3, 4000))?;
            ctx.pause(Duration::from_millis(300))?;
            client.expect_silence()?;
            client.echo_to_the_end(&payload(4, 4000))
        }),
        stream("twice", "a second shutdown(2) changes nothing", HALF_CLOSE, |ctx| {
            let (client, data) = (ctx.client()?, payload(5, 65_536));
            client.send(&data)?;
            client.half_close()?;
            client.socket.shutdown(std::net::Shutdown::Write).ok();
            client.receive(&data)?;
            client.expect_end()
        }),
        many("32-at-once", "32 clients that end together get a FIN", HALF_CLOSE, |ctx| {
            let (clients, data) = (ctx.clients(32)?, payload(6, 3000));
            clients.iter().try_for_each(|client| client.send(&data))?;
            clients.iter().try_for_each(|client| client.half_close())?;
            for client in clients {
                client.receive(&data)?;
                client.expect_end()?;
            }
            Ok(())
        }),
        many("not-for-others", "one client's end does not end another", HALF_CLOSE, |ctx| {
            let (one, two) = (ctx.client()?, ctx.client()?);
            one.echo(b"one")?;
            two.echo(b"two")?;
            one.echo_to_the_end(b"the end")?;
            two.expect_silence()?;
            two.echo_to_the_end(b"and on")
        }),
    ]
}

/// The server closes too.
fn ends() -> Vec<Case> {
    vec![
        stream(
            "while-sending-back",
            "a FIN while the echo is on its way: the rest comes back, then a FIN",
            HALF_CLOSE,
            |ctx| {
                let (client, data) = (ctx.client()?, payload(7, 100_000));
                for part in data.chunks(10_000) {
                    client.send(part)?;
                }
                client.receive_part(&data[..1000])?;
                client.half_close()?;
                client.receive(&data[1000..])?;
                client.expect_end()
            },
        ),
        stream(
            "server-closes",
            "a closed client leaves nothing in CLOSE-WAIT",
            CLOSE_WAIT,
            |ctx| {
                for _ in 0..20 {
                    ctx.client()?.echo(b"and gone")?;
                }
                expect_no_close_wait(ctx)
            },
        ),
        stream(
            "unread-echo",
            "clients that close with the echo unread leave nothing in CLOSE-WAIT",
            CLOSE_WAIT,
            |ctx| {
                for _ in 0..10 {
                    let client = ctx.client()?;
                    client.send(&payload(8, 20_000))?;
                    client.half_close()?;
                }
                expect_no_close_wait(ctx)
            },
        ),
        Case {
            on: On::Tcp,
            ..stream(
                "fin-with-the-data",
                "a FIN in the segment of the data: the data comes back, then a FIN",
                HALF_CLOSE,
                |ctx| {
                    let client = ctx.client()?;
                    // Corked, the data waits for the FIN (tcp(7)).
                    client.socket.set_tcp_cork(true).ok();
                    client.send(b"with a FIN")?;
                    client.half_close()?;
                    client.receive(b"with a FIN")?;
                    client.expect_end()
                },
            )
        },
    ]
}

/// The kernel's table of sockets has no connection of the server whose client has ended. Clients
/// of this machine only: others would be seen too.
fn expect_no_close_wait(ctx: &Context<'_>) -> Checked {
    let Some(server) = ctx.subject.ip() else { return Ok(()) };
    let mut left = 0;
    let is_clean = wait::until(ctx.deadline, || {
        let tables = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten();
        let is_left = |state| state == procfs::net::TcpState::CloseWait;
        left = tables
            .filter(|it| it.local_address.port() == server.port() && is_left(it.state.clone()))
            .count();
        left == 0
    })?;
    if is_clean { Ok(()) } else { wrong(format!("{left} connections stay in CLOSE-WAIT")) }
}
