//! The servers as those who link them meet them: what they are handed, what comes back, and the
//! ways that a quiet day does not take.

use core::time::Duration;

use epollite::server::stream::{Config, Left, Note, Server, Turn};
use epollite::server::{
    BindError, Sharing, bind_datagram, bind_datagram_everywhere, bind_stream,
    bind_stream_everywhere, datagram,
};
use epollite::sim::{Config as SimConfig, Ipv6};
use epollite::{
    Addr, Call, Errno, Event, Family, Faults, Faulty, Fd, Instant, Interest, Kernel, Kind,
    OptionName, Shut, Sim, SocketOption, Trigger, UnixAddr,
};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

#[test]
fn what_is_admitted_is_handed_out_and_dismissed() {
    let sim = Sim::default();
    let mut server = Server::<_, &str>::new(sim.process(), Config::default()).unwrap();
    let (door, _) = bind_stream(server.kernel(), &tcp(), Sharing::Alone).unwrap();
    let door = server.open(door).unwrap();
    let bell = server.kernel().eventfd(1).unwrap();
    let bell = server.admit(bell, Interest::READABLE, Trigger::Level, "bell").unwrap();
    let Ok(Turn::Foreign(Event::Io { token, ready })) = server.turn(None) else {
        panic!("law: what is admitted is waited on")
    };
    assert!(token == bell && ready.is_readable());
    assert_eq!(server.foreign(bell).map(|(state, _)| *state), Some("bell"));
    assert!(server.foreign(door).is_none(), "law: a door is the server's own affair");
    assert!(server.dismiss(door).is_none(), "law: a door is the server's own affair");
    let (fd, state) = server.dismiss(bell).expect("it was admitted");
    assert_eq!(state, "bell");
    server.kernel().close(fd).unwrap();
    assert!(server.dismiss(bell).is_none(), "law: a stale token names nobody");
    assert_eq!(server.turn(Some(Instant::ZERO)), Ok(Turn::Idle));
}

#[test]
fn woken_before_it_runs_a_server_leaves_at_once() {
    let mut sim = Sim::default();
    let mut streams = Server::<_>::new(sim.process(), Config { tell: true, ..Config::default() });
    let streams = streams.as_mut().unwrap();
    let (door, addr) = bind_stream(streams.kernel(), &tcp(), Sharing::Alone).unwrap();
    streams.open(door).unwrap();
    let client = connect(&mut sim, &addr);
    sim.send(&client, b"hello").unwrap();
    sim.shutdown(&client, Shut::Write).unwrap();
    let waker = streams.waker().unwrap();
    waker.wake(streams.kernel()).unwrap();
    let stats = streams.run().expect("law: no errno ends the server");
    assert_eq!((stats.bytes_out, stats.closed), (5, 1), "law: who had queued is served");
    sim.close(client).unwrap();

    let mut datagrams = datagram::Server::new(sim.process(), told()).unwrap();
    let (socket, addr) = bind_datagram(datagrams.kernel(), &tcp(), Sharing::Alone).unwrap();
    datagrams.open(socket).unwrap();
    let client = sim.socket(Family::Inet, Kind::Datagram).unwrap();
    sim.sendto(&client, b"hello", &addr).unwrap();
    assert_eq!(datagrams.turn(None), Ok(true));
    let waker = datagrams.waker().unwrap();
    waker.wake(datagrams.kernel()).unwrap();
    assert_eq!(datagrams.run().expect("law: no errno ends the server").echoed, 1);
    drop(datagrams);
    let gone = waker.wake(&mut sim.process());
    assert_eq!(gone, Err(Errno::EPIPE), "law: nobody is woken who has gone");
    sim.close(client).unwrap();
}

