//! Interest lists: texts of any kind are parsed or rejected, two lists are compared as a naive
//! model does it, and a reactor's list is the kernel's.

use std::collections::BTreeMap;
use std::fs;

use epollite::audit::{
    Difference, EpollEntry, FileId, FileKind, OpenFile, Target, WatchedEpoll, compare, find_faults,
    parse_fdinfo, target_of,
};
use epollite::kernel::SocketType;
use epollite::{Interest, Kernel, Reactor, Trigger};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_text_is_parsed_or_rejected(
        text in "(tfd:|events:|data:|ino:|sdev:|[ 0-9a-f:\n]){0,60}",
    ) {
        match parse_fdinfo(&text) {
            Ok(entries) => {
                let lines = text.lines().filter(|line| line.starts_with("tfd:")).count();
                prop_assert_eq!(entries.len(), lines, "each line of an entry is one");
            }
            Err(error) => {
                let line = text.lines().nth(error.line - 1).expect("the line exists");
                prop_assert!(line.starts_with("tfd:"), "only such a line is an error: {}", line);
            }
        }
    }

    #[test]
    fn what_linux_would_print_is_parsed_back(entries in vec(any_entry(), 0..20)) {
        let mut text = String::from("pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1044\n");
        for EpollEntry { fd, events, data, file } in &entries {
            text += &format!("tfd: {fd:8} events: {events:8x} data: {data:16x}");
            if let Some(FileId { inode, device }) = file {
                text += &format!("  pos:0 ino:{inode:x} sdev:{device:x}");
            }
            text.push('\n');
        }
        prop_assert_eq!(parse_fdinfo(&text), Ok(entries));
    }

    #[test]
    fn lists_are_compared_as_two_maps(own in small_list(), kernel in small_list()) {
        let map = |list: &[EpollEntry]| -> BTreeMap<(u32, u64), EpollEntry> {
            list.iter().map(|entry| ((entry.fd, entry.data), *entry)).collect()
        };
        let (own, kernel) = (map(&own), map(&kernel));
        let mut expected = Vec::new();
        for key in own.keys().chain(kernel.keys().filter(|key| !own.contains_key(key))) {
            match (own.get(key), kernel.get(key)) {
                (Some(&mine), Some(&theirs)) if mine.requested() != theirs.requested() => {
                    expected.push(Difference::Mask { in_reactor: mine, in_kernel: theirs });
                }
                (Some(_), Some(_)) | (None, None) => {}
                (Some(&mine), None) => expected.push(Difference::OnlyInReactor(mine)),
                (None, Some(&theirs)) => expected.push(Difference::OnlyInKernel(theirs)),
            }
        }
        let list = |map: &BTreeMap<_, EpollEntry>| map.values().copied().collect::<Vec<_>>();
        let mut found = compare(&list(&own), &list(&kernel));
        let by_key = |difference: &Difference| match difference {
            Difference::OnlyInReactor(entry) | Difference::OnlyInKernel(entry) => {
                (entry.fd, entry.data)
            }
            Difference::Mask { in_reactor, .. } => (in_reactor.fd, in_reactor.data),
        };
        expected.sort_by_key(by_key);
        found.sort_by_key(by_key);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn faults_are_found_without_a_panic_and_only_where_something_is_open_or_registered(
        entries in vec(any_entry(), 0..10),
        open in vec((0..12u32, 0..6u64), 0..10),
    ) {
        let open: Vec<OpenFile> = open
            .into_iter()
            .map(|(fd, inode)| OpenFile {
                fd,
                file: FileId { inode, device: 9 },
                kind: if inode == 0 { FileKind::Anonymous } else { FileKind::Socket },
                send_queue_bytes: (inode > 3).then_some(0),
            })
            .collect();
        let entries: Vec<(EpollEntry, Target)> =
            entries
                .iter()
                .map(|entry| {
                    let of = open.iter().find(|open| open.fd == entry.fd);
                    (*entry, target_of(entry, of))
                })
                .collect();
        let (registered, epoll) = (entries.len(), WatchedEpoll { fd: 3, entries });
        prop_assert!(find_faults(&[epoll], &open).len() <= registered + open.len());
        prop_assert_eq!(find_faults(&[], &open), []);
    }
}

fn any_entry() -> impl Strategy<Value = EpollEntry> {
    // Devices under 256: those are encoded the same in the kernel and in stat(2).
    let file = proptest::option::of((any::<u64>(), 0..256u64));
    (0..=i32::MAX.cast_unsigned(), any::<u32>(), any::<u64>(), file).prop_map(
        |(fd, events, data, file)| {
            let file = file.map(|(inode, device)| FileId { inode, device });
            EpollEntry { fd, events, data, file }
        },
    )
}

/// Few keys, and level-triggered masks, so that entries meet.
fn small_list() -> impl Strategy<Value = Vec<EpollEntry>> {
    let entry = (0..4u32, 0..3u64, 0..3u32);
    vec(
        entry.prop_map(|(fd, data, events)| EpollEntry {
            fd,
            events: events | 0x18,
            data,
            file: None,
        }),
        0..8,
    )
}

/// Without events in between the two lists are equal, whatever was registered, modified, removed.
#[test]
fn the_interest_list_of_a_reactor_is_that_of_the_kernel() {
    let mut reactor = Reactor::new().unwrap();
    reactor.waker().unwrap();
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
    let mut tokens = Vec::new();
    for trigger in triggers.into_iter().cycle().take(20) {
        let (near, far) = reactor.kernel().socketpair(SocketType::Stream).unwrap();
        for (fd, interest) in [(near, Interest::READABLE), (far, Interest::READ_CLOSED)] {
            tokens.push(reactor.register_or_close(fd, interest, trigger, ()).unwrap());
        }
    }
    agrees(&reactor, 41);
    for (at, token) in tokens.iter().enumerate() {
        let (_, mut io) = reactor.get_mut(*token).unwrap();
        match at % 3 {
            0 => io.modify(Interest::WRITABLE | Interest::PRIORITY, Trigger::OneShot).unwrap(),
            1 => drop(reactor.close(*token)),
            // It is on the requeue list, which the kernel does not know.
            _ => io.requeue(epollite::event::Ready::READABLE),
        }
    }
    agrees(&reactor, 1 + 40 - 13);
    // One-shot registrations fire, and the kernel clears their masks. (Level-triggered ones whose
    // peer is closed are reported without end.)
    for _ in 0..200 {
        reactor.next(Some(epollite::Instant::ZERO)).unwrap();
    }
    agrees(&reactor, 1 + 40 - 13);
}

fn agrees(reactor: &Reactor<()>, count: usize) {
    let path = format!("/proc/self/fdinfo/{}", reactor.epoll());
    let in_kernel = parse_fdinfo(&fs::read_to_string(path).unwrap()).unwrap();
    let in_reactor: Vec<_> = reactor.interest_list().collect();
    assert_eq!(compare(&in_reactor, &in_kernel), []);
    assert_eq!((in_reactor.len(), in_kernel.len()), (count, count));
}
