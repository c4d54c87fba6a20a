//! A tracer whose sink takes no records for a while.

use epollite::instrument::{RecordSink, SyscallRecord, Tracer};
use epollite::kernel::Decision;
use epollite::{Errno, Kernel, Linux};

#[derive(Default)]
struct Switched {
    is_on: bool,
    seen: Vec<String>,
}

impl RecordSink for Switched {
    fn is_recording(&self) -> bool {
        self.is_on
    }

    fn record(&mut self, record: SyscallRecord) {
        self.seen.push(record.name.into());
    }

    fn decision(&mut self, decision: Decision) {
        self.seen.push(format!("{decision:?}"));
    }
}

#[test]
fn calls_are_made_whether_they_are_recorded_or_not() {
    let mut kernel = Tracer::with_sink(Linux, Switched::default());
    for is_on in [false, true, false] {
        kernel.sink.is_on = is_on;
        let eventfd = kernel.eventfd(3).unwrap();
        kernel.on_decision(Decision::AcceptResumed);
        let mut buf = [0; 8];
        assert_eq!(kernel.read(&eventfd, &mut buf), Ok(8));
        assert_eq!(u64::from_ne_bytes(buf), 3);
        assert_eq!(kernel.read(&eventfd, &mut buf), Err(Errno::EAGAIN));
        kernel.close(eventfd).unwrap();
        let expected: &[&str] =
            if is_on { &["eventfd2", "AcceptResumed", "read", "read", "close"] } else { &[] };
        assert_eq!(std::mem::take(&mut kernel.sink.seen), expected);
    }
}
