//! The numbers that floor 0 writes down by hand, held against libc's while compiling.
//!
//! `errno` and `addr` may not say `libc::`, so that the model kernel and a student's reading need
//! no C. This file is the price: a target where Linux numbers errors or lays out addresses
//! otherwise (MIPS, SPARC, PowerPC) fails to build here, instead of lying at run time.

use core::mem::offset_of;

use crate::addr::{AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, SUN_PATH_BYTES, SockAddr};
use crate::addr::{SOCKADDR_IN_BYTES, SOCKADDR_IN6_BYTES, SUN_PATH_OFFSET};
use crate::errno::Errno;

const fn same(ours: Errno, theirs: i32) {
    assert!(ours.number() == theirs, "libc has another number for this errno");
}

const _: () = {
    same(Errno::EPERM, libc::EPERM);
    same(Errno::ENOENT, libc::ENOENT);
    same(Errno::ESRCH, libc::ESRCH);
    same(Errno::EINTR, libc::EINTR);
    same(Errno::EIO, libc::EIO);
    same(Errno::ENXIO, libc::ENXIO);
    same(Errno::E2BIG, libc::E2BIG);
    same(Errno::ENOEXEC, libc::ENOEXEC);
    same(Errno::EBADF, libc::EBADF);
    same(Errno::ECHILD, libc::ECHILD);
    same(Errno::EAGAIN, libc::EAGAIN);
    same(Errno::ENOMEM, libc::ENOMEM);
    same(Errno::EACCES, libc::EACCES);
    same(Errno::EFAULT, libc::EFAULT);
    same(Errno::ENOTBLK, libc::ENOTBLK);
    same(Errno::EBUSY, libc::EBUSY);
    same(Errno::EEXIST, libc::EEXIST);
    same(Errno::EXDEV, libc::EXDEV);
    same(Errno::ENODEV, libc::ENODEV);
    same(Errno::ENOTDIR, libc::ENOTDIR);
    same(Errno::EISDIR, libc::EISDIR);
    same(Errno::EINVAL, libc::EINVAL);
    same(Errno::ENFILE, libc::ENFILE);
    same(Errno::EMFILE, libc::EMFILE);
    same(Errno::ENOTTY, libc::ENOTTY);
    same(Errno::ETXTBSY, libc::ETXTBSY);
    same(Errno::EFBIG, libc::EFBIG);
    same(Errno::ENOSPC, libc::ENOSPC);
    same(Errno::ESPIPE, libc::ESPIPE);
    same(Errno::EROFS, libc::EROFS);
    same(Errno::EMLINK, libc::EMLINK);
    same(Errno::EPIPE, libc::EPIPE);
    same(Errno::EDOM, libc::EDOM);
    same(Errno::ERANGE, libc::ERANGE);
    same(Errno::EDEADLK, libc::EDEADLK);
    same(Errno::ENAMETOOLONG, libc::ENAMETOOLONG);
    same(Errno::ENOLCK, libc::ENOLCK);
    same(Errno::ENOSYS, libc::ENOSYS);
    same(Errno::ENOTEMPTY, libc::ENOTEMPTY);
    same(Errno::ELOOP, libc::ELOOP);
    same(Errno::ENOMSG, libc::ENOMSG);
    same(Errno::EIDRM, libc::EIDRM);
    same(Errno::ECHRNG, libc::ECHRNG);
    same(Errno::EL2NSYNC, libc::EL2NSYNC);
    same(Errno::EL3HLT, libc::EL3HLT);
    same(Errno::EL3RST, libc::EL3RST);
    same(Errno::ELNRNG, libc::ELNRNG);
    same(Errno::EUNATCH, libc::EUNATCH);
    same(Errno::ENOCSI, libc::ENOCSI);
    same(Errno::EL2HLT, libc::EL2HLT);
    same(Errno::EBADE, libc::EBADE);
    same(Errno::EBADR, libc::EBADR);
    same(Errno::EXFULL, libc::EXFULL);
    same(Errno::ENOANO, libc::ENOANO);
    same(Errno::EBADRQC, libc::EBADRQC);
    same(Errno::EBADSLT, libc::EBADSLT);
    same(Errno::EBFONT, libc::EBFONT);
    same(Errno::ENOSTR, libc::ENOSTR);
    same(Errno::ENODATA, libc::ENODATA);
    same(Errno::ETIME, libc::ETIME);
    same(Errno::ENOSR, libc::ENOSR);
    same(Errno::ENONET, libc::ENONET);
    same(Errno::ENOPKG, libc::ENOPKG);
    same(Errno::EREMOTE, libc::EREMOTE);
    same(Errno::ENOLINK, libc::ENOLINK);
    same(Errno::EADV, libc::EADV);
    same(Errno::ESRMNT, libc::ESRMNT);
    same(Errno::ECOMM, libc::ECOMM);
    same(Errno::EPROTO, libc::EPROTO);
    same(Errno::EMULTIHOP, libc::EMULTIHOP);
    same(Errno::EDOTDOT, libc::EDOTDOT);
    same(Errno::EBADMSG, libc::EBADMSG);
    same(Errno::EOVERFLOW, libc::EOVERFLOW);
    same(Errno::ENOTUNIQ, libc::ENOTUNIQ);
    same(Errno::EBADFD, libc::EBADFD);
    same(Errno::EREMCHG, libc::EREMCHG);
    same(Errno::ELIBACC, libc::ELIBACC);
    same(Errno::ELIBBAD, libc::ELIBBAD);
    same(Errno::ELIBSCN, libc::ELIBSCN);
    same(Errno::ELIBMAX, libc::ELIBMAX);
    same(Errno::ELIBEXEC, libc::ELIBEXEC);
    same(Errno::EILSEQ, libc::EILSEQ);
    same(Errno::ERESTART, libc::ERESTART);
    same(Errno::ESTRPIPE, libc::ESTRPIPE);
    same(Errno::EUSERS, libc::EUSERS);
    same(Errno::ENOTSOCK, libc::ENOTSOCK);
    same(Errno::EDESTADDRREQ, libc::EDESTADDRREQ);
    same(Errno::EMSGSIZE, libc::EMSGSIZE);
    same(Errno::EPROTOTYPE, libc::EPROTOTYPE);
    same(Errno::ENOPROTOOPT, libc::ENOPROTOOPT);
    same(Errno::EPROTONOSUPPORT, libc::EPROTONOSUPPORT);
    same(Errno::ESOCKTNOSUPPORT, libc::ESOCKTNOSUPPORT);
    same(Errno::EOPNOTSUPP, libc::EOPNOTSUPP);
    same(Errno::EPFNOSUPPORT, libc::EPFNOSUPPORT);
    same(Errno::EAFNOSUPPORT, libc::EAFNOSUPPORT);
    same(Errno::EADDRINUSE, libc::EADDRINUSE);
    same(Errno::EADDRNOTAVAIL, libc::EADDRNOTAVAIL);
    same(Errno::ENETDOWN, libc::ENETDOWN);
    same(Errno::ENETUNREACH, libc::ENETUNREACH);
    same(Errno::ENETRESET, libc::ENETRESET);
    same(Errno::ECONNABORTED, libc::ECONNABORTED);
    same(Errno::ECONNRESET, libc::ECONNRESET);
    same(Errno::ENOBUFS, libc::ENOBUFS);
    same(Errno::EISCONN, libc::EISCONN);
    same(Errno::ENOTCONN, libc::ENOTCONN);
    same(Errno::ESHUTDOWN, libc::ESHUTDOWN);
    same(Errno::ETOOMANYREFS, libc::ETOOMANYREFS);
    same(Errno::ETIMEDOUT, libc::ETIMEDOUT);
    same(Errno::ECONNREFUSED, libc::ECONNREFUSED);
    same(Errno::EHOSTDOWN, libc::EHOSTDOWN);
    same(Errno::EHOSTUNREACH, libc::EHOSTUNREACH);
    same(Errno::EALREADY, libc::EALREADY);
    same(Errno::EINPROGRESS, libc::EINPROGRESS);
    same(Errno::ESTALE, libc::ESTALE);
    same(Errno::EUCLEAN, libc::EUCLEAN);
    same(Errno::ENOTNAM, libc::ENOTNAM);
    same(Errno::ENAVAIL, libc::ENAVAIL);
    same(Errno::EISNAM, libc::EISNAM);
    same(Errno::EREMOTEIO, libc::EREMOTEIO);
    same(Errno::EDQUOT, libc::EDQUOT);
    same(Errno::ENOMEDIUM, libc::ENOMEDIUM);
    same(Errno::EMEDIUMTYPE, libc::EMEDIUMTYPE);
    same(Errno::ECANCELED, libc::ECANCELED);
    same(Errno::ENOKEY, libc::ENOKEY);
    same(Errno::EKEYEXPIRED, libc::EKEYEXPIRED);
    same(Errno::EKEYREVOKED, libc::EKEYREVOKED);
    same(Errno::EKEYREJECTED, libc::EKEYREJECTED);
    same(Errno::EOWNERDEAD, libc::EOWNERDEAD);
    same(Errno::ENOTRECOVERABLE, libc::ENOTRECOVERABLE);
    same(Errno::ERFKILL, libc::ERFKILL);
    same(Errno::EHWPOISON, libc::EHWPOISON);
    same(Errno::EWOULDBLOCK, libc::EWOULDBLOCK);
    same(Errno::EDEADLOCK, libc::EDEADLOCK);
    same(Errno::ENOTSUP, libc::ENOTSUP);
};

const _: () = {
    assert!(AF_UNSPEC as i32 == libc::AF_UNSPEC);
    assert!(AF_UNIX as i32 == libc::AF_UNIX);
    assert!(AF_INET as i32 == libc::AF_INET);
    assert!(AF_INET6 as i32 == libc::AF_INET6);
};

// Where `addr` puts the fields, and how long it says an address is.
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
