//! Few watches of epolls for each user, and as many descriptors as the kernel has.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::is_disposable;
use crate::limits::every_descriptor_costs_no_memory;
use crate::support::client::{connect, echo, is_served};
use crate::support::program::Program;
use crate::support::wait::until;

/// A setting, which is as before when this is dropped.
struct Setting {
    path: String,
    before: String,
}

impl Setting {
    fn new(name: &str, value: u64) -> Self {
        let path = format!("/proc/sys/{name}");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, value.to_string()).unwrap();
        Self { path, before }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(&self.path, &self.before).unwrap();
    }
}

/// epoll(7), /proc/sys/fs/epoll/max_user_watches: ENOSPC of `epoll_ctl`.
#[test]
fn without_watches_a_connection_is_closed_and_the_others_are_served() {
    const WATCHES: &str = "fs/epoll/max_user_watches";
    if !is_disposable() {
        return;
    }
    for trigger in ["level", "edge", "oneshot"] {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--trigger", trigger]);
        let few = Setting::new(WATCHES, 10);
        let clients = (0..20).map(|_| connect(&server.tcp()));
        let (mut served, closed): (Vec<TcpStream>, Vec<TcpStream>) = clients.partition(is_echoed);
        assert!(!served.is_empty() && closed.len() > 10, "{trigger}: {} served", served.len());
        served.iter_mut().for_each(|client| echo(client, b"still"));
        drop(served.pop());
        until("the watch that is free is used", || is_echoed(&connect(&server.tcp())));
        served.iter_mut().for_each(|client| echo(client, b"still"));
        drop(few);
        is_served(&server.tcp());
        server.stop().expect_code(0);
        let none = Setting::new(WATCHES, 0);
        let arguments = ["echo", "--quiet", "--tcp", "127.0.0.1:0", "--trigger", trigger];
        let output = Program::run(&arguments);
        drop(none);
        let line = output.expect_code(1).single_error_line();
        assert!(line.contains("epoll_ctl"), "{trigger}: {line}");
    }
}

/// Whether it echoes a byte; if not, it has been closed.
fn is_echoed(mut client: &TcpStream) -> bool {
    client.write_all(b"x").is_ok() && client.read_exact(&mut [0]).is_ok()
}

/// What a container without limits has: more than `fs.nr_open` allows elsewhere.
#[test]
fn as_many_descriptors_as_a_kernel_can_have_cost_no_memory() {
    const MOST: u64 = 1_073_741_816;
    if !is_disposable() {
        return;
    }
    let _most = Setting::new("fs/nr_open", MOST);
    every_descriptor_costs_no_memory(MOST);
}
