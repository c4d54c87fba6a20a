//! Where a tracer's records go.

use alloc::collections::VecDeque;

use super::SyscallRecord;
use crate::kernel::Decision;

/// Takes the record of each call as soon as it has returned.
pub trait RecordSink {
    /// Whether it takes records now. While it does not, calls are made without one, and decisions
    /// are not passed on. Cost: should be minimal; it is on every path.
    #[inline]
    fn is_recording(&self) -> bool {
        true
    }

    /// Takes one record. Cost: should be small; the traced program waits for it.
    fn record(&mut self, record: SyscallRecord);

    /// Takes a decision that was made after the calls recorded so far. Cost: should be small.
    #[inline]
    fn decision(&mut self, decision: Decision) {
        let _ = decision;
    }
}

/// Keeps them all.
impl RecordSink for VecDeque<SyscallRecord> {
    fn record(&mut self, record: SyscallRecord) {
        self.push_back(record);
    }
}
