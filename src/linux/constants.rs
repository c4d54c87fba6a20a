//! The numbers that layer 0 defines by hand, compared with libc's at compile time.
//!
//! `errno` and `addr` do not use `libc::`, so that the simulated kernel and a reader need no C.
//! This file is the price: a target where Linux numbers errors or lays out addresses differently
//! (MIPS, SPARC, PowerPC) fails to compile here, instead of misbehaving at run time.

use core::mem::offset_of;

use crate::errno::Errno;
use crate::net::{AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, SUN_PATH_BYTES, SockAddr};
use crate::net::{SOCKADDR_IN_BYTES, SOCKADDR_IN6_BYTES, SUN_PATH_OFFSET};

const fn assert_same(errno: Errno, number: i32) {
    assert!(errno.number() == number, "libc defines another number for this errno");
}

const _: () = {
    assert_same(Errno::EPERM, libc::EPERM);
    assert_same(Errno::ENOENT, libc::ENOENT);
    assert_same(Errno::ESRCH, libc::ESRCH);
    assert_same(Errno::EINTR, libc::EINTR);
    assert_same(Errno::EIO, libc::EIO);
    assert_same(Errno::ENXIO, libc::ENXIO);
    assert_same(Errno::E2BIG, libc::E2BIG);
    assert_same(Errno::ENOEXEC, libc::ENOEXEC);
    assert_same(Errno::EBADF, libc::EBADF);
    assert_same(Errno::ECHILD, libc::ECHILD);
    assert_same(Errno::EAGAIN, libc::EAGAIN);
    assert_same(Errno::ENOMEM, libc::ENOMEM);
    assert_same(Errno::EACCES, libc::EACCES);
    assert_same(Errno::EFAULT, libc::EFAULT);
    assert_same(Errno::ENOTBLK, libc::ENOTBLK);
    assert_same(Errno::EBUSY, libc::EBUSY);
    assert_same(Errno::EEXIST, libc::EEXIST);
    assert_same(Errno::EXDEV, libc::EXDEV);
    assert_same(Errno::ENODEV, libc::ENODEV);
    assert_same(Errno::ENOTDIR, libc::ENOTDIR);
    assert_same(Errno::EISDIR, libc::EISDIR);
    assert_same(Errno::EINVAL, libc::EINVAL);
    assert_same(Errno::ENFILE, libc::ENFILE);
    assert_same(Errno::EMFILE, libc::EMFILE);
    assert_same(Errno::ENOTTY, libc::ENOTTY);
    assert_same(Errno::ETXTBSY, libc::ETXTBSY);
    assert_same(Errno::EFBIG, libc::EFBIG);
    assert_same(Errno::ENOSPC, libc::ENOSPC);
    assert_same(Errno::ESPIPE, libc::ESPIPE);
    assert_same(Errno::EROFS, libc::EROFS);
    assert_same(Errno::EMLINK, libc::EMLINK);
    assert_same(Errno::EPIPE, libc::EPIPE);
    assert_same(Errno::EDOM, libc::EDOM);
    assert_same(Errno::ERANGE, libc::ERANGE);
    assert_same(Errno::EDEADLK, libc::EDEADLK);
    assert_same(Errno::ENAMETOOLONG, libc::ENAMETOOLONG);
    assert_same(Errno::ENOLCK, libc::ENOLCK);
    assert_same(Errno::ENOSYS, libc::ENOSYS);
    assert_same(Errno::ENOTEMPTY, libc::ENOTEMPTY);
    assert_same(Errno::ELOOP, libc::ELOOP);
    assert_same(Errno::ENOMSG, libc::ENOMSG);
    assert_same(Errno::EIDRM, libc::EIDRM);
    assert_same(Errno::ECHRNG, libc::ECHRNG);
    assert_same(Errno::EL2NSYNC, libc::EL2NSYNC);
    assert_same(Errno::EL3HLT, libc::EL3HLT);
    assert_same(Errno::EL3RST, libc::EL3RST);
    assert_same(Errno::ELNRNG, libc::ELNRNG);
    assert_same(Errno::EUNATCH, libc::EUNATCH);
    assert_same(Errno::ENOCSI, libc::ENOCSI);
    assert_same(Errno::EL2HLT, libc::EL2HLT);
    assert_same(Errno::EBADE, libc::EBADE);
    assert_same(Errno::EBADR, libc::EBADR);
    assert_same(Errno::EXFULL, libc::EXFULL);
    assert_same(Errno::ENOANO, libc::ENOANO);
    assert_same(Errno::EBADRQC, libc::EBADRQC);
    assert_same(Errno::EBADSLT, libc::EBADSLT);
    assert_same(Errno::EBFONT, libc::EBFONT);
    assert_same(Errno::ENOSTR, libc::ENOSTR);
    assert_same(Errno::ENODATA, libc::ENODATA);
    assert_same(Errno::ETIME, libc::ETIME);
    assert_same(Errno::ENOSR, libc::ENOSR);
    assert_same(Errno::ENONET, libc::ENONET);
    assert_same(Errno::ENOPKG, libc::ENOPKG);
    assert_same(Errno::EREMOTE, libc::EREMOTE);
    assert_same(Errno::ENOLINK, libc::ENOLINK);
    assert_same(Errno::EADV, libc::EADV);
    assert_same(Errno::ESRMNT, libc::ESRMNT);
    assert_same(Errno::ECOMM, libc::ECOMM);
    assert_same(Errno::EPROTO, libc::EPROTO);
    assert_same(Errno::EMULTIHOP, libc::EMULTIHOP);
    assert_same(Errno::EDOTDOT, libc::EDOTDOT);
    assert_same(Errno::EBADMSG, libc::EBADMSG);
    assert_same(Errno::EOVERFLOW, libc::EOVERFLOW);
    assert_same(Errno::ENOTUNIQ, libc::ENOTUNIQ);
    assert_same(Errno::EBADFD, libc::EBADFD);
    assert_same(Errno::EREMCHG, libc::EREMCHG);
    assert_same(Errno::ELIBACC, libc::ELIBACC);
    assert_same(Errno::ELIBBAD, libc::ELIBBAD);
    assert_same(Errno::ELIBSCN, libc::ELIBSCN);
    assert_same(Errno::ELIBMAX, libc::ELIBMAX);
    assert_same(Errno::ELIBEXEC, libc::ELIBEXEC);
    assert_same(Errno::EILSEQ, libc::EILSEQ);
    assert_same(Errno::ERESTART, libc::ERESTART);
    assert_same(Errno::ESTRPIPE, libc::ESTRPIPE);
    assert_same(Errno::EUSERS, libc::EUSERS);
    assert_same(Errno::ENOTSOCK, libc::ENOTSOCK);
    assert_same(Errno::EDESTADDRREQ, libc::EDESTADDRREQ);
    assert_same(Errno::EMSGSIZE, libc::EMSGSIZE);
    assert_same(Errno::EPROTOTYPE, libc::EPROTOTYPE);
    assert_same(Errno::ENOPROTOOPT, libc::ENOPROTOOPT);
    assert_same(Errno::EPROTONOSUPPORT, libc::EPROTONOSUPPORT);
    assert_same(Errno::ESOCKTNOSUPPORT, libc::ESOCKTNOSUPPORT);
    assert_same(Errno::EOPNOTSUPP, libc::EOPNOTSUPP);
    assert_same(Errno::EPFNOSUPPORT, libc::EPFNOSUPPORT);
    assert_same(Errno::EAFNOSUPPORT, libc::EAFNOSUPPORT);
    assert_same(Errno::EADDRINUSE, libc::EADDRINUSE);
    assert_same(Errno::EADDRNOTAVAIL, libc::EADDRNOTAVAIL);
    assert_same(Errno::ENETDOWN, libc::ENETDOWN);
    assert_same(Errno::ENETUNREACH, libc::ENETUNREACH);
    assert_same(Errno::ENETRESET, libc::ENETRESET);
    assert_same(Errno::ECONNABORTED, libc::ECONNABORTED);
    assert_same(Errno::ECONNRESET, libc::ECONNRESET);
    assert_same(Errno::ENOBUFS, libc::ENOBUFS);
    assert_same(Errno::EISCONN, libc::EISCONN);
    assert_same(Errno::ENOTCONN, libc::ENOTCONN);
    assert_same(Errno::ESHUTDOWN, libc::ESHUTDOWN);
    assert_same(Errno::ETOOMANYREFS, libc::ETOOMANYREFS);
    assert_same(Errno::ETIMEDOUT, libc::ETIMEDOUT);
    assert_same(Errno::ECONNREFUSED, libc::ECONNREFUSED);
    assert_same(Errno::EHOSTDOWN, libc::EHOSTDOWN);
    assert_same(Errno::EHOSTUNREACH, libc::EHOSTUNREACH);
    assert_same(Errno::EALREADY, libc::EALREADY);
    assert_same(Errno::EINPROGRESS, libc::EINPROGRESS);
    assert_same(Errno::ESTALE, libc::ESTALE);
    assert_same(Errno::EUCLEAN, libc::EUCLEAN);
    assert_same(Errno::ENOTNAM, libc::ENOTNAM);
    assert_same(Errno::ENAVAIL, libc::ENAVAIL);
    assert_same(Errno::EISNAM, libc::EISNAM);
    assert_same(Errno::EREMOTEIO, libc::EREMOTEIO);
    assert_same(Errno::EDQUOT, libc::EDQUOT);
    assert_same(Errno::ENOMEDIUM, libc::ENOMEDIUM);
    assert_same(Errno::EMEDIUMTYPE, libc::EMEDIUMTYPE);
    assert_same(Errno::ECANCELED, libc::ECANCELED);
    assert_same(Errno::ENOKEY, libc::ENOKEY);
    assert_same(Errno::EKEYEXPIRED, libc::EKEYEXPIRED);
    assert_same(Errno::EKEYREVOKED, libc::EKEYREVOKED);
    assert_same(Errno::EKEYREJECTED, libc::EKEYREJECTED);
    assert_same(Errno::EOWNERDEAD, libc::EOWNERDEAD);
    assert_same(Errno::ENOTRECOVERABLE, libc::ENOTRECOVERABLE);
    assert_same(Errno::ERFKILL, libc::ERFKILL);
    assert_same(Errno::EHWPOISON, libc::EHWPOISON);
    assert_same(Errno::EWOULDBLOCK, libc::EWOULDBLOCK);
    assert_same(Errno::EDEADLOCK, libc::EDEADLOCK);
    assert_same(Errno::ENOTSUP, libc::ENOTSUP);
};

