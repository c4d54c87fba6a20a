//! As much of HTTP/1.1 as a page of figures needs: one request, one answer, the connection is
//! closed. RFC 9110, RFC 9112.
//!
//! Bytes in, bytes out: no sockets, no time.

/// The longest request: the line and all headers.
pub(crate) const REQUEST_BYTES_MAX: usize = 8 << 10;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// The figures; of HEAD the headers alone.
    Metrics { is_head: bool },
    /// Something else: the answer's status.
    Other(Status),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    TooLarge,
}

/// Reads a request; `None` while its end is missing.
pub(crate) fn parse(bytes: &[u8]) -> Option<Request> {
    let ends = [&b"\r\n\r\n"[..], b"\n\n"];
    let is_complete = ends.iter().any(|end| bytes.windows(end.len()).any(|part| part == *end));
    if bytes.len() > REQUEST_BYTES_MAX || (!is_complete && bytes.len() == REQUEST_BYTES_MAX) {
        return Some(Request::Other(Status::TooLarge));
    }
    if !is_complete {
        return None;
    }
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Some(Request::Other(Status::BadRequest));
    };
    let is_token = |method: &[u8]| !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    if !is_token(method) || !target.starts_with(b"/") || !version.starts_with(b"HTTP/1.") {
        return Some(Request::Other(Status::BadRequest));
    }
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    Some(match (path, method) {
        (b"/metrics", b"GET") => Request::Metrics { is_head: false },
        (b"/metrics", b"HEAD") => Request::Metrics { is_head: true },
        (b"/metrics", _) => Request::Other(Status::MethodNotAllowed),
        _ => Request::Other(Status::NotFound),
    })
}

/// The answer with this page.
pub(crate) fn page(kind: &str, body: &str, is_head: bool) -> Vec<u8> {
    answer("200 OK", &format!("Content-Type: {kind}\r\n"), body, is_head)
}

/// The answer to what is not served.
pub(crate) fn refusal(status: Status) -> Vec<u8> {
    let (status, allow) = match status {
        Status::BadRequest => ("400 Bad Request", ""),
        Status::NotFound => ("404 Not Found", ""),
        Status::MethodNotAllowed => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
        Status::TooLarge => ("431 Request Header Fields Too Large", ""),
    };
    let headers = format!("Content-Type: text/plain\r\n{allow}");
    answer(status, &headers, &format!("{status}; the page is /metrics\n"), false)
}

fn answer(status: &str, headers: &str, body: &str, is_head: bool) -> Vec<u8> {
    let len = body.len();
    let body = if is_head { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_at_its_end_however_it_is_split() {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for len in 0..request.len() {
            assert_eq!(parse(&request[..len]), None, "{len} bytes are not a request");
        }
        assert_eq!(parse(request), Some(Request::Metrics { is_head: false }));
    }

    #[test]
    fn every_request_has_its_answer() {
        let other = Request::Other;
        for (line, expected) in [
            ("GET /metrics?a=b HTTP/1.0", Request::Metrics { is_head: false }),
            ("HEAD /metrics HTTP/1.1", Request::Metrics { is_head: true }),
            ("POST /metrics HTTP/1.1", other(Status::MethodNotAllowed)),
            ("GET / HTTP/1.1", other(Status::NotFound)),
            ("GET /metrics/ HTTP/1.1", other(Status::NotFound)),
            ("GET metrics HTTP/1.1", other(Status::BadRequest)),
            ("GET /metrics", other(Status::BadRequest)),
            ("GET /metrics HTTP/2.0", other(Status::BadRequest)),
            ("GET  /metrics HTTP/1.1", other(Status::BadRequest)),
            ("", other(Status::BadRequest)),
            ("g\u{e9}t /metrics HTTP/1.1", other(Status::BadRequest)),
        ] {
            assert_eq!(parse(format!("{line}\r\n\r\n").as_bytes()), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn a_request_is_bounded() {
        let mut long = b"GET /metrics HTTP/1.1\r\nA: ".to_vec();
        long.resize(REQUEST_BYTES_MAX - 1, b'a');
        assert_eq!(parse(&long), None);
        long.push(b'a');
        assert_eq!(parse(&long), Some(Request::Other(Status::TooLarge)));
    }
}
