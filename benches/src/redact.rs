//! Removes local paths from a record: of an absolute path only the last component is kept, since
//! records are published. Pure.

use crate::schema::ResultFile;

/// Folders present on every Linux: paths in them reveal nothing about this machine.
const COMMON: [&str; 5] = ["/proc/", "/sys/", "/dev/", "/etc/", "/usr/"];

/// A copy of a record without local paths.
pub(crate) fn record(record: &ResultFile) -> ResultFile {
    let mut record = record.clone();
    let run = &mut record.run;
    let words = run.command.iter_mut().chain(&mut run.failures);
    let words = words.chain([&mut run.syscalls_counted_by]);
    let absent = record.absent.iter_mut().map(|absent| &mut absent.why);
    let commands = record.servers.iter_mut().map(|server| &mut server.command);
    words.chain(absent).chain(commands).for_each(|text| *text = self::text(text));
    let outcomes = record.cases.iter_mut().flat_map(|case| &mut case.results);
    for outcome in outcomes {
        let calls = outcome.measured.as_mut().and_then(|it| it.syscalls_why.as_mut());
        outcome.why.iter_mut().chain(calls).for_each(|text| *text = self::text(text));
    }
    let curves = record.knee.iter_mut().flat_map(|knee| &mut knee.curves);
    curves.filter_map(|curve| curve.why.as_mut()).for_each(|why| *why = self::text(why));
    record
}

/// Replaces each absolute path in a text by its last component.
pub(crate) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = next_path(rest, shown.chars().next_back()) {
        let (before, path) = rest.split_at(at);
        shown += before;
        let quote = before.chars().next_back().filter(|c| matches!(c, '\'' | '"' | '`'));
        let end = match quote.and_then(|quote| path.find(quote)) {
            Some(end) => end,
            None => path.find(ends_path).unwrap_or(path.len()),
        };
        let (path, after) = path.split_at(end);
        let is_common = COMMON.iter().any(|folder| path.starts_with(folder));
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        shown += if is_common { path } else { last };
        rest = after;
    }
    shown + rest
}

/// Finds the start of an absolute path: a slash not preceded by a character of a word. Two slashes
/// are part of a URL.
fn next_path(text: &str, before: Option<char>) -> Option<usize> {
    text.match_indices('/').map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back().or(before);
        let begins = before.is_none_or(|c| ends_path(c) || matches!(c, '=' | ':' | '(' | '['));
        begins && text[at + 1..].chars().next().is_some_and(|c| c != '/' && !ends_path(c))
    })
}

fn ends_path(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '`' | ',' | ';' | ')' | ']')
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_last_component_of_a_path_is_kept() {
        for (text, shown) in [
            ("nothing", "nothing"),
            ("/home/me/x", "x"),
            ("--program=/home/me/bin/epollite", "--program=epollite"),
            ("python3 '/home/my own/echo.py' 1", "python3 'echo.py' 1"),
            ("cannot start `/a/b`: no /c/d, no /e/f/", "cannot start `b`: no d, no f"),
            ("/a/b.c:12:10: fatal error", "b.c:12:10: fatal error"),
            ("peer v0.1.0 (/a/b/peer)", "peer v0.1.0 (peer)"),
            (
                "/sys/kernel/tracing/events and /proc/PID/stat",
                "/sys/kernel/tracing/events and /proc/PID/stat",
            ),
            ("./server {port}", "./server {port}"),
            ("target/release/epollite", "target/release/epollite"),
            ("https://rustup.rs/", "https://rustup.rs/"),
            ("1/(1-p) / 2", "1/(1-p) / 2"),
        ] {
            assert_eq!(super::text(text), shown);
        }
    }
}
