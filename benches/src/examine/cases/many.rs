//! Many clients: at once, one after the other, more than the backlog holds.

use super::because::{BACKLOG, ECHO, OTHERS, QUEUE, SLEEP};
use crate::examine::case::{Case, many, stream};
use crate::examine::client::{Client, Exchange};
use crate::examine::context::Context;
use crate::examine::failure::{Checked, wrong};
use crate::examine::payload::payload;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = at_once();
    cases.extend(in_turn());
    cases
}

fn at_once() -> Vec<Case> {
    vec![
        many("two-clients", "two clients are served at the same time", OTHERS, |ctx| {
            let (one, two) = (ctx.client()?, ctx.client()?);
            two.echo(b"two")?;
            one.echo(b"one")?;
            two.echo_to_the_end(b"two again")?;
            one.echo_to_the_end(b"one again")
        }),
        many("100-at-once", "100 clients with 2,000 bytes each get them back", ECHO, |ctx| {
            at_the_same_time(ctx, 100)
        }),
        many("500-at-once", "500 clients with 2,000 bytes each get them back", ECHO, |ctx| {
            at_the_same_time(ctx, 500)
        }),
        many("burst", "256 connects at once are all served", BACKLOG, |ctx| {
            let mut clients = ctx.burst(256)?;
            for client in &mut clients {
                client.finish_connect()?;
            }
            clients.iter().try_for_each(|client| client.echo(b"served"))
        }),
        many("burst-with-data", "early bytes of 100 clients come back", QUEUE, |ctx| {
            let mut clients = ctx.burst(100)?;
            for client in &mut clients {
                client.finish_connect()?;
                client.send(b"early bytes")?;
                client.half_close()?;
            }
            for client in clients {
                client.receive(b"early bytes")?;
                client.expect_end()?;
            }
            Ok(())
        }),
        Case {
            needs_process: true,
            ..many("queued-while-stopped", "what waits in the backlog is served", QUEUE, |ctx| {
                ctx.process()?.set_stopped(true);
                let clients = queued(ctx);
                ctx.process()?.set_stopped(false);
                for client in clients? {
                    client.receive(b"waiting")?;
                    client.expect_end()?;
                }
                Ok(())
            })
        },
        Case {
            needs_process: true,
            ..many("100-idle", "the server sleeps beside 100 idle clients", SLEEP, |ctx| {
                let clients = ctx.clients(100)?;
                clients.iter().try_for_each(|client| client.echo(b"hello"))?;
                ctx.check_idle()
            })
        },
        many("8-streams-at-once", "8 clients with 1 MiB each get it back", ECHO, |ctx| {
            let (clients, data) = (ctx.clients(8)?, payload(1, 1 << 20));
            let how = Exchange { half_close: true, ..Exchange::default() };
            std::thread::scope(|scope| {
                let data = &data;
                let run = |client| scope.spawn(move || Client::exchange(client, data, how));
                let threads: Vec<_> = clients.iter().map(run).collect();
                threads.into_iter().try_for_each(|thread| {
                    thread.join().unwrap_or_else(|_| wrong("a client panicked"))
                })
            })
        }),
    ]
}

fn in_turn() -> Vec<Case> {
    vec![
        many("reverse-order", "the last client may end first", ECHO, |ctx| {
            let clients = ctx.clients(40)?;
            clients.iter().rev().try_for_each(|client| client.echo_to_the_end(b"from the back"))
        }),
        stream("churn", "300 connections, one after the other, are served", ECHO, |ctx| {
            (0..300).try_for_each(|nth| ctx.client()?.echo_to_the_end(&payload(nth, 64)))
        }),
        many(
            "churn-beside-streams",
            "200 short connections beside 4 long ones: all are served",
            OTHERS,
            |ctx| {
                let long = ctx.clients(4)?;
                for nth in 0..200 {
                    ctx.client()?.echo_to_the_end(&payload(nth, 64))?;
                    long[usize::try_from(nth % 4).unwrap_or(0)].echo(&payload(nth, 3000))?;
                }
                long.iter().try_for_each(|client| client.echo_to_the_end(b"to the end"))
            },
        ),
        many("waves", "5 times 60 clients that come and end together are served", ECHO, |ctx| {
            for _ in 0..5 {
                let mut clients = ctx.burst(60)?;
                for client in &mut clients {
                    client.finish_connect()?;
                }
                clients.iter().try_for_each(|client| client.echo_to_the_end(b"in a wave"))?;
            }
            Ok(())
        }),
        stream(
            "connect-and-close",
            "500 clients that close at once: the next one is served",
            OTHERS,
            |ctx| {
                (0..500).try_for_each(|_| ctx.client().map(drop))?;
                ctx.others_are_served()
            },
        ),
        stream("connect-and-fin", "200 clients that only end get a FIN", OTHERS, |ctx| {
            (0..200).try_for_each(|_| ctx.client()?.echo_to_the_end(b""))
        }),
    ]
}

/// All connect, then all send, then all receive.
fn at_the_same_time(ctx: &mut Context<'_>, count: usize) -> Checked {
    let clients = ctx.clients(count)?;
    for (at, client) in clients.iter().enumerate() {
        client.send(&payload(at as u64, 2000))?;
    }
    for (at, client) in clients.iter().enumerate() {
        client.receive(&payload(at as u64, 2000))?;
    }
    clients.iter().try_for_each(|client| client.echo_to_the_end(b"the end"))
}

/// Clients in the backlog that have sent everything. A backlog holds at least three.
fn queued(ctx: &Context<'_>) -> Checked<Vec<Client>> {
    let clients = ctx.clients(3)?;
    for client in &clients {
        client.send(b"waiting")?;
        client.half_close()?;
    }
    Ok(clients)
}
