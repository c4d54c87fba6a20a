//! What only Unix sockets have: descriptors in messages, paths, permissions.

use std::io::{IoSlice, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::SockAddr;

use super::because::{ECHO, UNIX, UNIX_ACCESS, UNIX_LENGTH, UNIX_PATH};
use crate::case::Transport;
use crate::examine::case::{Case, On, stream};
use crate::examine::client::Client;
use crate::examine::context::Context;
use crate::examine::failure::{Checked, Local, skipped, wrong};
use crate::examine::payload::payload;
use crate::examine::subject::Subject;
use crate::examine::wait;
use crate::server::Endpoint;

/// The longest path of a socket: `sun_path` has 108 bytes, the last of which is a NUL.
const PATH_BYTES_MAX: usize = 107;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = descriptors();
    cases.extend(paths());
    cases.into_iter().map(|case| Case { on: On::Unix, ..case }).collect()
}

fn descriptors() -> Vec<Case> {
    vec![
        stream("abstract-client", "a client with an abstract name is served", ECHO, |ctx| {
            let name = format!("\0epollite-bench-{}", std::process::id());
            let name = SockAddr::unix(name).local("the name")?;
            ctx.client_with(|socket| socket.bind(&name))?.echo_to_the_end(b"with a name")
        }),
        stream("descriptor-closed", "a descriptor sent along is closed", UNIX, |ctx| {
            let client = ctx.client()?;
            let (reader, writer) = std::io::pipe().local("pipe")?;
            send_with_descriptor(&client, b"with a pipe", &writer)?;
            drop(writer);
            client.receive(b"with a pipe")?;
            client.half_close()?;
            client.expect_end()?;
            drop(client);
            expect_closed(ctx, reader)
        }),
        stream(
            "descriptor-while-open",
            "a descriptor sent along is closed while the client stays",
            UNIX,
            |ctx| {
                let client = ctx.client()?;
                let (reader, writer) = std::io::pipe().local("pipe")?;
                send_with_descriptor(&client, b"with a pipe", &writer)?;
                drop(writer);
                client.receive(b"with a pipe")?;
                client.echo(b"and on")?;
                expect_closed(ctx, reader)
            },
        ),
        stream("bytes-around-descriptor", "bytes around a descriptor come back", ECHO, |ctx| {
            let (client, data) = (ctx.client()?, payload(1, 900));
            let (_reader, writer) = std::io::pipe().local("pipe")?;
            client.send(&data[..300])?;
            send_with_descriptor(&client, &data[300..600], &writer)?;
            client.send(&data[600..])?;
            client.half_close()?;
            client.receive(&data)?;
            client.expect_end()
        }),
        stream("64-descriptors", "64 messages with a descriptor leave none open", UNIX, |ctx| {
            let client = ctx.client()?;
            let (reader, writer) = std::io::pipe().local("pipe")?;
            for _ in 0..64 {
                send_with_descriptor(&client, b"one more", &writer)?;
                client.receive(b"one more")?;
            }
            drop(writer);
            client.echo(b"and on")?;
            expect_closed(ctx, reader)
        }),
        stream("credentials", "credentials sent along are no bytes", ECHO, |ctx| {
            let client = ctx.client()?;
            let credentials = nix::sys::socket::UnixCredentials::new();
            let control = [ControlMessage::ScmCredentials(&credentials)];
            let parts = [IoSlice::new(b"it is me")];
            let (fd, flags) = (client.socket.as_raw_fd(), MsgFlags::empty());
            sendmsg::<()>(fd, &parts, &control, flags, None).local("sendmsg")?;
            client.receive(b"it is me")?;
            client.echo(b"and on")
        }),
    ]
}

