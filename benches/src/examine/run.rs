//! Runs cases with one server, one after the other, and looks after it in between.

use std::time::{Duration, Instant};

use super::case::Case;
use super::context::Context;
use super::failure::{Checked, Stop, wrong};
use super::record::{Outcome, Status};
use super::subject::Subject;
use super::wait;

/// How long a client may wait after a case until it is served.
const SERVED_MAX: Duration = Duration::from_secs(10);

/// How long a server that no longer serves may take to end: a process that is large or traced needs
/// a moment from the close of its sockets to its exit status.
const END_MAX: Duration = Duration::from_secs(2);

/// How often a case runs again whose descriptors have not all been closed.
const RUNS_OF_A_LEAK: u32 = 3;

/// How cases run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Per case.
    pub(super) timeout: Duration,
    /// The server serves one client at a time.
    pub(super) is_sequential: bool,
}

/// Serves a first client, and takes what the server uses then as what it returns to.
pub(super) fn prepare(subject: &mut Subject, rules: Rules) -> Checked {
    // Runtimes open some descriptors with the first clients.
    (0..3).try_for_each(|_| serves_a_client(subject, rules))?;
    subject.take_baseline()
}

/// The outcome when not even the first client is served: no case can say more.
pub(super) fn first_client_failed(why: String) -> Outcome {
    Outcome {
        name: "start/first-client".to_owned(),
        status: Status::Failed,
        why: Some(why),
        right: "the bytes of the first client come back".to_owned(),
        because: "RFC 862: any data received is sent back".to_owned(),
        seconds: 0.0,
        server_lost: true,
    }
}

/// Runs one case; one that fails runs again so many times, and its reason says how often it failed.
pub(super) fn run_again(
    case: &Case,
    subject: &mut Subject,
    rules: Rules,
    again: u32,
) -> Result<Outcome, Stop> {
    let mut outcome = run(case, subject, rules)?;
    if outcome.status != Status::Failed || again == 0 {
        return Ok(outcome);
    }
    let mut failures = 1;
    for _ in 0..again {
        let next = run(case, subject, rules)?;
        failures += u32::from(next.status == Status::Failed);
        outcome.server_lost |= next.server_lost;
        outcome.seconds += next.seconds;
    }
    let runs = again + 1;
    if failures < runs {
        outcome.why = outcome.why.map(|why| format!("{why} (in {failures} of {runs} runs)"));
    }
    Ok(outcome)
}

