//! What goes out, when lines matter: LF becomes CR LF, and one line goes at a time.
//!
//! Bytes in, bytes out; it knows no socket and no clock.

/// A line that is longer goes out in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The bytes that wait to go out, and how the last of them ended.
#[derive(Default, Debug)]
pub(super) struct Lines {
    crlf: bool,
    one_at_a_time: bool,
    /// Whether the byte before was a CR: its LF is not given another.
    after_cr: bool,
    waiting: Vec<u8>,
    gone: usize,
}

impl Lines {
    pub(super) fn new(crlf: bool, one_at_a_time: bool) -> Self {
        Self { crlf, one_at_a_time, ..Self::default() }
    }

    /// Whether bytes go out as they are, and need not come here at all.
    pub(super) const fn are_plain(&self) -> bool {
        !self.crlf && !self.one_at_a_time
    }

    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.drain(..std::mem::take(&mut self.gone));
        for &byte in bytes {
            if self.crlf && byte == b'\n' && !self.after_cr {
                self.waiting.push(b'\r');
            }
            self.after_cr = byte == b'\r';
            self.waiting.push(byte);
        }
    }

    /// Takes what goes out next: everything, or one line. A line that has no end yet waits for
    /// it, unless nothing more will come or it is longer than lines are.
    pub(super) fn take(&mut self, is_last: bool) -> Option<Vec<u8>> {
        let rest = &self.waiting[self.gone..];
        let end = rest.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let len = match end {
            Some(end) if self.one_at_a_time => end,
            None if self.one_at_a_time && !is_last && rest.len() < LINE_BYTES_MAX => return None,
            _ => rest.len(),
        };
        let line = rest[..len].to_vec();
        self.gone += len;
        Some(line).filter(|line| !line.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gone == self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
        std::iter::from_fn(|| lines.take(true)).map(text).collect()
    }

    #[test]
    fn a_lone_lf_gets_its_cr_across_reads_too() {
        let mut lines = Lines::new(true, false);
        lines.push(b"a\nb\r");
        lines.push(b"\nc\r\r\n\n");
        assert_eq!(all(&mut lines), ["a\r\nb\r\nc\r\r\n\r\n"]);
        assert!(lines.is_empty());
    }

    #[test]
    fn lines_go_one_by_one_and_the_last_needs_no_end() {
        let mut lines = Lines::new(false, true);
        lines.push(b"one\n\ntw");
        assert_eq!(lines.take(false).as_deref(), Some(&b"one\n"[..]));
        assert_eq!(lines.take(false).as_deref(), Some(&b"\n"[..]));
        assert_eq!(lines.take(false), None);
        lines.push(b"o");
        assert_eq!(all(&mut lines), ["two"]);
    }
}
