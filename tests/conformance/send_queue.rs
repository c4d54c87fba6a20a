//! Sent but unacknowledged data (`SIOCOUTQ`): how a sender detects that the peer reads.

use epollite::kernel::{Shutdown, SocketOption};

use crate::misuse::on_each;
use crate::same;

#[test]
fn the_send_queue_of_each() {
    on_each(|harness, fd| {
        let _ = harness.k.ioctl_outq(fd);
    });
}

#[test]
fn an_end_that_has_arrived_is_in_no_send_queue() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                harness.send(&near, b"last words");
                harness.recv(&far, 10).unwrap();
                // A TCP FIN counts as a byte until it is acknowledged, which the peer delays.
                harness.k.shutdown(&near, Shutdown::Write).unwrap();
                harness.wait_idle();
                harness.close(far);
                let left = harness.k.ioctl_outq(&near);
                harness.read_and_record("the peer has closed", left);
                harness.close(near);
            },
            &["recv 10: Ok(\"last words\")", "the peer has closed: Ok(0)"],
        );
    }
}

#[test]
fn the_send_queue_falls_when_the_peer_reads_and_not_before() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                // A size that was set stays: a full buffer is still full at the next check.
                harness.k.setsockopt(&near, SocketOption::SendBufferBytes(100_000)).unwrap();
                let fresh = harness.k.ioctl_outq(&near);
                harness.read_and_record("fresh", fresh);
                let sent = harness.fill(&near);
                let full = harness.k.ioctl_outq(&near).unwrap();
                let again = harness.k.ioctl_outq(&near).unwrap();
                harness.read_and_record("full, and stays so", full > 0 && full == again);
                // Little enough that some is left, wherever Linux draws the line between the two
                // buffers.
                harness.drain(&far, sent / 8);
                let some = harness.k.ioctl_outq(&near).unwrap();
                harness.read_and_record("some is read", some < full);
                harness.drain(&far, sent);
                let empty = harness.k.ioctl_outq(&near);
                harness.read_and_record("all is read", empty);
                harness.close_all([near, far]);
            },
            &[
                "fresh: Ok(0)",
                "full: true",
                "full, and stays so: true",
                "some is read: true",
                "all is read: Ok(0)",
            ],
        );
    }
}
