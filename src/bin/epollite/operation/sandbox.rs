//! `--sandbox`: a seccomp filter that allows the system calls that the server makes after its
//! start, and no other.
//!
//! Any other call ends the process by SIGSYS, as OpenSSH and systemd have it: a server that makes
//! one is no longer this program, and an error would let an intruder try the next one. Where a call
//! is a matter of the standard library after a panic it is refused with `EACCES` instead, so that
//! the other threads still drain.
//!
//! The list is not thought out: `seen.rs` is written by a test that runs the server in every
//! configuration under strace(1), and fails when it makes other calls than those. What is not seen
//! in each run, or only on other machines, is in [`RARE`], with the reason. Knows instructions and
//! names, and not what the calls are made for.
//!
//! ```text
//! architecture?   other -> kill           (a 32-bit call has other numbers)
//! number >= x32?  yes -> kill             (the same calls by a second set of numbers)
//! number == call  -> arguments? -> allow  (for each call of the list)
//! kill
//! ```
//!
//! Man page: seccomp(2)

mod seen;

use epollite::Errno;

use super::sys::{self, Instruction};
use crate::exit::CliError;

/// Calls that are made rarely, or on some machines only.
const RARE: [(&str, &str); 23] = [
    ("brk", "the allocator grows or shrinks the heap"),
    ("mmap", "the allocator: large blocks, heaps of threads"),
    ("mprotect", "the allocator grows the heap of a thread"),
    ("mremap", "the allocator resizes a large block"),
    ("munmap", "the allocator; the stack of a thread that has exited"),
    ("madvise", "the stack of a thread that exits"),
    ("futex", "a lock that another thread holds, or a thread that is waited for"),
    ("sched_yield", "a lock that another process holds for a moment"),
    ("clock_gettime", "a machine whose clock the vDSO cannot read"),
    ("getrandom", "the keys of a hash table, once in each thread"),
    ("recvmsg", "a system that denies recvmmsg, or denied one sendmmsg: a firewall does"),
    ("newfstatat", "a system that denies statx"),
    ("lstat", "the same, by an older C library"),
    ("restart_syscall", "a call with a timeout, after SIGSTOP and SIGCONT"),
    ("rt_sigreturn", "the end of a signal handler"),
    ("rt_sigaction", "a crash is reported as one: its handler resets itself"),
    ("rt_sigprocmask", "a thread that exits, and abort(3)"),
    ("gettid", "abort(3), and the name of a thread that panics"),
    ("getpid", "abort(3)"),
    ("tgkill", "abort(3)"),
    ("exit", "the end of a thread"),
    ("sigaltstack", "the end of a thread"),
    ("writev", "a message of the C library, before it aborts"),
];

/// Calls that only files of Unix sockets need: they are removed at the end.
const FOR_FILES: [&str; 4] = ["statx", "newfstatat", "lstat", "unlink"];

/// Calls that fail with `EACCES`: after a panic the standard library reads files, with
/// `RUST_BACKTRACE`.
const REFUSED: [&str; 4] = ["open", "openat", "readlink", "getcwd"];

/// What an argument has to be. Numbers of 32 bits: these arguments are `int`s, or bits.
#[derive(Clone, Copy, Debug)]
enum Check {
    Equals(u32),
    IsEither(u32, u32),
    Has(u32),
    HasNot(u32),
}

/// Checks of arguments, by call: the position of the argument, from 0.
const CHECKS: [(&str, u8, Check); 11] = [
    // No code can be added.
    ("mmap", 2, Check::HasNot(sys::PROT_EXEC)),
    ("mprotect", 2, Check::HasNot(sys::PROT_EXEC)),
    // No file is mapped.
    ("mmap", 3, Check::Has(sys::MAP_ANONYMOUS)),
    ("accept4", 3, Check::Equals(sys::ACCEPT_FLAGS)),
    ("pipe2", 1, Check::Equals(sys::PIPE_FLAGS)),
    // A debug build looks whether a descriptor is open before it closes it.
    ("fcntl", 1, Check::IsEither(sys::SETPIPE_SZ, sys::GETFD)),
    ("ioctl", 1, Check::Equals(sys::UNSENT_BYTES)),
    // The credentials of a successor.
    ("getsockopt", 1, Check::Equals(sys::SOL_SOCKET)),
    ("getsockopt", 2, Check::Equals(sys::SO_PEERCRED)),
    // Datagrams that the kernel has joined.
    ("setsockopt", 1, Check::Equals(sys::SOL_UDP)),
    ("setsockopt", 2, Check::Equals(sys::UDP_GRO)),
];

/// Why this build has no sandbox, if it has none.
pub(crate) const fn unsupported_reason() -> Option<&'static str> {
    match sys::ARCHITECTURE {
        Some(_) => None,
        None => Some("the calls of the server are known for x86_64 only"),
    }
}