const _: () = {
    assert!(AF_UNSPEC as i32 == libc::AF_UNSPEC);
    assert!(AF_UNIX as i32 == libc::AF_UNIX);
    assert!(AF_INET as i32 == libc::AF_INET);
    assert!(AF_INET6 as i32 == libc::AF_INET6);
};

// The field offsets and lengths that `addr` uses.
const _: () = {
    assert!(size_of::<libc::sa_family_t>() == 2);

    assert!(SOCKADDR_IN_BYTES == size_of::<libc::sockaddr_in>());
    assert!(offset_of!(libc::sockaddr_in, sin_port) == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_addr) == 4);

    assert!(SOCKADDR_IN6_BYTES == size_of::<libc::sockaddr_in6>());
    assert!(offset_of!(libc::sockaddr_in6, sin6_port) == 2);
    assert!(offset_of!(libc::sockaddr_in6, sin6_flowinfo) == 4);
    assert!(offset_of!(libc::sockaddr_in6, sin6_addr) == 8);
    assert!(offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24);

    assert!(SUN_PATH_OFFSET == offset_of!(libc::sockaddr_un, sun_path));
    assert!(SUN_PATH_OFFSET + SUN_PATH_BYTES == size_of::<libc::sockaddr_un>());

    assert!(SockAddr::CAPACITY == size_of::<libc::sockaddr_storage>());
    assert!(align_of::<SockAddr>() >= align_of::<libc::sockaddr_storage>());
    assert!(size_of::<libc::socklen_t>() == size_of::<u32>());
};
