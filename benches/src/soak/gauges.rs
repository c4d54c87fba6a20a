//! The gauges of a server's page of figures, in the text format of Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Values by the name of their family and the labels.
pub type Gauges = BTreeMap<String, f64>;

/// How long a server that is busy may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Asks for the page at `/metrics`, and returns its gauges.
pub(super) fn scrape(at: SocketAddr) -> Result<Gauges> {
    let mut stream = TcpStream::connect_timeout(&at, ANSWER_MAX).context("connect")?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").context("send")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("receive")?;
    let (head, page) = answer.split_once("\r\n\r\n").context("no answer of HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.split(' ').nth(1) == Some("200"), "the answer is `{status}`");
    Ok(parse(page))
}

fn parse(page: &str) -> Gauges {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<&str> = types.filter_map(|line| line.strip_suffix(" gauge")).collect();
    let samples = page.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let family = name.split('{').next()?;
        Some((name.to_owned(), value.parse().ok()?)).filter(|_| names.contains(family))
    });
    samples.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_read_and_counters_are_not() {
        let page = "# HELP a_open What is open.\n# TYPE a_open gauge\na_open{kind=\"x y\"} 3\n\
                    # TYPE a_total counter\na_total 7\n# TYPE b gauge\nb 1.5e3\n";
        let expected = [("a_open{kind=\"x y\"}".to_owned(), 3.0), ("b".to_owned(), 1500.0)];
        assert_eq!(parse(page), Gauges::from(expected));
        assert_eq!(parse("no page\n"), Gauges::new());
    }
}
