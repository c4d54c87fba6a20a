//! Display texts: error messages as seen in a log.

use core::net::{SocketAddr, SocketAddrV6};
use core::time::Duration;

use epollite::event::MaskError;
use epollite::event::Ready;
use epollite::kernel::EpollEvent;
use epollite::kernel::Syscall;
use epollite::net::{AddrError, UnixAddr};
use epollite::reactor::RegisterErrorKind;
use epollite::sim::Sim;
use epollite::{Addr, Errno, Instant, Interest, Kernel};

#[test]
fn every_error_displays_as_one_actionable_line() {
    let words = [
        AddrError::TooShort.to_string(),
        AddrError::TooLong.to_string(),
        AddrError::Family(16).to_string(),
        AddrError::NulInPath.to_string(),
        AddrError::Escape.to_string(),
        AddrError::Host.to_string(),
        AddrError::Port.to_string(),
        AddrError::Scope.to_string(),
        MaskError::ExclusiveInterest.to_string(),
        MaskError::ExclusiveImmutable.to_string(),
        RegisterErrorKind::Full.to_string(),
        RegisterErrorKind::InvalidMask(MaskError::ExclusiveImmutable).to_string(),
        RegisterErrorKind::Os(Errno::ENOSPC).to_string(),
        epollite::collections::BufferFull.to_string(),
        epollite::collections::SlabFull(()).to_string(),
    ];
    for (at, word) in words.iter().enumerate() {
        assert!(word.len() > 10 && !word.contains('\n'), "{word:?}");
        let earlier = words[..at].iter().filter(|other| *other == word).count();
        // A mask error displays the same text as the refusal in it.
        assert!(earlier == 0 || at == 11, "{word:?} is not unique");
    }
    assert!(words[2].contains("16"));
    assert!(words[12].contains("ENOSPC"), "{}", words[12]);
}

#[test]
fn register_errors_map_to_the_nearest_errno() {
    assert_eq!(Errno::from(RegisterErrorKind::Full), Errno::ENOSPC);
    assert_eq!(
        Errno::from(RegisterErrorKind::InvalidMask(MaskError::ExclusiveInterest)),
        Errno::EINVAL
    );
    assert_eq!(Errno::from(RegisterErrorKind::from(Errno::EPERM)), Errno::EPERM);
}

#[test]
fn every_call_has_a_name_and_a_name_in_the_kernel() {
    for call in Syscall::ALL {
        let (name, syscall) = (call.name(), call.syscall_name());
        assert!(!name.is_empty() && !syscall.is_empty());
        let is_other = [
            "recv",
            "send",
            "eventfd",
            "signalfd",
            "sigprocmask",
            "dup",
            "prlimit",
            "fork",
            "waitpid",
        ];
        let differs = is_other.contains(&name);
        assert_eq!(differs, name != syscall, "{name} is {syscall} to the kernel");
    }
}

#[test]
fn ipv6_addresses_round_trip_through_std() {
    let v6: SocketAddrV6 = "[::1]:7777".parse().unwrap();
    let addr = Addr::from(SocketAddr::V6(v6));
    assert_eq!(SocketAddr::try_from(addr), Ok(SocketAddr::V6(v6)));
    let unix = Addr::Unix(UnixAddr::abstract_name(b"x").unwrap());
    assert_eq!(SocketAddr::try_from(unix), Err(AddrError::Family(1)));
    assert_eq!(epollite::net::AddressFamily::Unix.number(), 1);
    assert!(format!("{:?}", addr.encode()).starts_with("SockAddr("));
}

#[test]
fn debug_output_names_the_type() {
    let mut sim = Sim::default();
    let fd = sim.eventfd(0).unwrap();
    assert_eq!(format!("{fd:?}"), format!("Fd(~{})", fd.number()));
    assert!(format!("{sim:?}").contains("open"));
    assert_eq!(sim.open_descriptors(), 1);
    sim.close(fd).unwrap();
    let event = EpollEvent::new(1, 0xabc);
    assert_eq!(format!("{event:?}"), "{IN, 0xabc}");
    let interest = Interest::READABLE | Interest::WRITABLE;
    assert_eq!(format!("{interest:?}"), "Interest(IN|OUT)");
    assert!(interest.contains(Interest::WRITABLE) && !Interest::NONE.contains(interest));
    let ready = Ready::from_bits(6);
    assert!(ready.is_writable() && ready.is_priority() && !ready.is_readable());
    let later = Instant::ZERO + Duration::new(3, 40);
    assert_eq!(format!("{later}"), "3.000000040");
}
