//! What can be awaited: streams, listeners, datagrams, and any other descriptor; on the simulated
//! and the real kernel alike.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use epollite::executor::{Direction, Executor, Handle};
use epollite::instrument::CallCounter;
use epollite::kernel::{Shutdown, SocketType, Syscall};
use epollite::net::AddressFamily;
use epollite::server::{PortSharing, bind_datagram, bind_stream};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Kernel, Linux};

use crate::one_port::OnePort;
use crate::support::{EventLog, client, executor, listener, pair, settle};

/// A kernel chosen at run time.
pub(crate) type Either = Box<dyn Kernel>;

/// Runs the same scenario on both kernels.
pub(crate) fn on_both(scenario: impl AsyncFn(&Handle<Either>)) {
    let kernels: [Either; 2] = [Box::new(Linux), Box::new(Sim::default())];
    for kernel in kernels {
        let mut executor = Executor::with_kernel(kernel).expect("a descriptor is available");
        let handle = executor.handle();
        executor.block_on(scenario(&handle)).expect("the call succeeds");
        drop(executor);
        assert_eq!(handle.fd_count(), 0, "leak");
    }
}

#[test]
fn connect_accept_echo() {
    on_both(async |handle| {
        let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        let addrs = ["127.0.0.1:0", "[::1]:0", "unix:@epollite task test"];
        for addr in addrs.into_iter().filter(|addr| has_ipv6 || !addr.starts_with('[')) {
            let (mut listener, addr) = listener(handle, addr);
            let serves = handle.spawn(async move {
                let (mut client, peer) = listener.accept().await.expect("the listener is open");
                while let Some(bytes) =
                    client.recv_pooled().await.expect("the connection is intact")
                {
                    client.write_all(&bytes).await.expect("the connection is intact");
                }
                peer.family()
            });
            let mut client = handle.connect(&addr).await.expect("the listener is open");
            client.write_all(b"hello").await.expect("the connection is intact");
            client.shutdown(Shutdown::Write).expect("it is connected");
            let (mut received, mut buf) = (Vec::new(), [0; 3]);
            while let Ok(count @ 1..) = client.recv(&mut buf).await {
                received.extend_from_slice(&buf[..count]);
            }
            assert_eq!(received, b"hello", "over {addr}");
            assert_eq!(serves.await, Ok(addr.family()));
        }
    });
}

/// connect(2) fails with EAGAIN, and no event reports free space.
#[test]
fn a_connect_to_a_full_unix_backlog_waits_for_room() {
    on_both(async |handle| {
        let addr: Addr = "unix:@epollite task queue".parse().expect("the address is valid");
        let listener = handle.with_kernel(|kernel| {
            let listener = kernel.socket(AddressFamily::Unix, SocketType::Stream).expect("room");
            kernel.bind(&listener, &addr).expect("it is free");
            kernel.listen(&listener, 0).expect("it is bound");
            listener
        });
        let mut listener = handle.listener(listener).expect("room");
        let first = handle.connect(&addr).await.expect("the backlog holds one");
        let mut second = pin!(handle.connect(&addr));
        let is_waiting = poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
        assert!(is_waiting, "invariant: a full queue is waited for");
        drop(listener.accept().await.expect("the first is queued"));
        let soon = Duration::from_secs(60);
        let second =
            handle.timeout(soon, second).await.expect("invariant: a free place is noticed");
        second.expect("invariant: the waiting client is connected");
        drop(listener.accept().await.expect("the second is queued"));
        drop(first);
        // A client that stops waiting leaves no descriptor open.
        let first = handle.connect(&addr).await.expect("the backlog holds one");
        let given_up = handle.timeout(Duration::from_millis(25), handle.connect(&addr)).await;
        assert!(given_up.is_err(), "invariant: a full queue is waited for");
        drop(first);
    });
}

