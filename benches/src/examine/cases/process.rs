//! What is seen of a server that was started here: rest, descriptor limit, signals, instances.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::because::{ACCEPT, IGNORED, IN_USE, LOG, REUSE, SIGNAL, SLEEP, STOP};
use crate::case::Transport;
use crate::examine::case::{Case, On, stream};
use crate::examine::client::Client;
use crate::examine::context::Context;
use crate::examine::failure::{Checked, Local, skipped, wrong};
use crate::examine::payload::payload;
use crate::examine::subject::set_descriptor_limit;
use crate::examine::vitals;
use crate::examine::wait;
use crate::syscalls;

/// Descriptors that a server may still open at its limit, and clients that then come.
const DESCRIPTORS_LEFT: usize = 5;
const CLIENTS_AT_LIMIT: usize = 13;

/// How long the server stays at its limit, and what it may use and log in that time.
const AT_LIMIT: Duration = Duration::from_secs(1);
const RUNNABLE_AT_LIMIT_MAX: Duration = Duration::from_millis(250);
const LOG_AT_LIMIT_BYTES_MAX: u64 = 64 << 10;

/// System calls in [`QUIET`] of a server that has nothing to do: timers of runtimes pass.
const CALLS_WHILE_IDLE_MAX: f64 = 40.0;
const QUIET: Duration = Duration::from_millis(400);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = rest();
    cases.extend(limit());
    cases.extend(signals());
    cases.extend(instances());
    cases.into_iter().map(|case| Case { needs_process: true, ..case }).collect()
}

fn rest() -> Vec<Case> {
    vec![
        on_all("idle", "a server without clients sleeps", SLEEP, |ctx| {
            if ctx.process()?.is_busy() {
                return wrong("it uses the processor without a client");
            }
            ctx.check_idle()
        }),
        stream("idle-with-a-client", "a server with a silent client sleeps", SLEEP, |ctx| {
            let client = ctx.client()?;
            client.echo(b"hello")?;
            ctx.check_idle()
        }),
        on_all("calls-while-idle", "a server that sleeps makes no system calls", SLEEP, |ctx| {
            if ctx.process()?.is_busy() {
                return skipped("the server is never idle");
            }
            let pid = ctx.process()?.pid();
            let before = vitals::runnable(pid).total;
            ctx.pause(QUIET)?;
            // What has not run has made no call.
            if vitals::runnable(pid).total == before {
                return Ok(());
            }
            if let Some(why) = syscalls::unavailable_reason() {
                return skipped(why);
            }
            let calls = syscalls::count(pid, || {
                std::thread::sleep(QUIET);
                Ok(1)
            });
            let calls = calls.local("perf")?.per_message;
            if calls > CALLS_WHILE_IDLE_MAX {
                return wrong(format!("{calls} system calls in {} ms", QUIET.as_millis()));
            }
            Ok(())
        }),
        stream("log-of-300-clients", "300 clients: at most 60 KiB of log", LOG, |ctx| {
            let before = ctx.process()?.logged_bytes()?;
            (0..300).try_for_each(|_| ctx.client()?.echo_to_the_end(b"hello"))?;
            let bytes = ctx.process()?.logged_bytes()? - before;
            if bytes > 60 << 10 { wrong(format!("{bytes} bytes of log")) } else { Ok(()) }
        }),
    ]
}