#[test]
fn an_epoll_that_is_none_ends_a_server_with_what_it_said() {
    let faults = Faults::for_ever(0, Errno::EBADF).only(Call::EpollWait);
    let kernel = Faulty::over(Sim::default(), faults);
    let mut server = Server::<_>::new(kernel, Config::default()).unwrap();
    assert_eq!(server.turn(Some(Instant::ZERO)), Err(Errno::EBADF));
    let kernel = Faulty::over(Sim::default(), faults);
    let mut server = datagram::Server::new(kernel, datagram::Config::default()).unwrap();
    assert_eq!(server.turn(Some(Instant::ZERO)), Err(Errno::EBADF));
}

#[test]
fn a_socket_that_cannot_be_served_is_refused_and_closed() {
    // The simulated kernel finds the leak, if there is one.
    for call in [Call::Getsockname, Call::EpollCtl] {
        let kernel = Faulty::over(Sim::default(), Faults::once(0, Errno::ENOMEM).only(call));
        let mut server = datagram::Server::new(kernel, datagram::Config::default()).unwrap();
        let socket = server.kernel().socket(Family::Inet, Kind::Datagram).unwrap();
        assert_eq!(server.open(socket), Err(Errno::ENOMEM), "{call:?}");
        let kernel = Faulty::over(Sim::default(), Faults::once(0, Errno::ENOMEM).only(call));
        let mut server = Server::<_>::new(kernel, Config::default()).unwrap();
        let socket = server.kernel().socket(Family::Inet, Kind::Stream).unwrap();
        assert_eq!(server.open(socket), Err(Errno::ENOMEM), "{call:?}");
    }
}

#[test]
fn an_answer_waits_for_room_and_no_question_is_taken_meanwhile() {
    for trigger in TRIGGERS {
        let mut sim = Sim::default();
        let faults = Faults::once(0, Errno::EAGAIN).only(Call::Sendmmsg);
        let kernel = Faulty::over(sim.process(), faults);
        let config = datagram::Config { trigger, ..datagram::Config::default() };
        let mut server = datagram::Server::new(kernel, config).unwrap();
        let (socket, addr) = bind_datagram(server.kernel(), &tcp(), Sharing::Alone).unwrap();
        server.open(socket).unwrap();
        let client = sim.socket(Family::Inet, Kind::Datagram).unwrap();
        sim.sendto(&client, b"first", &addr).unwrap();
        server.turn(None).unwrap();
        let mut buf = [0; 16];
        assert_eq!(sim.recvfrom(&client, &mut buf), Err(Errno::EAGAIN), "there was no room");
        sim.sendto(&client, b"second", &addr).unwrap();
        for _ in 0..4 {
            server.turn(Some(Instant::ZERO)).unwrap();
        }
        for wanted in [&b"first"[..], b"second"] {
            let (length, _) = sim.recvfrom(&client, &mut buf).expect("law: room brings the answer");
            assert_eq!(&buf[..length], wanted, "law: answers keep their order ({trigger:?})");
        }
        sim.close(client).unwrap();
    }
}

#[test]
fn an_answer_that_cannot_be_sent_is_dropped_and_the_next_is_not() {
    let mut sim = Sim::default();
    let faults = Faults::once(0, Errno::ENOBUFS).only(Call::Sendmmsg);
    let kernel = Faulty::over(sim.process(), faults);
    let mut server = datagram::Server::new(kernel, datagram::Config::default()).unwrap();
    let (socket, addr) = bind_datagram(server.kernel(), &tcp(), Sharing::Alone).unwrap();
    server.open(socket).unwrap();
    let client = sim.socket(Family::Inet, Kind::Datagram).unwrap();
    sim.sendto(&client, b"lost", &addr).unwrap();
    sim.sendto(&client, b"heard", &addr).unwrap();
    server.turn(None).unwrap();
    let mut buf = [0; 16];
    assert_eq!(sim.recvfrom(&client, &mut buf), Ok((5, addr)));
    assert_eq!((server.stats().dropped, server.stats().echoed), (1, 1));
    sim.close(client).unwrap();
}

