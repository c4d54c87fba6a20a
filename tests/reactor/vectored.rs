//! Several buffers in one call: what fits, what blocks, the end, and errors.

use epollite::kernel::Syscall;
use epollite::{Errno, Interest, Kernel, Reactor, Received, Sent, Trigger};

use super::support::{keep, refusing, stream_pair, watch};

#[test]
fn buffers_are_filled_one_after_the_other_and_wait_like_one() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Edge, ());
    let far = keep(&mut reactor, far);
    let (_, mut io) = reactor.get_mut(near).unwrap();
    assert_eq!(io.recv_vectored(&mut [&mut [0; 4]]), Ok(Received::WouldBlock));
    let (_, mut io) = reactor.get_mut(far).unwrap();
    let mut sent = 0;
    while let Sent::Bytes(count) = io.send_vectored(&[b"head", &[7; 4_096]]).unwrap() {
        sent += count;
    }
    let (_, mut io) = reactor.get_mut(near).unwrap();
    let (mut head, mut body) = ([0; 4], [0; 4_096]);
    let mut received = 0;
    while let Received::Bytes(count) = io.recv_vectored(&mut [&mut head, &mut body]).unwrap() {
        if received == 0 {
            assert_eq!((&head, &body[..9]), (b"head", &[7; 9][..]));
        }
        received += count;
    }
    assert_eq!(received, sent, "invariant: nothing is lost");
    reactor.close(far);
    let (_, mut io) = reactor.get_mut(near).unwrap();
    assert_eq!(io.recv_vectored(&mut [&mut head, &mut body]), Ok(Received::Eof));
}

#[test]
fn an_error_is_no_wait() {
    let broken = [Syscall::Readv, Syscall::SendMessage].map(|call| (call, Errno::ECONNRESET, 1));
    let mut reactor = Reactor::with_kernel(refusing(&broken)).unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = keep(&mut reactor, near);
    let (_, mut io) = reactor.get_mut(near).unwrap();
    assert_eq!(io.recv_vectored(&mut [&mut [0; 4]]), Err(Errno::ECONNRESET));
    assert_eq!(io.send_vectored(&[b"head", b"body"]), Err(Errno::ECONNRESET));
    reactor.kernel().close(far).unwrap();
}
