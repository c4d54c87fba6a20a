//! Clients that are silent, slow, or do not read: they cost the others nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::because::{BOUNDED, ECHO, OTHERS};
use crate::examine::case::{Case, many, stream};
use crate::examine::client::{Client, Exchange, fill_all};
use crate::examine::context::Context;
use crate::examine::failure::{Checked, wrong};
use crate::examine::payload::payload;
use crate::examine::vitals;

/// What a client that never reads offers.
const OFFERED_BYTES: usize = 64 << 20;

/// Memory that a server may take for one such client: far more than any sensible buffer, and half
/// of what is offered.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = silent();
    cases.extend(slow());
    cases.extend(not_reading());
    cases
}

fn silent() -> Vec<Case> {
    vec![
        many("silent-client", "a silent client does not keep others waiting", OTHERS, |ctx| {
            let silent = ctx.client()?;
            (0..20).try_for_each(|_| ctx.others_are_served())?;
            silent.echo_to_the_end(b"and now a word")
        }),
        many(
            "100-silent-clients",
            "100 silent clients do not keep others waiting",
            OTHERS,
            |ctx| {
                let silent = ctx.clients(100)?;
                (0..20).try_for_each(|_| ctx.others_are_served())?;
                silent.iter().try_for_each(|client| client.echo_to_the_end(b"and now a word"))
            },
        ),
        stream(
            "silent-for-2-s",
            "a client that was silent for two seconds is served",
            ECHO,
            |ctx| {
                let client = ctx.client()?;
                client.echo(b"before")?;
                ctx.pause(Duration::from_secs(2))?;
                client.expect_silence()?;
                client.echo_to_the_end(b"after")
            },
        ),
        many(
            "half-a-message",
            "a client that stops within a message keeps no other waiting",
            OTHERS,
            |ctx| {
                let client = ctx.client()?;
                client.echo(b"the first half,")?;
                (0..20).try_for_each(|_| ctx.others_are_served())?;
                client.echo_to_the_end(b" the second half")
            },
        ),
    ]
}

fn slow() -> Vec<Case> {
    vec![
        stream("slow-sender", "a byte every 10 ms: all come back", ECHO, |ctx| {
            let how = Exchange {
                write_bytes: 1,
                write_pause: Duration::from_millis(10),
                half_close: true,
                ..Exchange::default()
            };
            ctx.client()?.exchange(&payload(1, 60), how)
        }),
        many("slow-sender-beside-fast", "fast clients do not wait for a slow one", OTHERS, |ctx| {
            let (slow, data) = (ctx.client()?, payload(2, 30));
            for byte in data.chunks(1) {
                slow.send(byte)?;
                ctx.others_are_served()?;
                ctx.client()?.echo_to_the_end(&payload(3, 50_000))?;
            }
            slow.receive(&data)
        }),
        stream("slow-reader", "4 KiB every 2 ms: 1 MiB comes back whole", ECHO, |ctx| {
            let how = Exchange {
                read_bytes: 4096,
                read_pause: Duration::from_millis(2),
                ..Exchange::default()
            };
            ctx.client()?.exchange(&payload(4, 1 << 20), how)
        }),
        stream("stops-and-reads", "reading that stops and goes on loses nothing", BOUNDED, |ctx| {
            let (client, data) = (ctx.client()?, payload(5, 4 << 20));
            let (mut sent, mut got) = (0, 0);
            while got < data.len() {
                sent += client.fill(&data[sent..], data.len() - sent)?;
                let part = &data[got..sent.min(got + (1 << 20))];
                client.receive_part(part)?;
                got += part.len();
            }
            client.half_close()?;
            client.expect_end()
        }),
        many("firehose", "a client that sends without end leaves room for others", OTHERS, |ctx| {
            beside_firehoses(ctx, 1)
        }),
        many(
            "4-firehoses",
            "four clients that send without end leave room for others",
            OTHERS,
            |ctx| beside_firehoses(ctx, 4),
        ),
    ]
}

/// Round trips of other clients while some send as much as they can.
fn beside_firehoses(ctx: &mut Context<'_>, count: usize) -> Checked {
    let (firehoses, data) = (ctx.clients(count)?, payload(6, 4 << 20));
    let other = ctx.client()?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (data, done) = (&data, &done);
        let pump = move |client: &Client| client.exchange_while(data, done);
        let threads: Vec<_> =
            firehoses.iter().map(|client| scope.spawn(move || pump(client))).collect();
        let served = (0..100).try_for_each(|_| other.echo(b"beside a firehose"));
        let served = served.and_then(|()| ctx.others_are_served());
        done.store(true, Ordering::Relaxed);
        let pumped: Checked = threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| wrong("a client panicked")));
        served.and(pumped)
    })
}

fn not_reading() -> Vec<Case> {
    vec![
        stream("never-reads", "64 MiB offered, nothing read: memory is bounded", BOUNDED, |ctx| {
            let before = resident(ctx);
            let client = ctx.client()?;
            client.fill(&payload(7, 1 << 20), OFFERED_BYTES)?;
            check_growth(ctx, before)
        }),
        many(
            "never-reads-others",
            "others are served beside a client that never reads",
            OTHERS,
            |ctx| {
                let client = ctx.client()?;
                client.fill(&payload(8, 1 << 20), OFFERED_BYTES)?;
                (0..20).try_for_each(|_| ctx.others_are_served())
            },
        ),
        many("8-never-read", "8 clients that never read: memory is bounded", BOUNDED, |ctx| {
            let before = resident(ctx);
            let clients = ctx.clients(8)?;
            fill_all(&clients, &payload(9, 1 << 20), OFFERED_BYTES / 4)?;
            ctx.others_are_served()?;
            check_growth(ctx, before)
        }),
        stream(
            "reads-in-the-end",
            "what the server took of 16 MiB comes back in the end",
            BOUNDED,
            |ctx| {
                let (client, data) = (ctx.client()?, payload(10, 16 << 20));
                let sent = client.fill(&data, data.len())?;
                client.receive_part(&data[..sent])?;
                client.half_close()?;
                client.expect_end()
            },
        ),
        Case {
            needs_process: true,
            ..stream(
                "never-reads-idle",
                "the server sleeps beside a client that never reads",
                super::because::SLEEP,
                |ctx| {
                    let client = ctx.client()?;
                    client.fill(&payload(11, 1 << 20), OFFERED_BYTES)?;
                    ctx.check_idle()
                },
            )
        },
        Case {
            needs_process: true,
            ..stream(
                "half-closed-idle",
                "the server sleeps beside one that has half-closed too",
                super::because::SLEEP,
                |ctx| {
                    let client = ctx.client()?;
                    client.fill(&payload(12, 1 << 20), OFFERED_BYTES)?;
                    client.half_close()?;
                    ctx.check_idle()
                },
            )
        },
    ]
}

fn resident(ctx: &Context<'_>) -> Option<u64> {
    let process = ctx.subject.process.as_ref()?;
    Some(vitals::vitals(process.pid())?.resident_bytes)
}

/// With a process: the memory has grown by less than half of what was offered. Without:
/// nothing can be said, and the case only offers.
fn check_growth(ctx: &Context<'_>, before: Option<u64>) -> Checked {
    let Some((before, after)) = before.zip(resident(ctx)) else {
        return crate::examine::failure::skipped("needs --start to read its memory");
    };
    let growth = after.saturating_sub(before);
    if growth > GROWTH_BYTES_MAX {
        return wrong(format!("{} MiB of memory for clients that do not read", growth >> 20));
    }
    Ok(())
}
