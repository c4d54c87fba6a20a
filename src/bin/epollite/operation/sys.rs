//! The system calls by which the program gives up what it may do: its user, its capabilities, and
//! other system calls.
//!
//! With `models/sys.rs` the only file of the program that contains `unsafe` or `libc::`. Nothing
//! here retries, keeps state or decides.

#![expect(unsafe_code, reason = "these calls are the program's own, not part of the Kernel trait")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use epollite::{Errno, Fd};

/// The numbers of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The most bytes of a line of the user database.
const PASSWD_BYTES: usize = 16 << 10;

/// Arguments of prctl(2), which has to be told all five.
const NONE: libc::c_ulong = 0;
const ONE: libc::c_ulong = 1;

fn check(returned: libc::c_int) -> Result<(), Errno> {
    if returned == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::EIO))
}

/// The user of this name and its primary group; `None` if there is none.
///
/// Man page: getpwnam_r(3)
pub(super) fn user_by_name(name: &str) -> Result<Option<Ids>, Errno> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    look_up(|entry, buf, found| {
        let (text, at, len) = (name.as_ptr(), buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: getpwnam_r(3) reads a C string at `text`, writes a passwd at `entry`, at most
        // `len` bytes at `at`, and a pointer at `found`; all of them live until it returns.
        unsafe { libc::getpwnam_r(text, entry, at, len, found) }
    })
}

/// The user of this number and its primary group; `None` if there is none.
///
/// Man page: getpwuid_r(3)
pub(super) fn user_by_number(uid: u32) -> Result<Option<Ids>, Errno> {
    look_up(|entry, buf, found| {
        let (at, len) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: getpwuid_r(3) writes a passwd at `entry`, at most `len` bytes at `at`, and a
        // pointer at `found`; all of them live until it returns.
        unsafe { libc::getpwuid_r(uid, entry, at, len, found) }
    })
}

fn look_up(
    call: impl FnOnce(*mut libc::passwd, &mut [u8], *mut *mut libc::passwd) -> libc::c_int,
) -> Result<Option<Ids>, Errno> {
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::zeroed();
    let (mut buf, mut found) = (vec![0_u8; PASSWD_BYTES], std::ptr::null_mut());
    let returned = call(entry.as_mut_ptr(), buf.as_mut_slice(), &raw mut found);
    if found.is_null() {
        // It returns the error. These mean that there is no such user: getpwnam(3).
        let is_missing = [0, libc::ENOENT, libc::ESRCH, libc::EBADF, libc::EPERM];
        let errno = Errno::new(returned).filter(|_| !is_missing.contains(&returned));
        return errno.map_or(Ok(None), Err);
    }
    // SAFETY: all zeroes are a valid passwd: numbers, and pointers that may be null.
    let entry = unsafe { entry.assume_init() };
    Ok(Some(Ids { uid: entry.pw_uid, gid: entry.pw_gid }))
}

/// The file that a Unix socket is bound to, whatever is at its path by now. The result names the
/// file (`O_PATH`), and neither reads nor writes it.
///
/// # Errors
/// * [`Errno::ENOENT`]: its name is not a file.
/// * [`Errno::EPERM`]: without `CAP_NET_ADMIN`.
///
/// Man page: none; `SIOCUNIXFILE` of linux/un.h
pub(super) fn file_of_socket(socket: &Fd) -> Result<OwnedFd, Errno> {
    /// In linux/un.h.
    const SIOCUNIXFILE: libc::c_ulong = 0x89e0;
    // SAFETY: ioctl(2) with SIOCUNIXFILE takes no argument and touches none of our memory.
    let opened = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCUNIXFILE as libc::Ioctl) };
    if opened < 0 {
        return check(-1).and(Err(Errno::EIO));
    }
    // SAFETY: from_raw_fd makes no call. The descriptor has just been created for us.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// Gives a file to a user and a group.
///
/// Man page: chown(2), `AT_EMPTY_PATH`
pub(super) fn give_file(file: &OwnedFd, ids: Ids) -> Result<(), Errno> {
    let (file, flags) = (file.as_raw_fd(), libc::AT_EMPTY_PATH);
    // SAFETY: fchownat(2) reads an empty C string, which lives forever.
    check(unsafe { libc::fchownat(file, c"".as_ptr(), ids.uid, ids.gid, flags) })
}

/// Leaves all supplementary groups.
///
/// Man page: setgroups(2)
pub(super) fn leave_groups() -> Result<(), Errno> {
    // SAFETY: setgroups(2) of no groups reads nothing.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })
}

