//! Sockets by address: several addresses of one peer, an own address, connected datagrams; on the
//! simulated and the real kernel alike.

use std::time::Duration;

use epollite::executor::Handle;
use epollite::kernel::SocketType;
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Kernel};

use crate::sockets::{Either, on_both};
use crate::support::listener;

fn addr(text: &str) -> Addr {
    text.parse().expect("the address is valid")
}

/// An address that was free a moment ago: nothing listens there.
fn closed_addr(handle: &Handle<Either>) -> Addr {
    let (listener, closed) = listener(handle, "127.0.0.1:0");
    drop(listener);
    closed
}

#[test]
fn the_second_address_is_used_when_the_first_refuses() {
    on_both(async |handle| {
        let closed = closed_addr(handle);
        let (mut listener, open) = listener(handle, "127.0.0.1:0");
        let addrs = [closed, addr("unix:@epollite task: no such name"), open];
        let stream = handle.connect_any(&addrs, Some(Duration::from_secs(60))).await;
        drop(stream.expect("the last address accepts"));
        drop(listener.accept().await.expect("a client has connected"));
        assert_eq!(
            handle.connect_any(&addrs[..2], None).await.map(drop),
            Err(Errno::ECONNREFUSED),
            "the error of the last address"
        );
        assert_eq!(handle.connect_any(&[], None).await.map(drop), Err(Errno::EDESTADDRREQ));
        assert_eq!(handle.fd_count(), 1, "only the listener is open");
    });
}

#[test]
fn a_connection_has_the_address_that_it_was_bound_to() {
    on_both(async |handle| {
        let (mut listener, to) = listener(handle, "127.0.0.1:0");
        let from = addr("127.0.0.5:0");
        let client = handle.connect_from(Some(&from), &to).await.expect("it is accepted");
        let (_, peer) = listener.accept().await.expect("a client has connected");
        assert_eq!(peer.to_string().split(':').next(), Some("127.0.0.5"));
        // The address is in use now; the descriptor of the failure is closed.
        let taken = handle.connect_from(Some(&peer), &to).await.map(drop);
        assert_eq!(taken, Err(Errno::EADDRINUSE));
        let elsewhere = handle.connect_from(Some(&addr("192.0.2.1:0")), &to).await.map(drop);
        assert_eq!(elsewhere, Err(Errno::EADDRNOTAVAIL));
        drop(client);
    });
}

/// Such a path stays behind, and could not be bound again.
#[test]
fn a_bound_unix_socket_is_not_retried() {
    on_both(async |handle| {
        let full = addr("unix:@epollite task: full");
        let listener = handle.with_kernel(|kernel| {
            let listener = kernel.socket(AddressFamily::Unix, SocketType::Stream).expect("room");
            kernel.bind(&listener, &full).expect("it is free");
            kernel.listen(&listener, 0).expect("it is bound");
            listener
        });
        let listener = handle.listener(listener).expect("room");
        let first = handle.connect(&full).await.expect("the queue holds one");
        let local = addr("unix:@epollite task: bound");
        let soon = Duration::from_secs(60);
        let second = handle.timeout(soon, handle.connect_from(Some(&local), &full)).await;
        assert_eq!(second.expect("it is not retried").map(drop), Err(Errno::EAGAIN));
        drop((first, listener));
    });
}

#[test]
fn a_connected_datagram_socket_receives_from_its_peer_only() {
    on_both(async |handle| {
        for name in ["127.0.0.1:0", "unix:@epollite task server"] {
            let mut server = handle.bind_datagram(&addr(name)).expect("the address is free");
            let to = server.async_fd().syscall(Kernel::getsockname).expect("it has an address");
            let client = if to.port().is_some() {
                handle.connect_datagram(&to).expect("a route exists")
            } else {
                // Without a name of its own a Unix socket gets no reply.
                let mut client =
                    handle.bind_datagram(&addr("unix:@epollite task client")).expect("it is free");
                client.async_fd().syscall(|kernel, fd| kernel.connect(fd, &to)).expect("it exists");
                client
            };
            let (mut receiver, mut sender) = client.split();
            let echoes = handle.spawn(async move {
                let mut buf = [0; 16];
                let (len, from) = server.recvfrom(&mut buf).await.expect("a datagram");
                server.sendto(&buf[..len], &from).await.expect("there is room");
                (server, from)
            });
            assert_eq!(sender.send(b"hello").await, Ok(5));
            let mut buf = [0; 3];
            assert_eq!(receiver.recv(&mut buf).await, Ok(3), "what the buffer holds");
            assert_eq!(&buf, b"hel");
            let (server, from) = echoes.await.expect("it was not cancelled");
            // From a third socket UDP receives nothing, and Unix refuses to send.
            let mut third = handle
                .bind_datagram(&addr(&name.replace("server", "third")))
                .expect("the address is free");
            let sent = third.sendto(b"third", &from).await;
            let received = handle.timeout(Duration::from_millis(20), receiver.recv(&mut buf)).await;
            assert!(received.is_err(), "received from another address");
            let refused = from.port().is_none();
            assert_eq!(sent, if refused { Err(Errno::EPERM) } else { Ok(5) });
            drop(server);
        }
    });
}

#[test]
fn a_datagram_to_a_closed_port_is_an_error_of_the_next_call() {
    on_both(async |handle| {
        let server = handle.bind_datagram(&addr("127.0.0.1:0")).expect("the address is free");
        let mut server = server;
        let to = server.async_fd().syscall(Kernel::getsockname).expect("it has an address");
        drop(server);
        let mut client = handle.connect_datagram(&to).expect("a route exists");
        assert_eq!(client.send(b"?").await, Ok(1));
        assert_eq!(client.recv(&mut [0; 9]).await, Err(Errno::ECONNREFUSED));
        let unix = addr("unix:@epollite task: no such name");
        assert_eq!(handle.connect_datagram(&unix).map(drop), Err(Errno::ECONNREFUSED));
        let mut unconnected = handle.bind_datagram(&addr("127.0.0.1:0")).expect("it is free");
        assert_eq!(unconnected.send(b"?").await, Err(Errno::EDESTADDRREQ));
        assert_eq!(handle.fd_count(), 2, "what failed is closed");
    });
}
