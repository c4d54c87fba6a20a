//! How a stream is cut into sends and receives has no meaning.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::because::{ECHO, STREAM};
use super::grouped;
use crate::examine::case::{Case, On, stream};
use crate::examine::client::Exchange;
use crate::examine::failure::Local;
use crate::examine::payload::payload;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = sends();
    cases.extend(receives());
    cases
}

fn sends() -> Vec<Case> {
    vec![
        stream("byte-at-a-time", "1,000 sends of a byte are 1,000 bytes", STREAM, |ctx| {
            let client = ctx.client()?;
            client.socket.set_tcp_nodelay(true).ok();
            // The first ones arrive one by one; the others as the kernels join them.
            let data = payload(1, 1000);
            data[..50].chunks(1).try_for_each(|byte| client.echo(byte))?;
            let how = Exchange { write_bytes: 1, half_close: true, ..Exchange::default() };
            client.exchange(&data[50..], how)
        }),
        sized("sends-of-7", 7, 20_000),
        sized("sends-of-1447", 1447, 300_000),
        sized("sends-of-4097", 4097, 500_000),
        sized("sends-of-65537", 65_537, 2 << 20),
        boundary("65535-1", 65_535),
        boundary("65536-1", 65_536),
        stream(
            "half-a-message",
            "the first half comes back before the second is sent",
            ECHO,
            |ctx| {
                let client = ctx.client()?;
                client.echo(b"no newline, no end of")?;
                client.echo(b" a message\n")
            },
        ),
        stream("random-sends", "2 MiB in sends of 1 to 9,000 bytes come back", STREAM, |ctx| {
            let (client, data) = (ctx.client()?, payload(4, 2 << 20));
            let mut random = StdRng::seed_from_u64(5);
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(random.random_range(1..9000).min(rest.len()));
                client.echo(part)?;
                rest = behind;
            }
            client.half_close()?;
            client.expect_end()
        }),
        stream("pipelined-1000", "1,000 messages sent at once come back in order", ECHO, |ctx| {
            // Where each message occupies most of a kilobyte (Unix sockets), they do not all fit
            // into what kernel and server buffer: then the client reads.
            let how = Exchange { write_bytes: 64, is_late: true, ..Exchange::default() };
            ctx.client()?.exchange(&payload(6, 64_000), how)
        }),
        stream("ping-pong-1000", "1,000 round trips, one after the other", ECHO, |ctx| {
            let (client, data) = (ctx.client()?, payload(7, 64_000));
            data.chunks(64).try_for_each(|message| client.echo(message))
        }),
        stream("vectored", "64 parts of one writev(2) come back in order", STREAM, |ctx| {
            let (client, data) = (ctx.client()?, payload(8, 6400));
            client.send_vectored(&data.chunks(100).collect::<Vec<_>>())?;
            client.receive(&data)
        }),
        Case {
            on: On::Tcp,
            ..stream("cork", "what TCP_CORK gathers comes back when it is let go", STREAM, |ctx| {
                let (client, data) = (ctx.client()?, payload(9, 3000));
                client.socket.set_tcp_cork(true).local("TCP_CORK")?;
                data.chunks(50).try_for_each(|part| client.send(part))?;
                client.socket.set_tcp_cork(false).local("TCP_CORK")?;
                client.receive(&data)
            })
        },
    ]
}

fn receives() -> Vec<Case> {
    vec![
        stream("receive-byte-at-a-time", "the echo can be read byte by byte", STREAM, |ctx| {
            let how = Exchange { read_bytes: 1, half_close: true, ..Exchange::default() };
            ctx.client()?.exchange(&payload(10, 5000), how)
        }),
        stream(
            "small-receive-buffer",
            "1 MiB comes back through a receive buffer of 4 KiB",
            STREAM,
            |ctx| {
                let client = ctx.client_with(|socket| socket.set_recv_buffer_size(4096))?;
                client.echo_to_the_end(&payload(11, 1 << 20))
            },
        ),
        stream(
            "small-buffers",
            "500 KB come back through buffers of 2 KiB at the client",
            STREAM,
            |ctx| {
                let client = ctx.client_with(|socket| {
                    socket.set_send_buffer_size(2048)?;
                    socket.set_recv_buffer_size(2048)
                })?;
                client.echo_to_the_end(&payload(12, 500_000))
            },
        ),
        stream(
            "receives-with-pauses",
            "1 MiB, read in pieces with pauses, comes back",
            STREAM,
            |ctx| {
                let how = Exchange {
                    read_pause: Duration::from_millis(4),
                    half_close: true,
                    ..Exchange::default()
                };
                ctx.client()?.exchange(&payload(13, 1 << 20), how)
            },
        ),
        stream("late-reader", "64 KiB, read only when all are sent, come back", STREAM, |ctx| {
            let how = Exchange { is_late: true, ..Exchange::default() };
            ctx.client()?.exchange(&payload(14, 65_536), how)
        }),
        stream(
            "late-reader-1-mib",
            "1 MiB, read only when all is sent, comes back",
            STREAM,
            |ctx| {
                let how = Exchange { is_late: true, ..Exchange::default() };
                ctx.client()?.exchange(&payload(15, 1 << 20), how)
            },
        ),
    ]
}

/// A byte behind what may fill a buffer.
fn boundary(name: &str, len: usize) -> Case {
    let right = format!("a byte behind {} comes back", grouped(len));
    stream(&format!("boundary-{name}"), &right, STREAM, move |ctx| {
        let (client, data) = (ctx.client()?, payload(len as u64, len + 1));
        client.send(&data[..len])?;
        client.send(&data[len..])?;
        client.receive(&data)
    })
}

fn sized(name: &str, write_bytes: usize, len: usize) -> Case {
    let right = format!("{} bytes in sends of {} come back", grouped(len), grouped(write_bytes));
    stream(name, &right, STREAM, move |ctx| {
        let how = Exchange { write_bytes, half_close: true, ..Exchange::default() };
        ctx.client()?.exchange(&payload(len as u64, len), how)
    })
}
