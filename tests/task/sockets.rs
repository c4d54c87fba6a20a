//! What can be awaited: streams, listeners, datagrams, and any other descriptor; in the
//! simulated world and on the real kernel alike.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use epollite::server::{Sharing, bind_datagram, bind_stream};
use epollite::task::{Handle, Side, Tasks};
use epollite::{Addr, Call, Counted, Errno, Family, Kernel, Kind, Linux, Shut, Sim};

use crate::narrow::Narrow;
use crate::world::{Diary, client, door, pair, settle, tasks};

/// A kernel chosen at run time. It lives as long as the tests do, since tasks that are spawned
/// own what they use.
type Either = &'static mut dyn Kernel;

/// What is awaited goes the same way on both kernels.
fn on_both(scene: impl AsyncFn(&Handle<Either>)) {
    let kernels: [Either; 2] = [Box::leak(Box::new(Linux)), Box::leak(Box::new(Sim::default()))];
    for kernel in kernels {
        let mut tasks = Tasks::on(kernel).expect("one descriptor is to be had");
        let handle = tasks.handle();
        tasks.block_on(scene(&handle)).expect("nothing is wrong");
        drop(tasks);
        assert_eq!(handle.descriptors(), 0, "leak");
    }
}

#[test]
fn who_connects_is_accepted_and_echoed() {
    on_both(async |handle| {
        let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        let addrs = ["127.0.0.1:0", "[::1]:0", "unix:@epollite task test"];
        for addr in addrs.into_iter().filter(|addr| has_ipv6 || !addr.starts_with('[')) {
            let (mut listener, addr) = door(handle, addr);
            let serves = handle.spawn(async move {
                let (mut client, peer) = listener.accept().await.expect("it listens");
                while let Some(bytes) = client.bytes().await.expect("it is whole") {
                    client.send_all(&bytes).await.expect("it is whole");
                }
                peer.family()
            });
            let mut client = handle.connect(&addr).await.expect("somebody listens");
            client.send_all(b"hello").await.expect("it is whole");
            client.shutdown(Shut::Write).expect("it is connected");
            let (mut heard, mut buf) = (Vec::new(), [0; 3]);
            while let Ok(count @ 1..) = client.recv(&mut buf).await {
                heard.extend_from_slice(&buf[..count]);
            }
            assert_eq!(heard, b"hello", "over {addr}");
            assert_eq!(serves.await, Ok(addr.family()));
        }
    });
}

/// connect(2) says EAGAIN then, and nothing tells of room.
#[test]
fn who_connects_to_a_full_unix_queue_waits_until_it_has_room() {
    on_both(async |handle| {
        let addr: Addr = "unix:@epollite task queue".parse().expect("it is an address");
        let listener = handle.kernel(|kernel| {
            let listener = kernel.socket(Family::Unix, Kind::Stream).expect("room");
            kernel.bind(&listener, &addr).expect("it is free");
            kernel.listen(&listener, 0).expect("it is bound");
            listener
        });
        let mut listener = handle.listener(listener).expect("room");
        let first = handle.connect(&addr).await.expect("it holds one");
        let mut second = pin!(handle.connect(&addr));
        let is_waiting = poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
        assert!(is_waiting, "law: a full queue is waited for");
        drop(listener.accept().await.expect("the first is there"));
        let soon = Duration::from_secs(60);
        let second = handle.timeout(soon, second).await.expect("law: room is found");
        second.expect("law: who waited is connected");
        drop(listener.accept().await.expect("and so the second is there"));
        drop(first);
        // And who does not wait any longer leaves nothing open.
        let first = handle.connect(&addr).await.expect("it holds one");
        let given_up = handle.timeout(Duration::from_millis(25), handle.connect(&addr)).await;
        assert!(given_up.is_err(), "law: a full queue is waited for");
        drop(first);
    });
}

