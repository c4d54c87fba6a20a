//! The walls of the models: descriptors that have no bit, limits of connections.

use std::io::Write;

use super::suite::serving;
use crate::support::client::{connect, echo, expect, expect_end, expect_silence, is_served};
use crate::support::procfs::descriptors;

#[test]
fn the_client_past_the_wall_of_select_gets_a_clean_end_and_the_log_a_line() {
    let server = serving(&["select"], &["--log", "text"]);
    let mut within = Vec::new();
    // Descriptors are given out in order: as many as there are bits left.
    for _ in descriptors(server.pid())..1024 {
        let mut client = connect(&server.tcp());
        echo(&mut client, b"in");
        within.push(client);
    }
    for _ in 0..5 {
        expect_end(&mut connect(&server.tcp()));
    }
    let said = server.stderr.line_with("is turned away");
    assert!(said.contains("its descriptor is 1024, and the set ends at 1024"), "{said}");
    assert_eq!(server.stderr.count_with("is turned away"), 1, "law: no flood of the log");
    within.iter_mut().for_each(|client| echo(client, b"still here"));
    drop(within.pop());
    is_served_after_room(&server.tcp());
    server.stop().expect_code(0);
}

/// The one who left may not have been seen off yet: until then the next has no bit either.
fn is_served_after_room(address: &str) {
    crate::support::wait::until("a bit to be free", || {
        let mut client = connect(address);
        client.write_all(b"?").is_ok() && {
            use std::io::Read;
            matches!(client.read(&mut [0; 1]), Ok(1))
        }
    });
}

#[test]
fn the_third_of_two_waits_until_one_leaves() {
    for model in ["thread", "nonblocking", "select", "poll"] {
        let model: &'static [&'static str] = match model {
            "thread" => &["thread"],
            "nonblocking" => &["nonblocking"],
            "select" => &["select"],
            _ => &["poll"],
        };
        let server = serving(model, &["--max-connections", "2"]);
        let mut first = connect(&server.tcp());
        let second = connect(&server.tcp());
        echo(&mut first, b"one");
        let mut third = connect(&server.tcp());
        third.write_all(b"three").unwrap();
        expect_silence(&mut third);
        echo(&mut first, b"one again");
        drop(second);
        expect(&mut third, b"three");
        drop((first, third));
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
}