/// Runs one case, and checks the server after it. Fails only if a signal was received.
pub(super) fn run(case: &Case, subject: &mut Subject, rules: Rules) -> Result<Outcome, Stop> {
    let start = Instant::now();
    let mut outcome = Outcome {
        name: case.full_name(),
        status: Status::Ok,
        why: None,
        right: case.right.clone(),
        because: case.because.to_owned(),
        seconds: 0.0,
        server_lost: false,
    };
    let found = match unsuitable(case, subject, rules) {
        Some(why) => Err(Stop::Skipped(why)),
        None => run_and_check(case, subject, rules, &mut outcome.server_lost),
    };
    (outcome.status, outcome.why) = match found {
        Ok(()) => (Status::Ok, None),
        Err(Stop::Wrong(why)) => (Status::Failed, Some(why)),
        Err(Stop::Skipped(why)) => (Status::Skipped, Some(why)),
        Err(Stop::Interrupted) => return Err(Stop::Interrupted),
    };
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

fn unsuitable(case: &Case, subject: &Subject, rules: Rules) -> Option<String> {
    if case.needs_process && subject.process.is_none() {
        return Some("needs --start".to_owned());
    }
    let is_crowded = case.needs_many && rules.is_sequential;
    is_crowded.then(|| "needs several clients at a time".to_owned())
}

fn run_and_check(
    case: &Case,
    subject: &mut Subject,
    rules: Rules,
    server_lost: &mut bool,
) -> Checked {
    let deadline = Instant::now() + rules.timeout;
    let ran = (case.run)(&mut Context { subject: &mut *subject, deadline });
    if let Err(Stop::Interrupted) = ran {
        return ran;
    }
    if let Some(process) = &subject.process {
        // A case that failed may have left it stopped.
        process.set_stopped(false);
    }
    let alive = match &mut subject.process {
        Some(process) => process.check_alive(),
        None => Ok(()),
    };
    let served = alive.and_then(|()| serves_a_client(subject, rules));
    if let Err(Stop::Wrong(why)) = served {
        *server_lost = true;
        let why = end_of_server(subject).unwrap_or(why);
        recover(subject, rules)?;
        return match ran {
            Err(Stop::Wrong(ran)) => wrong(format!("{ran}; afterwards: {why}")),
            _ => wrong(format!("afterwards: {why}")),
        };
    }
    served?;
    let mut kept = subject.check_after_case(rules.timeout);
    if ran.is_ok() && kept.is_ok() {
        kept = check_descriptors(case, subject, rules);
    }
    if let Err(Stop::Wrong(_)) = kept {
        // What it keeps is not to be blamed on the following cases.
        recover(subject, rules)?;
    }
    match (ran, kept) {
        (Err(stop), Ok(())) => Err(stop),
        (Ok(()), Err(Stop::Wrong(why))) => wrong(format!("afterwards: {why}")),
        (Err(Stop::Wrong(ran)), Err(Stop::Wrong(kept))) => {
            wrong(format!("{ran}; afterwards: {kept}"))
        }
        (ran, kept) => ran.and(kept),
    }
}

/// Pipes, files, timers and the like that the server has opened in a case stay open at most if it
/// keeps them for later: what it opens once, and a pool, do not grow when the case runs again. What
/// is never closed grows each time.
fn check_descriptors(case: &Case, subject: &mut Subject, rules: Rules) -> Checked {
    let mut kept = subject.take_new_descriptors()?;
    for _ in 0..RUNS_OF_A_LEAK {
        if kept == 0 {
            return Ok(());
        }
        let deadline = Instant::now() + rules.timeout;
        if let Err(Stop::Interrupted) =
            (case.run)(&mut Context { subject: &mut *subject, deadline })
        {
            return Err(Stop::Interrupted);
        }
        subject.check_after_case(rules.timeout)?;
        let more = subject.take_new_descriptors()?;
        kept = if more == 0 { 0 } else { kept + more };
    }
    if kept == 0 {
        return Ok(());
    }
    wrong(format!(
        "{kept} descriptors stay open after all clients have gone, more with each of {} runs",
        RUNS_OF_A_LEAK + 1
    ))
}

/// Why the server has ended, if it has. The kernel closes the sockets of a process before the
/// process can be waited for: a client is reset by a server that seems to be alive.
fn end_of_server(subject: &mut Subject) -> Option<String> {
    let process = subject.process.as_mut()?;
    let deadline = Instant::now() + END_MAX;
    let mut end = None;
    let waited = wait::until(deadline, || {
        end = process.check_alive().err();
        end.is_some()
    });
    match (waited, end) {
        (Ok(true), Some(Stop::Wrong(why))) => Some(why),
        _ => None,
    }
}

/// A server for the following cases.
fn recover(subject: &mut Subject, rules: Rules) -> Checked {
    subject.recover().or_else(|error| wrong(format!("it does not start again: {error:#}")))?;
    prepare(subject, rules)
}

/// One client is served, of the same kind as those of the cases.
fn serves_a_client(subject: &mut Subject, rules: Rules) -> Checked {
    let deadline = Instant::now() + SERVED_MAX.min(rules.timeout);
    let context = Context { subject, deadline };
    match context.others_are_served() {
        Err(Stop::Wrong(why)) => wrong(format!("another client is not served: {why}")),
        served => served,
    }
}
