//! What the kernel reports about a process: memory, CPU time, descriptors.

use std::fs;

/// Resident memory, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    status(pid, "VmRSS:").trim_end_matches(" kB").parse().expect("VmRSS is a number")
}

/// The pid of its tracer; 0 if none.
pub(crate) fn tracer(pid: u32) -> u32 {
    status(pid, "TracerPid:").parse().expect("TracerPid is a number")
}

/// Its state: `S` sleeping, `R` running, `T` stopped.
pub(crate) fn state(pid: u32) -> char {
    status(pid, "State:").chars().next().expect("a state is a letter")
}

/// CPU time used so far, in ticks of 10 ms.
pub(crate) fn cpu_ticks(pid: u32) -> u64 {
    let stat = read(&format!("/proc/{pid}/stat"));
    let (_, after_name) = stat.rsplit_once(") ").expect("the name stands in parentheses");
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("times are numbers");
    // proc_pid_stat(5): utime and stime are fields 14 and 15; the first two are cut off.
    ticks(14 - 3) + ticks(15 - 3)
}

/// The number of open descriptors.
pub(crate) fn descriptors(pid: u32) -> usize {
    let listing = fs::read_dir(format!("/proc/{pid}/fd"));
    listing.expect("the process is ours and running").count()
}

/// The soft and hard descriptor limits.
pub(crate) fn descriptor_limits(pid: &str) -> (u64, u64) {
    let limits = read(&format!("/proc/{pid}/limits"));
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.expect("the kernel lists the limit").split_whitespace();
    let mut limit = || words.next().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
    (limit(), limit())
}

/// An integer in a file of `/proc/sys`, if the kernel has it.
pub(crate) fn sysctl(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}

/// Whether non-local addresses can be bound here (`net.ipv4.ip_nonlocal_bind`).
pub(crate) fn binds_nonlocal() -> bool {
    sysctl("net/ipv4/ip_nonlocal_bind") == Some(1)
}

/// Whether this machine has an IPv6 loopback address: containers often do not.
pub(crate) fn has_ipv6_loopback() -> bool {
    let addresses = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    addresses.lines().any(|line| line.ends_with(" lo"))
}

/// Whether a Unix socket listens at `path`: bind(2) creates the file before listen(2).
pub(crate) fn listens_at(path: &str) -> bool {
    const SO_ACCEPTCON: &str = "00010000";
    let sockets = read("/proc/net/unix");
    sockets.lines().any(|line| line.ends_with(path) && line.contains(SO_ACCEPTCON))
}

/// Whether the effective user is root.
pub(crate) fn we_are_root() -> bool {
    let own = read("/proc/self/status");
    field(&own, "Uid:").split_whitespace().nth(1) == Some("0")
}

fn status(pid: u32, name: &str) -> String {
    field(&read(&format!("/proc/{pid}/status")), name)
}

fn field(status: &str, name: &str) -> String {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.expect("proc_pid_status(5) has the field").trim().to_owned()
}

/// Names in these files may be any bytes: those of other tests' sockets, for example.
fn read(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}
