//! UDP messages of several segments: how they arrive, with and without `UDP_GRO`.

use epollite::kernel::SocketOption;
use epollite::net::DatagramBatch;
use epollite::{Addr, Fd};

use crate::datagrams::udp;
use crate::harness::{ET, Harness, IN};
use crate::same;

/// Sends `bytes` to `addr` in one message with segments of this length.
fn send_segments(
    harness: &mut Harness<'_>,
    from: &Fd,
    bytes: &[u8],
    segment_bytes: u16,
    addr: &Addr,
) {
    let mut batch = DatagramBatch::new(1, 65_536);
    assert!(batch.push(bytes, &addr.encode()));
    batch.set_len(1)[0].segment_bytes = segment_bytes;
    let sent = harness.k.sendmmsg(from, &batch, 0);
    harness.read_and_record("sent", sent);
    harness.wait_idle();
}

/// Records what recvmmsg returns, with control messages.
fn receive(harness: &mut Harness<'_>, socket: &Fd) {
    let mut batch = DatagramBatch::new(4, 65_536);
    batch.enable_control_messages();
    let received = harness.k.recvmmsg(socket, &mut batch);
    harness.read_and_record("received", received);
    for datagram in batch.iter() {
        let lengths: Vec<usize> = datagram.segments().map(<[u8]>::len).collect();
        harness.record(format!("segments of {}: {lengths:?}", datagram.segment_bytes));
    }
}

#[test]
fn segments_arrive_as_datagrams_or_in_one_piece_with_udp_gro() {
    same(
        |harness| {
            let (from, _) = udp(harness);
            let (to, addr) = udp(harness);
            let epoll = harness.epoll();
            harness.add(&epoll, &to, IN | ET, 1);
            for is_joined in [false, true] {
                let set = harness.k.setsockopt(&to, SocketOption::UdpGro(is_joined));
                harness.read_and_record("set", set);
                send_segments(harness, &from, b"0123456789", 4, &addr);
                harness.wait(&epoll, "ready");
                receive(harness, &to);
            }
            send_segments(harness, &from, b"0123", 4, &addr);
            receive(harness, &to);
            harness.close_all([from, to, epoll]);
        },
        &[
            "set: Ok(())",
            "sent: Ok(1)",
            "ready: [1 IN]",
            "received: Ok(3)",
            "segments of 0: [4]",
            "segments of 0: [4]",
            "segments of 0: [2]",
            "set: Ok(())",
            "sent: Ok(1)",
            "ready: [1 IN]",
            "received: Ok(1)",
            "segments of 4: [4, 4, 2]",
            "sent: Ok(1)",
            "received: Ok(1)",
            "segments of 0: [4]",
        ],
    );
}

#[test]
fn segments_that_arrived_in_one_piece_stay_so_without_a_length() {
    same(
        |harness| {
            let (from, _) = udp(harness);
            let (to, addr) = udp(harness);
            harness.k.setsockopt(&to, SocketOption::UdpGro(true)).unwrap();
            send_segments(harness, &from, b"0123456789", 4, &addr);
            let message = harness.k.recvmsg(&to, &mut [0; 16]).unwrap();
            harness.record(format!("{} in {}", message.len_bytes, message.segment_bytes));
            send_segments(harness, &from, b"0123456789", 4, &addr);
            harness.k.setsockopt(&to, SocketOption::UdpGro(false)).unwrap();
            receive(harness, &to);
            harness.close_all([from, to]);
        },
        &["sent: Ok(1)", "10 in 4", "sent: Ok(1)", "received: Ok(1)", "segments of 0: [10]"],
    );
}

#[test]
fn a_message_has_at_most_128_segments() {
    same(
        |harness| {
            let (from, addr) = udp(harness);
            for segments in [64, 65, 128, 129] {
                send_segments(harness, &from, &vec![b'x'; segments], 1, &addr);
            }
            harness.close_all([from]);
        },
        &["sent: Ok(1)", "sent: Ok(1)", "sent: Ok(1)", "sent: Err(EINVAL)"],
    );
}