/// The number of supplementary groups.
///
/// Man page: getgroups(2)
pub(super) fn groups() -> i32 {
    // SAFETY: getgroups(2) with room for none only returns the number.
    unsafe { libc::getgroups(0, std::ptr::null_mut()) }
}

/// Sets the real, effective and saved group of every thread.
///
/// Man page: setresgid(2)
pub(super) fn set_group(gid: u32) -> Result<(), Errno> {
    // SAFETY: setresgid(2) takes three numbers and touches none of our memory.
    check(unsafe { libc::setresgid(gid, gid, gid) })
}

/// Sets the real, effective and saved user of every thread.
///
/// Man page: setresuid(2)
pub(super) fn set_user(uid: u32) -> Result<(), Errno> {
    // SAFETY: setresuid(2) takes three numbers and touches none of our memory.
    check(unsafe { libc::setresuid(uid, uid, uid) })
}

/// The real, effective and saved users and groups.
///
/// Man page: getresuid(2)
pub(super) fn all_ids() -> Result<([u32; 3], [u32; 3]), Errno> {
    let ([mut ruid, mut euid, mut suid], [mut rgid, mut egid, mut sgid]) = ([0; 3], [0; 3]);
    // SAFETY: getresuid(2) writes three numbers, local variables.
    check(unsafe { libc::getresuid(&raw mut ruid, &raw mut euid, &raw mut suid) })?;
    // SAFETY: getresgid(2) writes three numbers, local variables.
    check(unsafe { libc::getresgid(&raw mut rgid, &raw mut egid, &raw mut sgid) })?;
    Ok(([ruid, euid, suid], [rgid, egid, sgid]))
}

/// Gives up all capabilities of the calling thread: setresuid(2) does so only for root.
///
/// Man page: capset(2); prctl(2), `PR_CAP_AMBIENT`
pub(super) fn leave_capabilities() -> Result<(), Errno> {
    /// `_LINUX_CAPABILITY_VERSION_3`, in linux/capability.h.
    const VERSION: u32 = 0x2008_0522;
    let (ambient, all) = (libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL);
    // SAFETY: prctl(2) takes numbers here and touches no memory. An old kernel has no such set.
    unsafe { libc::prctl(ambient, all, NONE, NONE, NONE) };
    // A struct __user_cap_header_struct, and two struct __user_cap_data_struct.
    let (header, data) = ([VERSION, 0], [0_u32; 6]);
    // SAFETY: capset(2) reads 8 bytes at `header` and 24 at `data`, which live until it returns.
    let returned = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    check(i32::try_from(returned).unwrap_or(-1))
}

/// From here on exec(2) gives no privileges, in no thread of those that this one starts.
///
/// Man page: prctl(2), `PR_SET_NO_NEW_PRIVS`
pub(super) fn set_no_new_privs() -> Result<(), Errno> {
    // SAFETY: prctl(2) takes numbers here and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, ONE, NONE, NONE, NONE) })
}

/// Whether it is set.
pub(super) fn has_no_new_privs() -> bool {
    // SAFETY: prctl(2) takes numbers here and touches no memory.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, NONE, NONE, NONE, NONE) == 1 }
}

/// One instruction of a filter: `struct sock_filter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct Instruction {
    pub(super) code: u16,
    /// How many instructions are left out, if a comparison is true, and if it is not.
    pub(super) jumps: [u8; 2],
    pub(super) k: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
const _: () = assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());

/// Every system call of every thread goes through this filter from here on.
///
/// # Errors
/// * [`Errno::EACCES`]: `no_new_privs` is not set.
/// * [`Errno::EINVAL`], [`Errno::ENOSYS`]: a kernel without seccomp.
/// * [`Errno::ESRCH`]: a thread has another filter.
///
/// Man page: seccomp(2), `SECCOMP_FILTER_FLAG_TSYNC`
pub(super) fn set_filter(filter: &[Instruction]) -> Result<(), Errno> {
    let len = u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut().cast() };
    let (set, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: seccomp(2) reads a sock_fprog at `program`, and through it `len` instructions of the
    // layout asserted above; both live until it returns, and it keeps a copy.
    match unsafe { libc::syscall(libc::SYS_seccomp, set, flags, &raw const program) } {
        0 => Ok(()),
        -1 => check(-1),
        // The number of a thread.
        _ => Err(Errno::ESRCH),
    }
}

/// What the kernel calls the instruction set of this program; `None` where the list of calls has
/// not been seen.
pub(super) const ARCHITECTURE: Option<u32> =
    if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        // `AUDIT_ARCH_X86_64`, in linux/audit.h.
        Some(0xc000_003e)
    } else {
        None
    };