fn limit() -> Vec<Case> {
    vec![
        limited("limit-others", "at the descriptor limit a client is served on", |_, old| {
            (0..20).try_for_each(|_| old.echo(b"at the limit"))
        }),
        limited("limit-rest", "at the descriptor limit it does not spin", |ctx, _| {
            if ctx.process()?.is_busy() {
                return skipped("the server is never idle");
            }
            let pid = ctx.process()?.pid();
            let before = vitals::runnable(pid).total;
            let start = Instant::now();
            ctx.pause(AT_LIMIT)?;
            let used = vitals::runnable(pid).total.saturating_sub(before);
            let allowed = RUNNABLE_AT_LIMIT_MAX.mul_f64(start.elapsed().as_secs_f64());
            if used > allowed {
                return wrong(format!("it wants the processor for {used:.0?} of a second"));
            }
            Ok(())
        }),
        limited("limit-log", "at the descriptor limit its log stays short", |ctx, _| {
            let before = ctx.process()?.logged_bytes()?;
            ctx.pause(AT_LIMIT)?;
            let bytes = ctx.process()?.logged_bytes()? - before;
            if bytes > LOG_AT_LIMIT_BYTES_MAX {
                return wrong(format!("{} KiB of log in a second", bytes >> 10));
            }
            Ok(())
        }),
    ]
}

