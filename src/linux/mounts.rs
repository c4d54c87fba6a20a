//! A namespace of mounts for one thread, and a mount in it.
//!
//! Both end with the thread: it must be one of its own, and an experiment runs in one.

use core::mem::zeroed;
use core::ptr::null;

use super::file;
use super::result::check_ok;
use crate::errno::Errno;
use crate::kernel::Fd;

/// Moves this thread into a new namespace, from which nothing gets out, and opens its list.
pub(super) fn open() -> Result<Fd, Errno> {
    // SAFETY: unshare(2) takes a number and touches no user memory. Only this thread gets another
    // root, current directory and mounts: those of the process, copied.
    check_ok(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: mount(2) reads the string of the target, a literal.
    check_ok(unsafe { libc::mount(null(), c"/".as_ptr(), null(), flags, null()) })?;
    file::open("/proc/thread-self/mounts", libc::O_RDONLY)
}

/// Mounts a file over itself.
pub(super) fn bind_mount(_: &Fd) -> Result<(), Errno> {
    // Never in the namespace of the process.
    if namespace(c"/proc/self/ns/mnt")? == namespace(c"/proc/thread-self/ns/mnt")? {
        return Err(Errno::EPERM);
    }
    let null_device = c"/dev/null".as_ptr();
    // SAFETY: mount(2) with MS_BIND reads two strings, which are literals.
    check_ok(unsafe { libc::mount(null_device, null_device, null(), libc::MS_BIND, null()) })
}

/// What tells one namespace from another.
fn namespace(path: &core::ffi::CStr) -> Result<libc::ino_t, Errno> {
    // SAFETY: a zeroed `stat` is a value of it: integers.
    let mut stat: libc::stat = unsafe { zeroed() };
    // SAFETY: stat(2) reads the string at `path`, a literal, and writes one `stat`, a local
    // variable.
    check_ok(unsafe { libc::stat(path.as_ptr(), &raw mut stat) })?;
    Ok(stat.st_ino)
}