#[test]
fn more_than_the_socket_holds_goes_through_halves_of_a_stream() {
    const BYTES: usize = 3_000_000;
    on_both(async |handle| {
        for addr in ["127.0.0.1:0", "unix:@epollite task halves"] {
            let (mut listener, addr) = door(handle, addr);
            drop(handle.spawn(async move {
                let (mut client, _) = listener.accept().await.expect("it listens");
                while let Some(bytes) = client.bytes().await.expect("it is whole") {
                    client.send_all(&bytes).await.expect("it is whole");
                }
            }));
            let client = handle.connect(&addr).await.expect("somebody listens");
            let (mut receiver, mut sender) = client.split();
            let bytes: Rc<[u8]> = (0..BYTES).map(|at| (at / 7).to_le_bytes()[0]).collect();
            let sent = Rc::clone(&bytes);
            drop(handle.spawn(async move {
                sender.send_all(&sent).await.expect("it is read");
                sender.shutdown(Shut::Write).expect("it is connected");
            }));
            let mut heard = Vec::new();
            while let Some(bytes) = receiver.bytes().await.expect("it is whole") {
                heard.extend_from_slice(&bytes);
            }
            assert!(heard == *bytes, "law: output equals input at the end, over {addr}");
        }
    });
}

#[test]
fn a_connection_that_nobody_wants_is_refused_and_nothing_stays_open() {
    on_both(async |handle| {
        // Bound, so that nobody else has the port; and not listening.
        let any: Addr = "127.0.0.1:0".parse().unwrap();
        let (taken, addr) = handle.kernel(|kernel| {
            let socket = kernel.socket(any.family().unwrap(), Kind::Stream).unwrap();
            kernel.bind(&socket, &any).unwrap();
            let addr = kernel.getsockname(&socket).unwrap();
            (socket, addr)
        });
        let refused = handle.connect(&addr).await.map(drop);
        assert_eq!(refused, Err(Errno::ECONNREFUSED));
        let unix: Addr = "unix:@epollite nobody is here".parse().unwrap();
        assert_eq!(handle.connect(&unix).await.map(drop), Err(Errno::ECONNREFUSED));
        assert_eq!(handle.connect(&Addr::Unspec).await.map(drop), Err(Errno::EAFNOSUPPORT));
        assert_eq!(handle.descriptors(), 0);
        handle.kernel(|kernel| kernel.close(taken)).unwrap();
    });
}

/// The kernel may choose, for the client, the very port that it connects to.
#[test]
fn a_connection_to_oneself_is_refused_and_closed() {
    let mut tasks = Tasks::on(Narrow(Linux)).expect("one descriptor is to be had");
    let handle = tasks.handle();
    for to in ["127.0.0.1:0", "0.0.0.0:0"] {
        let (free, addr) = bind_stream(&mut Linux, &to.parse().unwrap(), Sharing::Alone).unwrap();
        Linux.close(free).unwrap();
        let connected = tasks.block_on(handle.connect(&addr)).expect("nothing is wrong");
        assert_eq!(connected.map(drop), Err(Errno::ECONNREFUSED), "nobody listens at {addr}");
        assert_eq!(handle.descriptors(), 0, "law: nothing stays open");
    }
}

#[test]
fn a_datagram_comes_back_to_who_sent_it() {
    on_both(async |handle| {
        let any: Addr = "127.0.0.1:0".parse().unwrap();
        let bound = |_| {
            let bound = handle.kernel(|kernel| bind_datagram(kernel, &any, Sharing::Alone));
            let (socket, addr) = bound.expect("a port is free");
            (handle.datagram(socket).expect("there is room"), addr)
        };
        let [(mut server, at), (mut client, from)] = [0, 1].map(bound);
        let echoes = handle.spawn(async move {
            let mut buf = [0; 4];
            let mut lens = Vec::new();
            while lens.len() < 3 {
                let (len, peer) = server.recvfrom(&mut buf).await.expect("it is whole");
                server.sendto(&buf[..len.min(4)], &peer).await.expect("there is room");
                lens.push((len, peer));
            }
            lens
        });
        for len in [0, 4, 9] {
            client.sendto(&[7; 9][..len], &at).await.expect("there is room");
            let mut buf = [0; 16];
            let (count, peer) = client.recvfrom(&mut buf).await.expect("it is whole");
            assert_eq!((count, peer), (len.min(4), at));
        }
        let wanted = vec![(0, from), (4, from), (9, from)];
        assert_eq!(echoes.await, Ok(wanted), "the whole length is told");
    });
}

