//! The words of the pages: events, triggers, what goes wrong, and the names of descriptors.

use crate::output::columns::{COLUMNS, columns, labelled};

/// A word, what it means, and an experiment that shows it.
const WORDS: [(&str, &str, &str); 16] = [
    ("IN", "recv does not block: data, or the end", "level-until-read"),
    ("OUT", "send does not block: there is room", "level-out"),
    ("PRI", "an urgent (out-of-band) byte", "urgent-read"),
    ("RDHUP", "the peer sends no more (FIN); it may still read", "half-close"),
    ("HUP", "both directions have ended; reported unasked", "both-shut"),
    ("ERR", "an error is pending; reported unasked", "close-unread"),
    ("level", "reported as long as it is true; the default", "level-until-read"),
    ("ET", "edge: reported when something new arrives", "edge-residue"),
    ("ONESHOT", "reported once, then silent until a MOD", "oneshot-disarmed"),
    ("EXCLUSIVE", "several epolls watch it: not all are woken", "herd-exclusive"),
    ("drain", "recv until EAGAIN: ET reports no remainder", "edge-residue"),
    ("spin", "each wait returns at once, nothing is done", "interest-none-unix"),
    ("stale", "an event from before its descriptor's close", "stale-batch"),
    ("ghost", "its descriptor is closed, a duplicate is not", "dup-ghost"),
    ("herd", "many threads wake, one has something to do", "herd-level"),
    ("blocked", "the call had not returned", "threads-oneshot"),
];

/// The page of `epollite study words`.
pub(crate) fn glossary() -> String {
    let mut page = String::from("Words, each with an experiment that shows it:\n\n");
    for (word, meaning, experiment) in WORDS {
        page += &columns(&[(word, 11), (meaning, 50), (experiment, COLUMNS - 61)]);
    }
    page += "\n";
    page += &labelled(
        "names      ",
        "c0, s0: the ends of a connection, client and server; l0: a listener; d0: a duplicate; \
         e0: an epoll; t0, w1: threads",
    );
    page + &labelled(
        "t0 -(ew)- e0 -(et)- s0   ",
        "t0 waits (epoll_wait) in e0, which watches s0, edge-triggered",
    )
}
