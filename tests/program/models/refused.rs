//! Options a model does not support: exit 2, and one line with the reason.

use crate::support::program::Program;

#[test]
fn unsupported_options_are_rejected_in_one_line() {
    for (arguments, why) in [
        ("--model nothing", "the models are blocking, process, thread"),
        ("--model epoll-level --trigger edge", "contradicts --trigger"),
        ("--trigger edge --model epoll-oneshot", "contradicts --trigger"),
        ("--model poll --trigger edge", "only epoll has triggers"),
        ("--model select --threads 2", "one thread"),
        ("--model thread --threads 2", "a thread for each client"),
        ("--model poll --read-budget 1", "once per iteration"),
        ("--model coroutine --read-budget 1", "a number of system calls"),
        ("--model coroutine --trigger edge", "only epoll has triggers"),
        ("--model coroutine --threads 2", "one thread"),
        ("--model thread --udp :0", "does not support --udp"),
        ("--model blocking --idle-timeout 1s", "recv(2) has no timeout"),
        ("--model thread --idle-timeout 1s", "recv(2) has no timeout"),
        ("--model process --udp :0", "does not support --udp"),
        ("--model process --idle-timeout 1s", "recv(2) has no timeout"),
        ("--model process --trigger edge", "only epoll has triggers"),
        ("--model prefork --udp :0", "distributes connections"),
        ("--model prefork --threads 2", "use --workers"),
        ("--model prefork --trigger edge", "are edge-triggered"),
        ("--model prefork --reuseport-select cpu", "only reuseport"),
        ("--model prefork --accept plain", "not all, exclusive or round-robin"),
        ("--model reuseport --accept all", "only prefork"),
        ("--model reuseport --unix @x", "ports only"),
        ("--model poll --workers 2", "only prefork and reuseport"),
        ("--workers 2", "only prefork and reuseport"),
        ("--model blocking --max-connections 2", "one at a time"),
        ("--model blocking --tcp :0 --udp :0", "one address only"),
        ("--model thread --tcp :0 --tcp :0", "one address only"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let ending = Program::run(&[&["echo"], &arguments[..]].concat());
        let complaint = ending.expect_code(2).single_error_line();
        assert!(complaint.contains(why), "{arguments:?}: {complaint}");
    }
}

#[test]
fn the_same_trigger_twice_is_no_contradiction() {
    let arguments = ["--tcp", "127.0.0.1:0", "--model", "epoll-edge", "--trigger", "edge"];
    Program::serving(&arguments).stop().expect_code(0);
}
