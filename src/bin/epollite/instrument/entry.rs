//! What is recorded: calls and decisions.

use epollite::instrument::SyscallRecord;
use epollite::kernel::Decision;

/// A call that was made, or a decision because of those before.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Call(SyscallRecord),
    Decision(Decision),
}