#[test]
fn who_neither_reads_nor_speaks_is_cut_off_with_what_he_is_owed() {
    for trigger in TRIGGERS {
        let mut sim = Sim::new(epollite::sim::Config {
            receive_buffer_bytes: 512,
            send_buffer_bytes: 512,
            ..epollite::sim::Config::default()
        });
        let idle = Some(Duration::from_secs(1));
        let config = Config { trigger, idle, tell: true, ..Config::default() };
        let mut server = Server::<_>::new(sim.process(), config).unwrap();
        let (door, addr) = bind_stream(server.kernel(), &tcp(), Sharing::Alone).unwrap();
        server.open(door).unwrap();
        let client = connect(&mut sim, &addr);
        for _ in 0..20 {
            let _ = sim.send(&client, &[b'x'; 512]);
            server.turn(Some(Instant::ZERO)).unwrap();
        }
        assert!(server.owed_bytes() > 0, "he reads nothing, and is owed");
        // The first look cannot know whether he has read since, and four more see that he does
        // not.
        for looks in 0..5 {
            assert_eq!(server.connections(), 1, "not before {looks} looks");
            let pause = if looks == 0 { 1_000 } else { 250 };
            sim.advance(Duration::from_millis(pause));
            server.turn(Some(Instant::ZERO)).unwrap();
        }
        assert_eq!(server.connections(), 0, "law: silence has an end ({trigger:?})");
        let mut why = None;
        while let Some(note) = server.note() {
            if let Note::Left { why: left, .. } = note {
                why = Some(left);
            }
        }
        assert_eq!(why, Some(Left::Idle));
        sim.close(client).unwrap();
    }
}

#[test]
fn a_server_is_stopped_once() {
    let sim = Sim::default();
    let mut server = Server::<_>::new(sim.process(), Config::default()).unwrap();
    let (door, addr) = bind_stream(server.kernel(), &tcp(), Sharing::Alone).unwrap();
    server.open(door).unwrap();
    let mut sim = sim;
    let client = connect(&mut sim, &addr);
    server.turn(None).unwrap();
    server.stop();
    sim.advance(Duration::from_secs(4));
    // To say it again does not begin the drain time anew.
    server.stop();
    sim.advance(Duration::from_secs(1));
    let over = (0..4).any(|_| server.turn(Some(Instant::ZERO)) == Ok(Turn::Over));
    assert!(over, "law: the drain time counts from the first stop");
    sim.close(client).unwrap();
}

#[test]
fn a_socket_is_shared_only_when_that_is_asked_for() {
    let mut sim = Sim::default();
    for (wanted, port) in [("127.0.0.1:7777", true), ("[::]:7778", true), ("unix:@shared", false)] {
        let wanted: Addr = wanted.parse().unwrap();
        for (sharing, is_shared) in [(Sharing::Alone, false), (Sharing::Shared, port)] {
            let (socket, _) = bind_stream(&mut sim, &wanted, sharing).unwrap();
            let shared = sim.getsockopt(&socket, OptionName::ReusePort);
            assert_eq!(shared, Ok(SocketOption::ReusePort(is_shared)), "{wanted} {sharing:?}");
            if wanted.family() == Some(Family::Inet6) {
                let alone = sim.getsockopt(&socket, OptionName::V6Only);
                assert_eq!(alone, Ok(SocketOption::V6Only(true)), "law: [::] is version six");
            }
            sim.close(socket).unwrap();
        }
    }
}

/// Binds a port of every address.
type Everywhere<K> = fn(&mut K, u16, Sharing) -> Result<(Fd, Addr), BindError>;

