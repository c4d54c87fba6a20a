//! Line processing of the input: LF becomes CR LF, and one line is sent at a time.
//!
//! Bytes in, bytes out; it knows no socket and no clock.

/// A longer line is sent in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The bytes to be sent, and whether the last of them was a CR.
#[derive(Default, Debug)]
pub(super) struct LineBuffer {
    crlf: bool,
    one_at_a_time: bool,
    /// Whether the previous byte was a CR: a following LF gets no second one.
    after_cr: bool,
    buffer: Vec<u8>,
    offset: usize,
}

impl LineBuffer {
    pub(super) fn new(crlf: bool, one_at_a_time: bool) -> Self {
        Self { crlf, one_at_a_time, ..Self::default() }
    }

    /// Whether bytes are sent unchanged, and need not pass through here.
    pub(super) const fn is_passthrough(&self) -> bool {
        !self.crlf && !self.one_at_a_time
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.offset));
        for &byte in bytes {
            if self.crlf && byte == b'\n' && !self.after_cr {
                self.buffer.push(b'\r');
            }
            self.after_cr = byte == b'\r';
            self.buffer.push(byte);
        }
    }

    /// Takes the next bytes to send: everything, or one line. An incomplete line stays, unless no
    /// more input will come or it exceeds the maximum length.
    pub(super) fn next_chunk(&mut self, is_last: bool) -> Option<Vec<u8>> {
        let rest = &self.buffer[self.offset..];
        let end = rest.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let len = match end {
            Some(end) if self.one_at_a_time => end,
            None if self.one_at_a_time && !is_last && rest.len() < LINE_BYTES_MAX => return None,
            _ => rest.len(),
        };
        let line = rest[..len].to_vec();
        self.offset += len;
        Some(line).filter(|line| !line.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offset == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut LineBuffer) -> Vec<String> {
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
        std::iter::from_fn(|| lines.next_chunk(true)).map(text).collect()
    }

    #[test]
    fn a_lone_lf_gets_its_cr_across_reads_too() {
        let mut lines = LineBuffer::new(true, false);
        lines.push(b"a\nb\r");
        lines.push(b"\nc\r\r\n\n");
        assert_eq!(all(&mut lines), ["a\r\nb\r\nc\r\r\n\r\n"]);
        assert!(lines.is_empty());
    }

    #[test]
    fn lines_are_sent_one_by_one_and_the_last_needs_no_newline() {
        let mut lines = LineBuffer::new(false, true);
        lines.push(b"one\n\ntw");
        assert_eq!(lines.next_chunk(false).as_deref(), Some(&b"one\n"[..]));
        assert_eq!(lines.next_chunk(false).as_deref(), Some(&b"\n"[..]));
        assert_eq!(lines.next_chunk(false), None);
        lines.push(b"o");
        assert_eq!(all(&mut lines), ["two"]);
    }
}
