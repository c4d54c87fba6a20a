//! All cases, by class. Each is ordinary use of a socket, and harmless to a server that is right.

mod bytes;
mod half_close;
mod many;
mod process;
mod reset;
mod slow;
mod splits;
mod tcp;
mod udp;
mod unix;

use super::case::Case;

/// The documents that say what is right.
mod because {
    pub(super) const ECHO: &str = "RFC 862: any data received is sent back";
    pub(super) const STREAM: &str = "RFC 9293 2.2: TCP is a reliable, in-order byte stream; how it \
                                     is cut into sends has no meaning";
    pub(super) const HALF_CLOSE: &str = "RFC 9293 3.6: a side that has closed continues to \
                                         receive until the other side closes too";
    pub(super) const RESET: &str = "RFC 9293 3.5.3: a reset ends its own connection, and no other";
    pub(super) const OTHERS: &str = "RFC 862 serves any client: one that does not go on must not \
                                     keep the server from the others";
    pub(super) const BOUNDED: &str = "RFC 9293 3.8.6: the window lets a receiver bound what it \
                                      stores for a sender that does not read";
    pub(super) const CLOSE_WAIT: &str = "RFC 9293 3.3.2: CLOSE-WAIT lasts until the local user \
                                         closes";
    pub(super) const SLEEP: &str = "epoll_wait(2), poll(2): a server with nothing to do sleeps \
                                    until a descriptor is ready";
    pub(super) const ACCEPT: &str = "accept(2): EMFILE is the limit of the process; it passes when \
                                     a descriptor is closed";
    pub(super) const BACKLOG: &str = "listen(2): what the backlog does not hold is tried again by \
                                      the client's kernel";
    pub(super) const QUEUE: &str = "listen(2): connections wait in the backlog, with their bytes, \
                                    until they are accepted";
    pub(super) const ABORTED: &str = "accept(2): the error of a connection that ended in the \
                                      backlog is no error of the listener";
    pub(super) const LOG: &str = "write(2): ENOSPC is what a log comes to that each client makes \
                                  longer";
    pub(super) const SIGNAL: &str = "signal(7): SIGTERM and SIGINT ask a process to end; what it \
                                     has received it can still answer";
    pub(super) const STOP: &str = "signal(7): SIGCONT lets a stopped process go on; what came \
                                   before that the kernel has kept";
    pub(super) const IGNORED: &str = "signal(7): nothing is done at SIGWINCH and SIGURG by default";
    pub(super) const IN_USE: &str = "bind(2): EADDRINUSE, unless both share the port by \
                                     SO_REUSEPORT (socket(7))";
    pub(super) const REUSE: &str = "socket(7): SO_REUSEADDR lets a server bind although old \
                                    connections of its port linger";
    pub(super) const SAME_PORT: &str = "RFC 9293 3.4.1: a connection is defined by a pair of \
                                        sockets, and can be used again";
    pub(super) const KEEPALIVE: &str = "RFC 9293 3.8.4: a keep-alive asks the other side for an \
                                        acknowledgement, and is no data";
    pub(super) const ZERO_WINDOW: &str = "RFC 9293 3.8.6.1: while probes are acknowledged, a \
                                          connection with a closed window stays open";
    pub(super) const ANY_ADDRESS: &str = "ip(7), ipv6(7): the wildcard address stands for every \
                                          address of the host";
    pub(super) const DUAL_STACK: &str = "ipv6(7): IPv4 clients come to a socket bound to :: too, \
                                         unless it has IPV6_V6ONLY";
    pub(super) const URGENT: &str = "RFC 6093: the urgent byte may be left out or be in line; all \
                                     others are the stream";
    pub(super) const UDP: &str = "RFC 862: a datagram received is sent back to its source";
    pub(super) const BOUNDARY: &str = "udp(7): a datagram keeps its boundaries; RFC 768 allows 0 \
                                       to 65,507 bytes over IPv4";
    pub(super) const UDP_SOURCE: &str = "RFC 1122 4.1.3.5: the source of an answer is the address \
                                         that was asked";
    pub(super) const UDP_ERRORS: &str = "udp(7): an ICMP error is of one peer, and not of the \
                                         socket";
    pub(super) const UNIX: &str = "unix(7): descriptors that come with SCM_RIGHTS are the \
                                   receiver's to close";
    pub(super) const UNIX_ACCESS: &str = "unix(7): to connect needs write permission on the socket";
    pub(super) const UNIX_LENGTH: &str = "unix(7): sun_path has 108 bytes, and the last is a NUL";
    pub(super) const UNIX_PATH: &str = "unix(7): a socket path outlives its socket until it is \
                                        unlinked";
}

/// A number with a comma between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

/// Every case, in the order in which they run.
pub(super) fn all() -> Vec<Case> {
    let classes = [
        ("bytes", bytes::cases()),
        ("splits", splits::cases()),
        ("half-close", half_close::cases()),
        ("reset", reset::cases()),
        ("slow", slow::cases()),
        ("many", many::cases()),
        ("tcp", tcp::cases()),
        ("udp", udp::cases()),
        ("unix", unix::cases()),
        ("process", process::cases()),
    ];
    let with_class = |(class, cases): (&'static str, Vec<Case>)| {
        cases.into_iter().map(move |case| Case { class, ..case })
    };
    classes.into_iter().flat_map(with_class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let texts = [1, 999, 1000, 65_536, 8 << 20].map(grouped);
        assert_eq!(texts, ["1", "999", "1,000", "65,536", "8,388,608"]);
    }

    #[test]
    fn names_are_unique_and_short() {
        let cases = all();
        let names: std::collections::BTreeSet<String> = cases.iter().map(Case::full_name).collect();
        assert_eq!(names.len(), cases.len(), "every name is used once");
        assert!(names.iter().all(|name| name.len() <= 40), "{names:?}");
        assert!(cases.len() >= 100, "{} cases", cases.len());
    }
}