#[test]
fn every_address_is_one_of_ipv4_where_there_is_no_ipv6() {
    let binds: [(Kind, Everywhere<Sim>); 2] =
        [(Kind::Stream, bind_stream_everywhere), (Kind::Datagram, bind_datagram_everywhere)];
    for (ipv6, wanted) in [
        (Ipv6::Present, "[::]:7777"),
        (Ipv6::Disabled, "[::]:7777"),
        (Ipv6::Absent, "0.0.0.0:7777"),
    ] {
        for (kind, bind) in binds {
            let mut sim = Sim::new(SimConfig { ipv6, ..SimConfig::default() });
            let bound = bind(&mut sim, 7_777, Sharing::Alone);
            let (socket, addr) = bound.expect("law: IPv4 is there");
            assert_eq!(addr, wanted.parse().unwrap(), "{ipv6:?} {kind:?}");
            sim.close(socket).unwrap();
        }
    }
}

#[test]
fn only_the_lack_of_ipv6_has_ipv4_tried() {
    let binds: [Everywhere<Faulty<Sim>>; 2] = [bind_stream_everywhere, bind_datagram_everywhere];
    for bind in binds {
        for (call, errno, is_tried) in [
            (Call::Socket, Errno::EAFNOSUPPORT, true),
            (Call::Bind, Errno::EADDRNOTAVAIL, true),
            (Call::Socket, Errno::EMFILE, false),
            (Call::Bind, Errno::EADDRINUSE, false),
            (Call::Bind, Errno::EACCES, false),
        ] {
            let faults = Faults::once(0, errno).only(call);
            let mut kernel = Faulty::over(Sim::default(), faults);
            match bind(&mut kernel, 7_777, Sharing::Alone) {
                Ok((socket, addr)) => {
                    assert!(is_tried, "law: {errno} of {call:?} is told");
                    assert_eq!(addr, "0.0.0.0:7777".parse().unwrap());
                    kernel.close(socket).unwrap();
                }
                Err(error) => {
                    assert_eq!(error, BindError { call, errno });
                    assert!(!is_tried, "law: {errno} of {call:?} says that there is no IPv6");
                }
            }
            // The simulated kernel finds the first socket, if that was left open.
            assert_eq!(kernel.tap.made(), 1 + u64::from(is_tried), "{errno} of {call:?}");
        }
    }
}

#[test]
fn what_is_printed_of_a_server_or_a_reactor_is_one_line_and_no_state_of_the_users() {
    let sim = Sim::default();
    let server = Server::<_>::new(sim.process(), Config::default()).unwrap();
    let datagrams = datagram::Server::new(sim.process(), datagram::Config::default()).unwrap();
    let mut reactor = epollite::Reactor::on(sim.process()).unwrap();
    let fd = reactor.kernel().eventfd(0).unwrap();
    let token = reactor.register_or_close(fd, Interest::READABLE, Trigger::Edge, "mine").unwrap();
    let source = format!("{:?}", reactor.source(token).unwrap());
    assert!(source.contains("mine") && source.contains("watches IN|"), "{source}");
    assert_eq!(reactor.source(token).unwrap().io.token(), token);
    let fd = reactor.kernel().eventfd(0).unwrap();
    let exclusive = epollite::Exclusive::Level;
    let refused = reactor.register_exclusive(fd, Interest::PRIORITY, exclusive, "mine");
    let refused = refused.expect_err("an exclusive watch takes no priority");
    assert!(format!("{refused:?}").starts_with("Refused(Mix("), "{refused:?}");
    reactor.kernel().close(refused.fd).unwrap();
    for text in [format!("{server:?}"), format!("{datagrams:?}"), format!("{reactor:?}")] {
        assert!(!text.contains('\n') && !text.contains("mine"), "{text}");
    }
    let unnamed = Addr::Unix(UnixAddr::unnamed());
    assert!(!format!("{unnamed:?}").is_empty());
}

fn tcp() -> Addr {
    "127.0.0.1:7777".parse().unwrap()
}

fn told() -> datagram::Config {
    datagram::Config { tell: true, ..datagram::Config::default() }
}

fn connect(sim: &mut Sim, addr: &Addr) -> Fd {
    let socket = sim.socket(Family::Inet, Kind::Stream).unwrap();
    assert!(matches!(sim.connect(&socket, addr), Ok(()) | Err(Errno::EINPROGRESS)));
    socket
}
