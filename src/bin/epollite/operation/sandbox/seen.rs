//! The system calls that the server has been seen to make after its start, on x86_64. Generated:
//! `BLESS=1 cargo test --test program operation::sandbox`

pub(super) const CALLS: [&str; 22] = [
    "accept4",
    "close",
    "epoll_ctl",
    "epoll_pwait2",
    "epoll_wait",
    "exit_group",
    "fcntl",
    "getsockopt",
    "ioctl",
    "pipe2",
    "poll",
    "read",
    "recvfrom",
    "recvmmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "shutdown",
    "splice",
    "statx",
    "unlink",
    "write",
];