/// Flags that arguments of calls are compared with.
pub(super) const PROT_EXEC: u32 = libc::PROT_EXEC.cast_unsigned();
pub(super) const MAP_ANONYMOUS: u32 = libc::MAP_ANONYMOUS.cast_unsigned();
pub(super) const ACCEPT_FLAGS: u32 = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC).cast_unsigned();
pub(super) const PIPE_FLAGS: u32 = (libc::O_NONBLOCK | libc::O_CLOEXEC).cast_unsigned();
pub(super) const SETPIPE_SZ: u32 = libc::F_SETPIPE_SZ.cast_unsigned();
pub(super) const GETFD: u32 = libc::F_GETFD.cast_unsigned();
/// `TIOCOUTQ`, in asm-generic/ioctls.h.
pub(super) const UNSENT_BYTES: u32 = 0x5411;
pub(super) const SOL_SOCKET: u32 = libc::SOL_SOCKET.cast_unsigned();
pub(super) const SO_PEERCRED: u32 = libc::SO_PEERCRED.cast_unsigned();
pub(super) const SOL_UDP: u32 = libc::SOL_UDP.cast_unsigned();
pub(super) const UDP_GRO: u32 = libc::UDP_GRO.cast_unsigned();
pub(super) const EACCES: u32 = libc::EACCES.cast_unsigned();

/// The number of a system call of the sandbox, by its name.
#[cfg(target_arch = "x86_64")]
pub(super) fn call_number(name: &str) -> Option<u32> {
    let numbers = [
        ("accept4", libc::SYS_accept4),
        ("brk", libc::SYS_brk),
        ("clock_gettime", libc::SYS_clock_gettime),
        ("close", libc::SYS_close),
        ("epoll_ctl", libc::SYS_epoll_ctl),
        ("epoll_pwait2", libc::SYS_epoll_pwait2),
        ("epoll_wait", libc::SYS_epoll_wait),
        ("exit", libc::SYS_exit),
        ("exit_group", libc::SYS_exit_group),
        ("fcntl", libc::SYS_fcntl),
        ("futex", libc::SYS_futex),
        ("getcwd", libc::SYS_getcwd),
        ("geteuid", libc::SYS_geteuid),
        ("getpid", libc::SYS_getpid),
        ("getrandom", libc::SYS_getrandom),
        ("getsockopt", libc::SYS_getsockopt),
        ("gettid", libc::SYS_gettid),
        ("ioctl", libc::SYS_ioctl),
        ("lstat", libc::SYS_lstat),
        ("madvise", libc::SYS_madvise),
        ("mmap", libc::SYS_mmap),
        ("mprotect", libc::SYS_mprotect),
        ("mremap", libc::SYS_mremap),
        ("munmap", libc::SYS_munmap),
        ("newfstatat", libc::SYS_newfstatat),
        ("open", libc::SYS_open),
        ("openat", libc::SYS_openat),
        ("pipe2", libc::SYS_pipe2),
        ("poll", libc::SYS_poll),
        ("pwrite64", libc::SYS_pwrite64),
        ("read", libc::SYS_read),
        ("readlink", libc::SYS_readlink),
        ("recvfrom", libc::SYS_recvfrom),
        ("recvmmsg", libc::SYS_recvmmsg),
        ("recvmsg", libc::SYS_recvmsg),
        ("restart_syscall", libc::SYS_restart_syscall),
        ("rt_sigaction", libc::SYS_rt_sigaction),
        ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
        ("rt_sigreturn", libc::SYS_rt_sigreturn),
        ("sched_yield", libc::SYS_sched_yield),
        ("sendmmsg", libc::SYS_sendmmsg),
        ("sendmsg", libc::SYS_sendmsg),
        ("sendto", libc::SYS_sendto),
        ("setsockopt", libc::SYS_setsockopt),
        ("shutdown", libc::SYS_shutdown),
        ("sigaltstack", libc::SYS_sigaltstack),
        ("splice", libc::SYS_splice),
        ("statx", libc::SYS_statx),
        ("tgkill", libc::SYS_tgkill),
        ("unlink", libc::SYS_unlink),
        ("write", libc::SYS_write),
        ("writev", libc::SYS_writev),
    ];
    let found = numbers.iter().find(|(other, _)| *other == name);
    found.and_then(|(_, number)| u32::try_from(*number).ok())
}

/// None: elsewhere the calls have other names.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn call_number(_: &str) -> Option<u32> {
    None
}
