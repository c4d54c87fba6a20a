//! Clients that reset their connection, or just close it, at every stage.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::because::{ABORTED, OTHERS, RESET};
use crate::examine::case::{Case, many, stream};
use crate::examine::client::Client;
use crate::examine::context::Context;
use crate::examine::failure::Checked;
use crate::examine::payload::payload;

/// Resets in one case: a leak of one descriptor each would show.
const RESETS: usize = 20;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = stages();
    cases.extend(closes());
    cases.extend(beside_others());
    cases
}

/// What a case does to a connection before it is reset.
fn reset_after(name: &str, what: &str, work: impl Fn(&Client) -> Checked + 'static) -> Case {
    let right = format!("{what}: the next client is served");
    stream(name, &right, RESET, move |ctx| {
        for _ in 0..RESETS {
            let client = ctx.client()?;
            work(&client)?;
            client.reset()?;
        }
        ctx.others_are_served()
    })
}

fn stages() -> Vec<Case> {
    vec![
        reset_after("after-connect", "reset as soon as it is connected", |_| Ok(())),
        reset_after("after-a-byte", "reset with a byte sent", |client| client.send(b"x")),
        reset_after("half-a-message", "reset within 64 KiB", |client| {
            client.send(&payload(1, 32_768))
        }),
        reset_after("after-the-echo", "reset after a round trip", |client| client.echo(b"hello")),
        reset_after("echo-unread", "reset with the echo unread", |client| {
            client.echo(b"first")?;
            client.send(&payload(2, 5000))?;
            client.receive_part(&payload(2, 5000)[..1])
        }),
        reset_after("echo-in-flight", "reset while 256 KiB are on their way back", |client| {
            client.fill(&payload(3, 256 << 10), 256 << 10)?;
            client.receive_part(&payload(3, 256 << 10)[..1])
        }),
        reset_after("after-the-end", "reset after both have ended", |client| {
            client.echo_to_the_end(b"the last bytes")
        }),
        stream(
            "server-blocked",
            "reset while the server cannot send: the next client is served",
            RESET,
            |ctx| {
                let client = ctx.client()?;
                client.fill(&payload(4, 1 << 20), 64 << 20)?;
                client.reset()?;
                ctx.others_are_served()
            },
        ),
        Case {
            needs_process: true,
            ..stream(
                "before-accept",
                "reset while still in the backlog: the next client is served",
                ABORTED,
                |ctx| {
                    ctx.process()?.set_stopped(true);
                    let made = (0..3).try_for_each(|_| ctx.client()?.reset());
                    ctx.process()?.set_stopped(false);
                    made?;
                    ctx.others_are_served()
                },
            )
        },
    ]
}

fn closes() -> Vec<Case> {
    vec![
        stream(
            "close-at-once",
            "100 clients that connect and close: the next one is served",
            OTHERS,
            |ctx| {
                (0..100).try_for_each(|_| ctx.client().map(drop))?;
                ctx.others_are_served()
            },
        ),
        stream(
            "close-unread",
            "closed with the echo unread: the next client is served",
            OTHERS,
            |ctx| {
                for _ in 0..RESETS {
                    ctx.client()?.send(&payload(5, 30_000))?;
                }
                ctx.others_are_served()
            },
        ),
        stream(
            "close-after-echo",
            "closed after a round trip: the next client is served",
            OTHERS,
            |ctx| {
                (0..RESETS).try_for_each(|_| ctx.client()?.echo(b"hello"))?;
                ctx.others_are_served()
            },
        ),
    ]
}

fn beside_others() -> Vec<Case> {
    vec![
        many("others-go-on", "resets of 16 clients do not disturb 16 others", RESET, |ctx| {
            let (ending, staying) = (ctx.clients(16)?, ctx.clients(16)?);
            for (at, client) in ending.into_iter().enumerate() {
                client.send(&payload(at as u64, 1000))?;
                staying[at].send(b"beside a reset")?;
                client.reset()?;
                staying[at].receive(b"beside a reset")?;
            }
            staying.iter().try_for_each(|client| client.echo_to_the_end(b"still here"))
        }),
        many(
            "any-order",
            "200 clients that end in random ways do not disturb others",
            RESET,
            |ctx| {
                let mut random = StdRng::seed_from_u64(6);
                let mut open: Vec<Client> = Vec::new();
                for nth in 0..200 {
                    let client = ctx.client()?;
                    random_end(client, nth, random.random_range(0..6), &mut open)?;
                    if open.len() > 24 {
                        let at = random.random_range(0..open.len());
                        open.swap_remove(at).echo_to_the_end(b"kept for a while")?;
                    }
                }
                open.iter().try_for_each(|client| client.echo_to_the_end(b"kept to the end"))
            },
        ),
        many(
            "reset-while-others-connect",
            "resets in a burst of connects do not disturb the others",
            RESET,
            |ctx| {
                for _ in 0..5 {
                    let clients = ctx.burst(20)?;
                    for (at, mut client) in clients.into_iter().enumerate() {
                        client.finish_connect()?;
                        if at % 2 == 0 {
                            client.reset()?;
                        } else {
                            client.echo_to_the_end(b"not reset")?;
                        }
                    }
                }
                wait_for_rest(ctx)
            },
        ),
    ]
}

/// Ends a connection in one of six ways.
fn random_end(client: Client, nth: u64, way: u32, open: &mut Vec<Client>) -> Checked {
    match way {
        0 => client.reset(),
        1 => client.send(&payload(nth, 3000)).and_then(|()| client.reset()),
        2 => client.echo_to_the_end(&payload(nth, 3000)),
        3 => client.half_close(),
        4 => client.send(&payload(nth, 3000)),
        _ => {
            open.push(client);
            Ok(())
        }
    }
}

fn wait_for_rest(ctx: &Context<'_>) -> Checked {
    ctx.pause(Duration::from_millis(20))?;
    ctx.others_are_served()
}
