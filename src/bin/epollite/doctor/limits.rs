//! The limits: their values, what each limits, and which are lower than epollite can use.
//!
//! Knows files of `/proc/sys` and of cgroups. A file that cannot be read has no value: another
//! kernel, or a namespace in which it does not exist.

use std::fs;

use epollite::kernel::{Resource, Rlimit};
use epollite::{Kernel, Linux};

/// A limit, as it was found.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) name: &'static str,
    /// `None`: not here.
    pub(super) value: Option<String>,
    /// What it limits.
    pub(super) what: &'static str,
    /// If it is low: how to raise it.
    pub(super) advice: Option<String>,
}

/// Connections that a server should be able to have; the default hard limit of systemd is higher.
const DESCRIPTORS_WANTED: u64 = 65_536;

/// A setting of sysctl(8).
struct Sysctl {
    name: &'static str,
    what: &'static str,
    /// What epollite asks for; 0 if it asks for nothing.
    wanted: u64,
}

const SYSCTLS: [Sysctl; 15] = [
    Sysctl { name: "fs.nr_open", what: "the highest RLIMIT_NOFILE", wanted: DESCRIPTORS_WANTED },
    Sysctl { name: "fs.file-max", what: "open files of the machine", wanted: DESCRIPTORS_WANTED },
    Sysctl {
        name: "fs.epoll.max_user_watches",
        what: "registrations of a user, all epolls together",
        wanted: DESCRIPTORS_WANTED,
    },
    Sysctl { name: "net.core.somaxconn", what: "the accept queue of a listener", wanted: 4096 },
    Sysctl {
        name: "net.ipv4.tcp_max_syn_backlog",
        what: "handshakes that have begun, of a listener",
        wanted: 0,
    },
    Sysctl {
        name: "net.core.rmem_max",
        what: "the receive buffer of --udp, which asks for 4 MiB",
        wanted: 4 << 20,
    },
    Sysctl { name: "net.core.wmem_max", what: "SO_SNDBUF, which is not set", wanted: 0 },
    Sysctl { name: "net.ipv4.tcp_rmem", what: "receive buffer: least, default, most", wanted: 0 },
    Sysctl { name: "net.ipv4.tcp_wmem", what: "send buffer: least, default, most", wanted: 0 },
    Sysctl {
        name: "net.ipv4.ip_local_port_range",
        what: "connections of a client to one address: a port each",
        wanted: 0,
    },
    Sysctl {
        name: "net.ipv4.tcp_congestion_control",
        what: "when a full sender is writable again",
        wanted: 0,
    },
    Sysctl {
        name: "net.unix.max_dgram_qlen",
        what: "unread datagrams of a Unix socket",
        wanted: 0,
    },
    Sysctl { name: "fs.pipe-max-size", what: "a pipe of --bulk", wanted: 1 << 20 },
    Sysctl {
        name: "fs.pipe-user-pages-soft",
        what: "pages in the pipes of a user (0: no limit)",
        wanted: 0,
    },
    Sysctl { name: "kernel.pid_max", what: "threads and processes", wanted: 0 },
];

/// Reads every limit.
pub(super) fn read() -> Vec<Limit> {
    let mut limits = vec![descriptors()];
    limits.extend(SYSCTLS.iter().map(|sysctl| {
        let path = format!("/proc/sys/{}", sysctl.name.replace('.', "/"));
        let value = fs::read_to_string(path).ok();
        limit(sysctl, value.map(|text| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
    }));
    limits.push(Limit {
        name: "memory of the cgroup",
        value: memory_max(),
        what: "everything, socket buffers included, in bytes",
        advice: None,
    });
    limits
}

/// A setting, and whether it is low.
fn limit(&Sysctl { name, what, wanted }: &Sysctl, value: Option<String>) -> Limit {
    // A number that does not fit is "no limit".
    let number = value.as_deref().map(|text| text.parse().unwrap_or(u64::MAX));
    let is_low = wanted > 0 && number.is_some_and(|number| number < wanted);
    let advice = is_low.then(|| format!("sysctl -w {name}={wanted}"));
    Limit { name, value, what, advice }
}

fn descriptors() -> Limit {
    let (value, is_low) = match Linux.prlimit(Resource::Nofile, None) {
        Ok(Rlimit { soft, hard }) => (
            Some(format!("{} soft, {} hard", number(soft), number(hard))),
            hard < DESCRIPTORS_WANTED,
        ),
        Err(_) => (None, false),
    };
    Limit {
        name: "RLIMIT_NOFILE",
        value,
        what: "descriptors, one for each connection; echo raises soft to hard",
        advice: is_low.then(|| {
            format!("ulimit -Hn {DESCRIPTORS_WANTED} (as root), or LimitNOFILE= of systemd")
        }),
    }
}

fn number(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".into() } else { limit.to_string() }
}

/// The memory limit of this process's cgroup: of version 2, or else of version 1. In a container
/// the path may be that of the host: then the root of the mount is meant.
fn memory_max() -> Option<String> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    memory_files(&cgroups).iter().find_map(|file| fs::read_to_string(file).ok()).map(|text| {
        // Version 1 has a number for no limit: the greatest multiple of a page.
        let text = text.trim();
        let is_none = text == "max" || text.parse().is_ok_and(|bytes: u64| bytes > u64::MAX >> 2);
        if is_none { "no limit".into() } else { text.to_owned() }
    })
}

/// The files that may hold the limit, the first that exists counts.
fn memory_files(cgroups: &str) -> Vec<String> {
    let path = |is_it: fn(&str, &str) -> bool| {
        cgroups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            is_it(number, controllers).then(|| path.trim_end_matches('/').to_owned())
        })
    };
    let mut files = Vec::new();
    if let Some(path) = path(|_, controllers| controllers.split(',').any(|it| it == "memory")) {
        for path in [path.as_str(), ""] {
            files.push(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"));
        }
    }
    if let Some(path) = path(|number, controllers| number == "0" && controllers.is_empty()) {
        for path in [path.as_str(), ""] {
            files.push(format!("/sys/fs/cgroup{path}/memory.max"));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_below_what_is_asked_for_is_low() {
        let sysctl = Sysctl { name: "net.core.somaxconn", what: "", wanted: 4096 };
        let low = limit(&sysctl, Some("128".into()));
        assert_eq!(low.advice.as_deref(), Some("sysctl -w net.core.somaxconn=4096"));
        assert_eq!(limit(&sysctl, Some("4096".into())).advice, None);
        assert_eq!(limit(&sysctl, Some("99999999999999999999999".into())).advice, None);
        assert_eq!(limit(&sysctl, None).advice, None);
        let any = Sysctl { wanted: 0, ..sysctl };
        assert_eq!(limit(&any, Some("1".into())).advice, None);
    }

    #[test]
    fn the_cgroup_is_found_in_both_versions() {
        assert_eq!(
            memory_files("0::/user.slice/a\n"),
            ["/sys/fs/cgroup/user.slice/a/memory.max", "/sys/fs/cgroup/memory.max"]
        );
        assert_eq!(
            memory_files("9:name=systemd:/\n4:cpu,memory:/api\n"),
            [
                "/sys/fs/cgroup/memory/api/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert!(memory_files("").is_empty() && memory_files("x\n1:2").is_empty());
    }
}