/// Every call of every thread is filtered from here on. To be called when all threads run.
///
/// # Errors
/// One line: the kernel refuses the filter. The process must not serve then.
pub(crate) fn enter(has_files: bool) -> Result<(), CliError> {
    let failed = |call: &str| {
        let call = format!("--sandbox: {call}");
        move |errno: Errno| CliError::run(format!("{call}: {errno}"))
    };
    sys::set_no_new_privs().map_err(failed("prctl"))?;
    sys::set_filter(&filter(has_files)).map_err(failed("seccomp"))
}

/// `BPF_LD | BPF_W | BPF_ABS`: loads a number at an offset of `struct seccomp_data`.
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_K` with `BPF_JEQ`, `BPF_JGE` and `BPF_JSET`.
const IF_EQUAL: u16 = 0x15;
const IF_NOT_LESS: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

/// The offsets in `struct seccomp_data`; an argument has 64 bits, the lower half first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What becomes of a call.
const KILL: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;
const FAIL: u32 = 0x0005_0000;

/// Numbers from here on are those of x32, the same calls with pointers of 32 bits.
const X32: u32 = 0x4000_0000;

const fn instruction(code: u16, if_true: u8, if_false: u8, k: u32) -> Instruction {
    Instruction { code, jumps: [if_true, if_false], k }
}

/// Every allowed call.
fn allowed(has_files: bool) -> impl Iterator<Item = &'static str> {
    let all = seen::CALLS.into_iter().chain(RARE.into_iter().map(|(call, _)| call));
    all.filter(move |call| has_files || !FOR_FILES.contains(call))
}

fn filter(has_files: bool) -> Vec<Instruction> {
    let architecture = sys::ARCHITECTURE.unwrap_or(0);
    let mut filter = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE),
        instruction(IF_EQUAL, 1, 0, architecture),
        instruction(RETURN, 0, 0, KILL),
        instruction(LOAD, 0, 0, NUMBER),
        instruction(IF_NOT_LESS, 0, 1, X32),
        instruction(RETURN, 0, 0, KILL),
    ];
    for call in allowed(has_files) {
        add(&mut filter, call, &checked(call));
    }
    for call in REFUSED {
        add(&mut filter, call, &[instruction(RETURN, 0, 0, FAIL | sys::EACCES)]);
    }
    filter.push(instruction(RETURN, 0, 0, KILL));
    filter
}

/// Adds what is done for a call, which ends with a return.
fn add(filter: &mut Vec<Instruction>, call: &str, body: &[Instruction]) {
    // A call without a number, on another architecture, cannot be made.
    let Some(number) = sys::call_number(call) else { return };
    let len = u8::try_from(body.len()).expect("a call has a few checks");
    filter.push(instruction(IF_EQUAL, 0, len, number));
    filter.extend(body);
}

/// Allows a call whose arguments are right.
fn checked(call: &str) -> Vec<Instruction> {
    let mut body = Vec::new();
    for (_, argument, check) in CHECKS.into_iter().filter(|(name, ..)| *name == call) {
        body.push(instruction(LOAD, 0, 0, ARGUMENTS + 8 * u32::from(argument)));
        match check {
            Check::Equals(value) => body.push(instruction(IF_EQUAL, 1, 0, value)),
            Check::IsEither(one, other) => {
                body.push(instruction(IF_EQUAL, 2, 0, one));
                body.push(instruction(IF_EQUAL, 1, 0, other));
            }
            Check::Has(bit) => body.push(instruction(IF_ANY_BIT, 1, 0, bit)),
            Check::HasNot(bit) => body.push(instruction(IF_ANY_BIT, 0, 1, bit)),
        }
        body.push(instruction(RETURN, 0, 0, KILL));
    }
    body.push(instruction(RETURN, 0, 0, ALLOW));
    body
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    const NATIVE: u32 = match sys::ARCHITECTURE {
        Some(number) => number,
        None => 0,
    };

    /// What the kernel would do with a call: the instructions that are used here.
    fn run(filter: &[Instruction], architecture: u32, number: u32, arguments: [u32; 6]) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let Instruction { code, jumps, k } = filter[at];
            at += 1;
            let mut jump = |is_true: bool| at += usize::from(jumps[usize::from(!is_true)]);
            match code {
                LOAD => {
                    value = match k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset => arguments[(offset - ARGUMENTS) as usize / 8],
                    }
                }
                IF_EQUAL => jump(value == k),
                IF_NOT_LESS => jump(value >= k),
                IF_ANY_BIT => jump(value & k != 0),
                RETURN => return k,
                other => panic!("an instruction of another kind: {other:#x}"),
            }
        }
    }

    /// Arguments that pass every check.
    fn right(call: &str) -> [u32; 6] {
        let mut arguments = [0; 6];
        for (_, at, check) in CHECKS.into_iter().filter(|(name, ..)| *name == call) {
            arguments[usize::from(at)] = match check {
                Check::Equals(value) | Check::IsEither(_, value) | Check::Has(value) => value,
                Check::HasNot(_) => 0,
            };
        }
        arguments
    }

    #[test]
    fn exactly_the_calls_of_the_list_are_allowed() {
        for has_files in [false, true] {
            let filter = filter(has_files);
            let allowed: Vec<(u32, &str)> =
                allowed(has_files).map(|call| (sys::call_number(call).unwrap(), call)).collect();
            let refused = REFUSED.map(|call| sys::call_number(call).unwrap());
            for number in (0..1000).chain([X32 - 1, X32, X32 | 1, u32::MAX]) {
                let call = allowed.iter().find(|(other, _)| *other == number);
                let arguments = call.map_or([0; 6], |(_, call)| right(call));
                let expected = match call {
                    Some(_) => ALLOW,
                    None if refused.contains(&number) => FAIL | sys::EACCES,
                    None => KILL,
                };
                assert_eq!(run(&filter, NATIVE, number, arguments), expected, "call {number}");
                // An int 0x80, and the same number with the bit of x32.
                assert_eq!(run(&filter, 0x4000_0003, number, arguments), KILL, "i386 {number}");
                assert_eq!(run(&filter, NATIVE, number | X32, arguments), KILL, "x32 {number}");
            }
        }
    }

    #[test]
    fn a_wrong_argument_is_not_allowed() {
        let filter = filter(true);
        for (call, at, check) in CHECKS {
            let (number, mut arguments) = (sys::call_number(call).unwrap(), right(call));
            assert_eq!(run(&filter, NATIVE, number, arguments), ALLOW, "{call}");
            arguments[usize::from(at)] = match check {
                Check::Equals(value) => value + 1,
                Check::IsEither(one, other) => one.max(other) + 1,
                Check::Has(_) => 0,
                Check::HasNot(bit) => bit | 1,
            };
            assert_eq!(run(&filter, NATIVE, number, arguments), KILL, "{call}: {arguments:?}");
        }
    }

    #[test]
    fn no_call_is_in_two_lists_and_each_check_is_of_an_allowed_call() {
        let mut all: Vec<&str> = allowed(true).chain(REFUSED).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "{all:?}");
        for call in CHECKS.map(|(call, ..)| call).into_iter().chain(FOR_FILES) {
            assert!(all.contains(&call), "{call}");
        }
    }

    /// The environment variable by which this test program is told to be the sandboxed one.
    const CASE: &str = "EPOLLITE_SANDBOX_CASE";

    /// Enters the sandbox and makes one call: what happens is seen by the test below.
    #[test]
    fn a_child_of_the_next_test() {
        let Ok(case) = std::env::var(CASE) else { return };
        // A thread that runs already is filtered, too.
        let (start, started) = std::sync::mpsc::channel::<()>();
        let (run, runs) = std::sync::mpsc::channel::<()>();
        let earlier = std::thread::spawn(move || {
            run.send(()).unwrap();
            let _ = started.recv();
            drop(std::net::UdpSocket::bind("127.0.0.1:0"));
        });
        runs.recv().unwrap();
        enter(case == "files").unwrap();
        match case.as_str() {
            "files" => drop(std::fs::remove_file("/nonexistent/file")),
            "no files" => drop(std::fs::remove_file("/nonexistent/file")),
            "socket" => drop(std::net::UdpSocket::bind("127.0.0.1:0")),
            "earlier thread" => {
                start.send(()).unwrap();
                earlier.join().unwrap();
            }
            "thread" => drop(std::thread::spawn(|| {})),
            "exec" => drop(Command::new("/bin/true").status()),
            "open" => {
                let opened = std::fs::File::open("/etc/passwd").map(drop);
                let errno = opened.unwrap_err().raw_os_error();
                assert_eq!(errno, Some(Errno::EACCES.number()), "{case}");
            }
            "allocate" => drop(std::hint::black_box(vec![1_u8; 64 << 20])),
            other => panic!("no such case: {other}"),
        }
        eprintln!("{case}: it goes on");
        std::process::exit(42);
    }

    #[test]
    fn a_call_outside_the_list_ends_the_process() {
        const SIGSYS: i32 = 31;
        let program = std::env::current_exe().unwrap();
        for (case, expected) in [
            ("files", None),
            ("allocate", None),
            ("open", None),
            ("no files", Some(SIGSYS)),
            ("socket", Some(SIGSYS)),
            ("earlier thread", Some(SIGSYS)),
            ("thread", Some(SIGSYS)),
            ("exec", Some(SIGSYS)),
        ] {
            let name = "operation::sandbox::tests::a_child_of_the_next_test";
            let mut command = Command::new(&program);
            command.args(["--exact", name, "--nocapture"]).env(CASE, case);
            let output = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.signal(), expected, "{case}: {stderr}");
            if expected.is_none() {
                assert_eq!(output.status.code(), Some(42), "{case}: {stderr}");
            }
        }
    }
}