/// A case at the descriptor limit, and the way back: the clients go, and others are served.
fn limited(
    name: &str,
    right: &str,
    work: impl Fn(&mut Context<'_>, &Client) -> Checked + 'static,
) -> Case {
    let case = stream(name, right, ACCEPT, move |ctx| {
        let old = ctx.client()?;
        old.echo(b"before the limit")?;
        let earlier = ctx.process()?.limit_descriptors(DESCRIPTORS_LEFT)?;
        let clients = ctx.burst(CLIENTS_AT_LIMIT);
        let worked = clients.and_then(|clients| {
            ctx.pause(Duration::from_millis(50))?;
            work(ctx, &old)?;
            drop(clients);
            // A server may close what comes until it has noticed that others have gone.
            wait::until(ctx.deadline, || ctx.others_are_served().is_ok()).map(drop)
        });
        // A process may have ended, with its last client.
        for (pid, limit) in earlier {
            drop(set_descriptor_limit(pid, &limit));
        }
        worked?;
        ctx.others_are_served()
    });
    Case { needs_many: true, ..case }
}

fn signals() -> Vec<Case> {
    vec![
        on_all("stop-and-continue", "a server that was stopped serves on", STOP, |ctx| {
            for _ in 0..3 {
                ctx.process()?.set_stopped(true);
                ctx.pause(Duration::from_millis(20))?;
                ctx.process()?.set_stopped(false);
            }
            ctx.others_are_served()
        }),
        stream("stop-within-a-stream", "stopped within a stream, it loses nothing", STOP, |ctx| {
            let (client, data) = (ctx.client()?, payload(1, 400_000));
            for part in data.chunks(100_000) {
                ctx.process()?.set_stopped(true);
                let sent = client.fill(part, part.len());
                ctx.process()?.set_stopped(false);
                let sent = sent?;
                client.echo_rest(part, sent)?;
            }
            client.half_close()?;
            client.expect_end()
        }),
        on_all("harmless-signals", "SIGWINCH and SIGURG are ignored", IGNORED, |ctx| {
            ctx.process()?.signal(Signal::SIGWINCH)?;
            ctx.process()?.signal(Signal::SIGURG)?;
            ctx.others_are_served()
        }),
        on_all("sigterm", "SIGTERM ends it, with status 0 or by the signal", SIGNAL, |ctx| {
            ctx.process()?.signal(Signal::SIGTERM)?;
            expect_end(ctx)
        }),
        on_all("sigint", "SIGINT ends it, with status 0 or by the signal", SIGNAL, |ctx| {
            // Beneath nohup(1), and in the background of a script: exec(3) hands it on.
            if vitals::ignores(Pid::this(), Signal::SIGINT) {
                return skipped("SIGINT is ignored here, and so by what is started");
            }
            ctx.process()?.signal(Signal::SIGINT)?;
            expect_end(ctx)
        }),
        stream("sigterm-with-a-client", "an idle client does not keep it alive", SIGNAL, |ctx| {
            let client = ctx.client()?;
            client.echo(b"hello")?;
            ctx.process()?.signal(Signal::SIGTERM)?;
            expect_end(ctx)
        }),
        stream("drain", "SIGTERM: what it has received comes back", SIGNAL, |ctx| {
            let (client, data) = (ctx.client()?, payload(2, 200_000));
            client.echo(b"first")?;
            ctx.process()?.set_stopped(true);
            let sent = client.fill(&data, data.len());
            let told = ctx.process()?.signal(Signal::SIGTERM);
            ctx.process()?.set_stopped(false);
            let sent = sent?;
            told?;
            let read = client.receive_part(&data[..sent]);
            drop(client);
            expect_drained_end(ctx, read)
        }),
        stream("drain-the-backlog", "SIGTERM: the backlog is served first", SIGNAL, |ctx| {
            ctx.process()?.set_stopped(true);
            let client = ctx.client();
            let sent = client.and_then(|client| client.send(b"waiting").map(|()| client));
            let told = ctx.process()?.signal(Signal::SIGTERM);
            ctx.process()?.set_stopped(false);
            let client = sent?;
            told?;
            let read = client.receive(b"waiting");
            drop(client);
            expect_drained_end(ctx, read)
        }),
    ]
}

fn instances() -> Vec<Case> {
    vec![
        stream("start-again", "killed, it starts again at once on its port", REUSE, |ctx| {
            let clients = [ctx.client()?, ctx.client()?];
            ctx.process()?.signal(Signal::SIGKILL)?;
            let deadline = ctx.deadline;
            ctx.process_mut()?.wait_end(deadline)?.ok();
            if ctx.subject.transport == Transport::Unix {
                return ctx.restart();
            }
            let started = ctx.restart();
            drop(clients);
            started?;
            ctx.others_are_served()
        }),
        on_all("second-instance", "a second instance fails, or shares the port", IN_USE, |ctx| {
            let mut second = ctx.process()?.second_instance()?;
            let limit = ctx.deadline.min(Instant::now() + Duration::from_secs(2));
            let mut status = None;
            wait::until(limit, || {
                status = second.ended();
                status.is_some()
            })?;
            let served = ctx.others_are_served();
            second.keep_path();
            drop(second);
            served?;
            if status.is_some_and(|status| status.success()) {
                return wrong("it ends with status 0, and serves nothing");
            }
            Ok(())
        }),
        stream(
            "second-instance-gone",
            "the first instance serves on after a second one",
            IN_USE,
            |ctx| {
                let mut second = ctx.process()?.second_instance()?;
                let limit = ctx.deadline.min(Instant::now() + Duration::from_secs(2));
                wait::until(limit, || second.ended().is_some())?;
                second.keep_path();
                drop(second);
                ctx.others_are_served()
            },
        ),
    ]
}

fn on_all(
    name: &str,
    right: &str,
    because: &'static str,
    run: impl Fn(&mut Context<'_>) -> Checked + 'static,
) -> Case {
    Case { on: On::All, ..stream(name, right, because, run) }
}

/// Waits for the end of the server, and starts it again.
fn expect_end(ctx: &mut Context<'_>) -> Checked {
    match end_and_restart(ctx)? {
        Ok(0) | Err(2 | 15) => Ok(()),
        // As a shell reports a signal (EX_ of a program that handles it).
        Ok(130 | 143) => Ok(()),
        Ok(code) => wrong(format!("it ended with status {code}")),
        Err(signal) => wrong(format!("it ended by signal {signal}")),
    }
}

/// The same after SIGTERM, with what a client read then. A server that leaves SIGTERM its default
/// action has promised no answer.
fn expect_drained_end(ctx: &mut Context<'_>, read: Checked) -> Checked {
    match end_and_restart(ctx)? {
        Err(15) => skipped("SIGTERM has its default action: the server ends at once"),
        Ok(0 | 143) => read,
        Ok(code) => wrong(format!("it ended with status {code}")),
        Err(signal) => wrong(format!("it ended by signal {signal}")),
    }
}

fn end_and_restart(ctx: &mut Context<'_>) -> Checked<Result<i32, i32>> {
    let deadline = ctx.deadline;
    let ended = ctx.process_mut()?.wait_end(deadline)?;
    ctx.restart()?;
    Ok(ended)
}