#[test]
fn split_halves_carry_more_than_a_socket_buffer() {
    const BYTES: usize = 3_000_000;
    on_both(async |handle| {
        for addr in ["127.0.0.1:0", "unix:@epollite task halves"] {
            let (mut listener, addr) = listener(handle, addr);
            drop(handle.spawn(async move {
                let (mut client, _) = listener.accept().await.expect("the listener is open");
                while let Some(bytes) =
                    client.recv_pooled().await.expect("the connection is intact")
                {
                    client.write_all(&bytes).await.expect("the connection is intact");
                }
            }));
            let client = handle.connect(&addr).await.expect("the listener is open");
            let (mut receiver, mut sender) = client.split();
            let bytes: Rc<[u8]> = (0..BYTES).map(|at| (at / 7).to_le_bytes()[0]).collect();
            let sent = Rc::clone(&bytes);
            drop(handle.spawn(async move {
                sender.write_all(&sent).await.expect("it is read");
                sender.shutdown(Shutdown::Write).expect("it is connected");
            }));
            let mut received = Vec::new();
            while let Some(bytes) = receiver.recv_pooled().await.expect("the connection is intact")
            {
                received.extend_from_slice(&bytes);
            }
            assert!(received == *bytes, "invariant: output equals input at the end, over {addr}");
        }
    });
}

#[test]
fn a_refused_connect_leaks_nothing() {
    on_both(async |handle| {
        // Bound, so that the port is reserved; and not listening.
        let any: Addr = "127.0.0.1:0".parse().unwrap();
        let (taken, addr) = handle.with_kernel(|kernel| {
            let socket = kernel.socket(any.family().unwrap(), SocketType::Stream).unwrap();
            kernel.bind(&socket, &any).unwrap();
            let addr = kernel.getsockname(&socket).unwrap();
            (socket, addr)
        });
        let refused = handle.connect(&addr).await.map(drop);
        assert_eq!(refused, Err(Errno::ECONNREFUSED));
        let unix: Addr = "unix:@epollite unbound".parse().unwrap();
        assert_eq!(handle.connect(&unix).await.map(drop), Err(Errno::ECONNREFUSED));
        assert_eq!(handle.connect(&Addr::Unspecified).await.map(drop), Err(Errno::EAFNOSUPPORT));
        assert_eq!(handle.fd_count(), 0);
        handle.with_kernel(|kernel| kernel.close(taken)).unwrap();
    });
}

/// The kernel may assign the client the very port that it connects to.
#[test]
fn a_connection_to_itself_is_refused_and_closed() {
    let mut executor = Executor::with_kernel(OnePort(Linux)).expect("a descriptor is free");
    let handle = executor.handle();
    for to in ["127.0.0.1:0", "0.0.0.0:0"] {
        let (free, addr) =
            bind_stream(&mut Linux, &to.parse().unwrap(), PortSharing::Exclusive).unwrap();
        Linux.close(free).unwrap();
        let connected = executor.block_on(handle.connect(&addr)).expect("the executor runs");
        assert_eq!(connected.map(drop), Err(Errno::ECONNREFUSED), "no server listens at {addr}");
        assert_eq!(handle.fd_count(), 0, "invariant: the socket is closed");
    }
}

#[test]
fn a_datagram_is_echoed_to_its_sender() {
    on_both(async |handle| {
        let any: Addr = "127.0.0.1:0".parse().unwrap();
        let bound = |_| {
            let bound =
                handle.with_kernel(|kernel| bind_datagram(kernel, &any, PortSharing::Exclusive));
            let (socket, addr) = bound.expect("a port is free");
            (handle.datagram(socket).expect("there is room"), addr)
        };
        let [(mut server, at), (mut client, from)] = [0, 1].map(bound);
        let echoes = handle.spawn(async move {
            let mut buf = [0; 4];
            let mut lens = Vec::new();
            while lens.len() < 3 {
                let (len, peer) =
                    server.recvfrom(&mut buf).await.expect("the connection is intact");
                server.sendto(&buf[..len.min(4)], &peer).await.expect("there is room");
                lens.push((len, peer));
            }
            lens
        });
        for len in [0, 4, 9] {
            client.sendto(&[7; 9][..len], &at).await.expect("there is room");
            let mut buf = [0; 16];
            let (count, peer) = client.recvfrom(&mut buf).await.expect("the connection is intact");
            assert_eq!((count, peer), (len.min(4), at));
        }
        let wanted = vec![(0, from), (4, from), (9, from)];
        assert_eq!(echoes.await, Ok(wanted), "the whole length is reported");
    });
}