fn paths() -> Vec<Case> {
    vec![
        stream(
            "socket-file",
            "the path is a socket, to which its owner can connect",
            UNIX_ACCESS,
            |ctx| {
                let path = path(ctx)?;
                let file = std::fs::metadata(&path).local("stat")?;
                if !file.file_type().is_socket() {
                    return wrong("the path is not a socket");
                }
                let mode = file.permissions().mode();
                if mode & 0o200 == 0 {
                    return wrong(format!(
                        "mode {:o}: connect(2) needs write permission",
                        mode & 0o777
                    ));
                }
                Ok(())
            },
        ),
        with_process("removed-at-exit", "SIGTERM: the path is removed", UNIX_PATH, |ctx| {
            let (path, deadline) = (path(ctx)?, ctx.deadline);
            ctx.process_mut()?.signal(Signal::SIGTERM)?;
            ctx.process_mut()?.wait_end(deadline)?.ok();
            let is_left = path.exists();
            ctx.restart()?;
            if is_left { wrong("the path is still there after its end") } else { Ok(()) }
        }),
        with_process(
            "left-path",
            "a path left by a killed server is taken over",
            UNIX_PATH,
            |ctx| {
                let deadline = ctx.deadline;
                ctx.process_mut()?.signal(Signal::SIGKILL)?;
                ctx.process_mut()?.wait_end(deadline)?.ok();
                ctx.subject
                    .restart_over_left_path()
                    .or_else(|error| wrong(format!("{error:#}")))?;
                ctx.others_are_served()
            },
        ),
        with_process("long-path", "a path of 107 bytes is served", UNIX_LENGTH, |ctx| {
            let folder = tempfile::tempdir().local("mkdtemp")?;
            let mut path = folder.path().to_path_buf();
            let room = PATH_BYTES_MAX.saturating_sub(path.as_os_str().len() + 1);
            if room == 0 {
                return skipped("the temporary folder has a long name");
            }
            path.push("p".repeat(room));
            let command = ctx.process()?.command().to_owned();
            let started =
                Subject::start_at(&command, Transport::Unix, Endpoint::Unix(path.clone()));
            let server = match started {
                Ok(server) => server,
                Err(error) => return wrong(format!("{error:#}")),
            };
            let client = Client::connect(&server.addr, ctx.deadline, |_| Ok(()))?;
            client.echo_to_the_end(b"a long path")
        }),
        stream("bound-client", "a client with a path of its own is served", ECHO, |ctx| {
            let folder = tempfile::tempdir().local("mkdtemp")?;
            let path = SockAddr::unix(folder.path().join("client")).local("the path")?;
            ctx.client_with(|socket| socket.bind(&path))?.echo_to_the_end(b"with a path")
        }),
    ]
}

fn with_process(
    name: &str,
    right: &str,
    because: &'static str,
    run: impl Fn(&mut Context<'_>) -> Checked + 'static,
) -> Case {
    Case { needs_process: true, ..stream(name, right, because, run) }
}

fn path(ctx: &Context<'_>) -> Checked<PathBuf> {
    match &ctx.subject.path {
        Some(path) => Ok(path.clone()),
        None => skipped("an abstract name is no file"),
    }
}

fn send_with_descriptor(client: &Client, data: &[u8], fd: &impl AsRawFd) -> Checked {
    let fds = [fd.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&fds)];
    let (socket, flags) = (client.socket.as_raw_fd(), MsgFlags::empty());
    match sendmsg::<()>(socket, &[IoSlice::new(data)], &control, flags, None) {
        Ok(count) if count == data.len() => Ok(()),
        Ok(_) => skipped("the message was sent in part"),
        Err(errno) => wrong(format!("a message with a descriptor is not taken: {errno}")),
    }
}

/// The other end of the pipe is closed everywhere when the reader sees its end: black box.
fn expect_closed(ctx: &Context<'_>, mut reader: std::io::PipeReader) -> Checked {
    if !wait::ready(&reader, PollFlags::POLLIN, ctx.deadline)? {
        return wrong("the server keeps a descriptor that was sent along");
    }
    match reader.read(&mut [0; 8]).local("read")? {
        0 => Ok(()),
        _ => wrong("the server has written into a pipe that was sent along"),
    }
}