#[test]
fn any_descriptor_can_be_awaited() {
    on_both(async |handle| {
        let (pipe, into) = handle.kernel(Kernel::pipe2).expect("two descriptors are to be had");
        let (mut pipe, mut into) = (handle.watch(pipe).unwrap(), handle.watch(into).unwrap());
        let reads = handle.spawn(async move {
            let mut buf = [0; 9];
            let first = pipe.attempt(Side::Read, |kernel, fd| kernel.read(fd, &mut buf)).await;
            (first, pipe.attempt(Side::Read, |kernel, fd| kernel.read(fd, &mut buf)).await)
        });
        handle.yield_now().await;
        let written = into.attempt(Side::Write, |kernel, fd| kernel.write(fd, b"hello")).await;
        assert_eq!(written, Ok(5));
        handle.yield_now().await;
        drop(into);
        assert_eq!(reads.await, Ok((Ok(5), Ok(0))));
    });
}

#[test]
fn what_cannot_be_waited_for_is_refused_and_closed() {
    let mut sim = Sim::default();
    let file = sim.regular_file().unwrap();
    let tasks = Tasks::on(&mut sim).unwrap();
    assert_eq!(tasks.handle().watch(file).map(drop), Err(Errno::EPERM));
    let pipe = tasks.handle().kernel(|sim| sim.pipe2()).unwrap();
    assert_eq!(tasks.handle().stream(pipe.0).map(drop), Err(Errno::ENOTSOCK));
    assert_eq!(tasks.handle().listener(pipe.1).map(drop), Err(Errno::ENOTSOCK));
}

#[test]
fn a_duplicate_that_lives_on_does_not_haunt_the_tasks() {
    let mut sim = Sim::default();
    let (near, far) = sim.socketpair(Kind::Stream).unwrap();
    let twin = sim.dup(&near).unwrap();
    let mut epoll = Counted::over(&mut sim);
    {
        let tasks = Tasks::on(&mut epoll).unwrap();
        drop(tasks.handle().stream(near).unwrap());
    }
    assert_eq!(epoll.tap.calls(Call::EpollCtl), 2, "added, and deleted before it was closed");
    for fd in [twin, far] {
        sim.close(fd).unwrap();
    }
}

#[test]
fn an_end_is_heard_again_by_who_asks_again() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let (mut near, far) = pair(&handle);
    drop(far);
    let heard = tasks.block_on(async {
        let mut heard = Vec::new();
        for _ in 0..100 {
            heard.push(near.recv(&mut [0; 9]).await.expect("it is whole"));
        }
        heard
    });
    assert_eq!(heard, Ok(vec![0; 100]));
}

/// Where a read may stop short though there is more: at an urgent mark, at the end of bytes that
/// came with descriptors. Nobody reminds of what stands behind.
#[test]
fn a_read_that_stops_short_at_a_mark_is_not_taken_for_the_end() {
    for addr in ["127.0.0.1:0", "unix:@short"] {
        let (mut tasks, mut sim) = tasks();
        let handle = tasks.handle();
        let (mut listener, addr) = door(&handle, addr);
        let diary = Diary::default();
        let noted = diary.clone();
        drop(handle.spawn(async move {
            let (mut client, _) = listener.accept().await.expect("it listens");
            while let Some(bytes) = client.bytes().await.expect("it is whole") {
                noted.note(String::from_utf8_lossy(&bytes));
            }
        }));
        let client = client(&mut sim, &addr);
        settle(&mut tasks);
        if addr.port().is_some() {
            sim.send(&client, b"before").unwrap();
            sim.send_urgent(&client, b'!').unwrap();
        } else {
            sim.send_with_rights(&client, b"before").unwrap();
        }
        sim.send(&client, b"behind").unwrap();
        settle(&mut tasks);
        // The urgent byte is read where it stands, since the listener said so.
        let rest = if addr.port().is_some() { "!behind" } else { "behind" };
        assert_eq!(diary.read(), ["before", rest], "over {addr}");
        sim.close(client).unwrap();
        settle(&mut tasks);
    }
}