#[test]
fn any_descriptor_can_be_awaited() {
    on_both(async |handle| {
        let (pipe, into) =
            handle.with_kernel(Kernel::pipe2).expect("two descriptors are available");
        let (mut pipe, mut into) = (handle.async_fd(pipe).unwrap(), handle.async_fd(into).unwrap());
        let reads = handle.spawn(async move {
            let mut buf = [0; 9];
            let first =
                pipe.async_io(Direction::Read, |kernel, fd| kernel.read(fd, &mut buf)).await;
            (first, pipe.async_io(Direction::Read, |kernel, fd| kernel.read(fd, &mut buf)).await)
        });
        handle.yield_now().await;
        let written =
            into.async_io(Direction::Write, |kernel, fd| kernel.write(fd, b"hello")).await;
        assert_eq!(written, Ok(5));
        handle.yield_now().await;
        drop(into);
        assert_eq!(reads.await, Ok((Ok(5), Ok(0))));
    });
}

#[test]
fn an_unpollable_fd_is_rejected_and_closed() {
    let mut sim = Sim::default();
    let file = sim.open_regular_file().unwrap();
    let executor = Executor::with_kernel(&mut sim).unwrap();
    assert_eq!(executor.handle().async_fd(file).map(drop), Err(Errno::EPERM));
    let pipe = executor.handle().with_kernel(|sim| sim.pipe2()).unwrap();
    assert_eq!(executor.handle().stream(pipe.0).map(drop), Err(Errno::ENOTSOCK));
    assert_eq!(executor.handle().listener(pipe.1).map(drop), Err(Errno::ENOTSOCK));
}

#[test]
fn a_dup_leaves_no_ghost_registration() {
    let mut sim = Sim::default();
    let (near, far) = sim.socketpair(SocketType::Stream).unwrap();
    let duplicate = sim.dup(&near).unwrap();
    let mut epoll = CallCounter::new(&mut sim);
    {
        let executor = Executor::with_kernel(&mut epoll).unwrap();
        drop(executor.handle().stream(near).unwrap());
    }
    assert_eq!(epoll.hook.calls(Syscall::EpollCtl), 2, "one ADD, and one DEL before the close");
    for fd in [duplicate, far] {
        sim.close(fd).unwrap();
    }
}

#[test]
fn eof_is_reported_again() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let (mut near, far) = pair(&handle);
    drop(far);
    let received = executor.block_on(async {
        let mut received = Vec::new();
        for _ in 0..100 {
            received.push(near.recv(&mut [0; 9]).await.expect("the connection is intact"));
        }
        received
    });
    assert_eq!(received, Ok(vec![0; 100]));
}

/// Places where a read may stop short although more is available: at an urgent mark, and after
/// bytes that came with descriptors. No event reports the rest.
#[test]
fn a_short_read_at_a_mark_is_not_taken_for_eof() {
    for addr in ["127.0.0.1:0", "unix:@short"] {
        let (mut executor, mut sim) = executor();
        let handle = executor.handle();
        let (mut listener, addr) = listener(&handle, addr);
        let log = EventLog::default();
        let log_handle = log.clone();
        drop(handle.spawn(async move {
            let (mut client, _) = listener.accept().await.expect("the listener is open");
            while let Some(bytes) = client.recv_pooled().await.expect("the connection is intact") {
                log_handle.push(String::from_utf8_lossy(&bytes));
            }
        }));
        let client = client(&mut sim, &addr);
        settle(&mut executor);
        if addr.port().is_some() {
            sim.send(&client, b"before").unwrap();
            sim.send_urgent(&client, b'!').unwrap();
        } else {
            sim.send_with_rights(&client, b"before").unwrap();
        }
        sim.send(&client, b"behind").unwrap();
        settle(&mut executor);
        // The urgent byte is read in line, since the listener set SO_OOBINLINE.
        let rest = if addr.port().is_some() { "!behind" } else { "behind" };
        assert_eq!(log.read(), ["before", rest], "over {addr}");
        sim.close(client).unwrap();
        settle(&mut executor);
    }
}
