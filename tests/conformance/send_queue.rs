//! What was sent and is still on our side (`SIOCOUTQ`): how a sender sees that the peer reads.

use epollite::{Shut, SocketOption};

use crate::misuse::on_each;
use crate::same;

#[test]
fn the_send_queue_of_each() {
    on_each(|stage, fd| {
        let _ = stage.k.ioctl_outq(fd);
    });
}

#[test]
fn an_end_that_has_arrived_is_in_no_send_queue() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                stage.send(&near, b"last words");
                stage.recv(&far, 10).unwrap();
                // Of TCP the end counts as a byte until it is acknowledged, which the peer puts off.
                stage.k.shutdown(&near, Shut::Write).unwrap();
                stage.settle();
                stage.close(far);
                let left = stage.k.ioctl_outq(&near);
                stage.see("the peer has closed", left);
                stage.close(near);
            },
            &["recv 10: Ok(\"last words\")", "the peer has closed: Ok(0)"],
        );
    }
}

#[test]
fn the_send_queue_falls_when_the_peer_reads_and_not_before() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                // A size that was set stays: what is full now is full at the next look.
                stage.k.setsockopt(&near, SocketOption::SendBufferBytes(100_000)).unwrap();
                let fresh = stage.k.ioctl_outq(&near);
                stage.see("fresh", fresh);
                let sent = stage.fill(&near);
                let full = stage.k.ioctl_outq(&near).unwrap();
                let again = stage.k.ioctl_outq(&near).unwrap();
                stage.see("full, and stays so", full > 0 && full == again);
                // Little enough that some is left, wherever Linux draws the line between the two buffers.
                stage.drain(&far, sent / 8);
                let some = stage.k.ioctl_outq(&near).unwrap();
                stage.see("some is read", some < full);
                stage.drain(&far, sent);
                let empty = stage.k.ioctl_outq(&near);
                stage.see("all is read", empty);
                stage.close_all([near, far]);
            },
            &[
                "fresh: Ok(0)",
                "no room: true",
                "full, and stays so: true",
                "some is read: true",
                "all is read: Ok(0)",
            ],
        );
    }
}
