//! Listeners that cannot be bound: exit 69 and one line that names the address.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use crate::support::client::{connect_unix, echo, is_served};
use crate::support::process::{Output, Process};
use crate::support::procfs::{binds_nonlocal, sysctl, we_are_root};
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::until;

#[test]
fn a_port_in_use_is_refused() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    cannot_bind(&Program::run(&["echo", "--tcp", &address]), &address);
    cannot_bind(&Program::run(&["echo", "--tcp", &address, "--threads", "3"]), &address);

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap().to_string();
    cannot_bind(&Program::run(&["echo", "--udp", &address]), &address);
}

#[test]
fn a_port_of_another_instance_is_never_shared_silently() {
    let first = Program::serving(&["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    cannot_bind(&Program::run(&["echo", "--tcp", &first.tcp()]), &first.tcp());
    cannot_bind(&Program::run(&["echo", "--udp", &first.udp()]), &first.udp());
    is_served(&first.tcp());
}

#[test]
fn the_same_port_twice_is_refused() {
    let free = Program::serving(&["--tcp", "127.0.0.1:0"]).tcp();
    cannot_bind(&Program::run(&["echo", "--tcp", &free, "--tcp", &free]), &free);
}

#[test]
fn one_failed_listener_fails_the_start() {
    let scratch = Scratch::new();
    let path = scratch.file("first");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    for model in ["epoll-edge", "nonblocking", "select", "poll", "coroutine", "process", "prefork"]
    {
        let arguments = ["echo", "--unix", &path, "--tcp", &address, "--model", model];
        cannot_bind(&Program::run(&arguments), &address);
        assert!(
            !scratch.path().join("first").exists(),
            "invariant: a failed start leaves no socket files; {model} does"
        );
    }
}

#[test]
fn an_unknown_host_is_refused() {
    let address = "no-such-host.invalid:7777";
    cannot_bind(&Program::run(&["echo", "--tcp", address]), address);
}

#[test]
fn a_non_local_address_is_refused() {
    if binds_nonlocal() {
        return;
    }
    // 192.0.2.0/24 is for documentation (RFC 5737): no host has it.
    let address = "192.0.2.1:7777";
    cannot_bind(&Program::run(&["echo", "--tcp", address]), address);
    cannot_bind(&Program::run(&["echo", "--udp", address]), address);
}

#[test]
fn a_privileged_port_is_refused_to_an_unprivileged_user() {
    // Containers often let any user bind any port. Then no port is privileged, and this machine
    // cannot show the error: `a_non_local_address_is_refused` covers the same path for
    // EADDRNOTAVAIL.
    if sysctl("net/ipv4/ip_unprivileged_port_start").is_some_and(|first| first <= 7) {
        return;
    }
    let scratch = Scratch::new();
    let mut command = if we_are_root() {
        // The unprivileged user may not read the directory the program was built in.
        let copy = scratch.file("epollite");
        fs::copy(PROGRAM, &copy).unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = tool("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", &copy]);
        command
    } else {
        std::process::Command::new(PROGRAM)
    };
    command.args(["echo", "--tcp", "127.0.0.1:7"]);
    cannot_bind(&Process::start(command).end(), "127.0.0.1:7");
}

#[test]
fn a_live_unix_socket_is_refused_and_stays_alive() {
    let scratch = Scratch::new();
    let path = scratch.file("live");
    let first = Program::serving(&["--unix", &path]);
    cannot_bind(&Program::run(&["echo", "--unix", &path]), &path);
    echo(&mut connect_unix(&path), b"still the first one");
    first.stop().expect_code(0);
}

#[test]
fn a_live_socket_of_another_process_with_a_full_backlog_is_in_use() {
    let scratch = Scratch::new();
    let path = scratch.file("strange");
    let unrelated = UnixListener::bind(&path).unwrap();
    cannot_bind(&Program::run(&["echo", "--unix", &path]), &path);
    drop(unrelated);
}

#[test]
fn an_ordinary_file_is_refused_and_untouched() {
    let scratch = Scratch::new();
    let path = scratch.file("file");
    fs::write(&path, "content").unwrap();
    cannot_bind(&Program::run(&["echo", "--unix", &path]), &path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "content");
}

#[test]
fn a_folder_a_link_and_a_missing_folder_are_refused_and_untouched() {
    let scratch = Scratch::new();
    let folder = scratch.file("folder");
    fs::create_dir(&folder).unwrap();
    cannot_bind(&Program::run(&["echo", "--unix", &folder]), &folder);

    let target = scratch.file("target");
    let link = scratch.file("link");
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    cannot_bind(&Program::run(&["echo", "--unix", &link]), &link);
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");

    let nowhere = scratch.file("nowhere/socket");
    cannot_bind(&Program::run(&["echo", "--unix", &nowhere]), &nowhere);
}

#[test]
fn a_stale_socket_path_is_taken_over() {
    let scratch = Scratch::new();
    let path = scratch.file("orphan");
    let mut first = Program::serving(&["--unix", &path]);
    first.signal("KILL");
    first.end();
    assert!(fs::exists(&path).unwrap(), "a killed server leaves its file");

    let second = Program::serving(&["--unix", &path]);
    echo(&mut connect_unix(&path), b"the successor");
    second.stop().expect_code(0);
    assert!(!fs::exists(&path).unwrap(), "invariant: the socket file is removed on a clean exit");
}

#[test]
fn a_bound_but_not_listening_path_is_not_taken_over() {
    let scratch = Scratch::new();
    let path = scratch.file("heritage");
    drop(UnixListener::bind(&path).unwrap());
    // The second link keeps the orphan's inode number from being reused for its successor.
    fs::hard_link(&path, scratch.file("orphan")).unwrap();
    let orphan = fs::metadata(&path).unwrap().ino();
    // A socket that is bound but not yet listening looks like a dead server's. The first successor
    // stays in that state for half a second; strace as a grandchild leaves its pid to it.
    drop(tool("strace"));
    let slowly = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=listen"];
    let wrapper = [&slowly[..], &["-e", "inject=listen:delay_enter=500000"]].concat();
    let first = Program::start_under(&wrapper, &["echo", "--unix", &path]);
    until("the first successor to have bound", || {
        fs::metadata(&path).is_ok_and(|now| now.ino() != orphan)
    });
    cannot_bind(&Program::run(&["echo", "--unix", &path]), &path);
    first.stdout.line_with("listening on unix");
    echo(&mut connect_unix(&path), b"the only successor");
    first.stop().expect_code(0);
}

#[test]
fn eight_processes_race_for_one_path_and_one_wins() {
    let scratch = Scratch::new();
    let path = scratch.file("heritage");
    for _ in 0..10 {
        drop(UnixListener::bind(&path).unwrap());
        let mut servers: Vec<_> =
            (0..8).map(|_| Program::start(&["echo", "--unix", &path])).collect();
        until("seven servers to exit", || {
            servers.iter_mut().filter_map(|server| server.ended()).count() == 7
        });
        let mut serving = 0;
        for server in servers.iter_mut() {
            if server.ended().is_some() {
                cannot_bind(&server.end(), &path);
            } else {
                server.stdout.line_with("listening on unix");
                echo(&mut connect_unix(&path), b"the only one");
                server.signal("TERM");
                server.end().expect_code(0);
                serving += 1;
            }
        }
        assert_eq!(serving, 1, "invariant: a path has one owner");
        assert!(
            !fs::exists(&path).unwrap(),
            "invariant: the socket file is removed on a clean exit"
        );
    }
}

#[track_caller]
fn cannot_bind(ending: &Output, address: &str) {
    ending.expect_code(69);
    let complaint = ending.single_error_line();
    assert!(complaint.contains(address), "invariant: {address} is named; got {complaint:?}");
}
