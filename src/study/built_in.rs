//! The experiments of this crate, in the order in which a reader new to epoll should take them.

macro_rules! experiments {
    ($($name:literal)*) => {
        /// Every experiment: its name, and its text, which is also the example of the notation.
        pub const BUILT_IN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("experiments/", $name, ".txt"))),)*
        ];
    };
}

// A macro, because include_str! needs the name as a literal: without it every name would be written
// twice.
experiments! {
    "level-until-read"
    "level-out"
    "two-epolls"
    "edge-residue"
    "edge-per-arrival"
    "edge-merged"
    "edge-late"
    "edge-mod-spurious"
    "edge-eof-hidden"
    "edge-eof-rdhup"
    "edge-listener"
    "oneshot-disarmed"
    "oneshot-edge"
    "round-robin"
    "half-close"
    "tcp-peer-close"
    "both-shut"
    "close-unread"
    "linger-reset"
    "data-then-reset"
    "so-error-takes"
    "unix-peer-close"
    "unix-close-unread"
    "unix-half-close"
    "own-shutdown-both"
    "own-shutdown-read"
    "interest-none-unix"
    "interest-none-tcp"
    "fresh-socket"
    "connect-refused"
    "connect-in-progress"
    "data-before-accept"
    "unix-connect"
    "accept-inherits"
    "reset-before-accept"
    "listener-shut"
    "exclusive-rules"
    "dup-ghost"
    "same-file-twice"
    "fd-reuse"
    "nested"
    "nested-edge"
    "nested-limits"
    "eventfd-unread"
    "eventfd-maximum"
    "eventfd-zero"
    "eventfd-nine-bytes"
    "pipe-edge"
    "pipe-page"
    "pipe-reader-gone"
    "pipe-writer-gone"
    "zero-bytes"
    "out-edge-unix"
    "out-edge-tcp"
    "buffer-doubled"
    "rcvlowat"
    "udp-shutdown"
    "udp-refused"
    "udp-truncated"
    "udp-connected"
    "udp-own-send"
    "unix-datagram-peer-gone"
    "unix-datagram-no-peer"
    "interest-mod"
    "wait-no-room"
    "ctl-errors"
}

/// The text of the experiment of this name. Cost: O(experiments).
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
