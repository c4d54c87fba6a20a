//! Which results of a call agree with an experiment: alternatives, ranges, and kernel versions.
//!
//! Compares values; it does not know calls or kernels.

use alloc::vec::Vec;
use core::fmt;

use super::value::Value;
use crate::sim::Version;

/// One result, or a range of them.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// This value.
    Exactly(Value),
    /// A number from the first to the second, both included.
    Between(u64, u64),
}

impl Pattern {
    fn agrees(&self, observed: &Value) -> bool {
        match (self, observed) {
            (Self::Exactly(value), _) => value == observed,
            (Self::Between(least, most), Value::Number(number)) => (least..=most).contains(&number),
            (Self::Between(..), _) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => value.fmt(f),
            Self::Between(least, u64::MAX) => write!(f, "{least}.."),
            Self::Between(least, most) => write!(f, "{least}..{most}"),
        }
    }
}

/// What Linux is expected to return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expectation {
    /// Any of these agrees; of none, every value does.
    pub(super) patterns: Vec<Pattern>,
    /// The version with which `patterns` begin, and what agreed before.
    pub(super) before: Option<(Version, Vec<Pattern>)>,
}

impl Expectation {
    /// The results that agree on a kernel of this version; none are listed where every result does.
    /// Cost: O(1).
    #[must_use]
    pub fn patterns(&self, version: Version) -> &[Pattern] {
        match &self.before {
            Some((since, old)) if version < *since => old,
            _ => &self.patterns,
        }
    }

    /// Whether this is what a kernel of this version should return. Cost: O(alternatives).
    #[must_use]
    pub fn agrees(&self, observed: &Value, version: Version) -> bool {
        let patterns = self.patterns(version);
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.agrees(observed))
    }

    /// Whether a wait with this result has an event to wait for.
    pub(super) fn has_events(&self, version: Version) -> bool {
        let is_event = |pattern: &Pattern| match pattern {
            Pattern::Exactly(Value::Events(events)) => !events.is_empty(),
            _ => false,
        };
        let patterns = self.patterns(version);
        !patterns.is_empty() && patterns.iter().all(is_event)
    }
}

impl fmt::Display for Expectation {
    /// As it is written in an experiment: `EINVAL since 6.9, else 8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.patterns.is_empty() {
            return f.write_str("?");
        }
        show_alternatives(f, &self.patterns)?;
        let Some((since, old)) = &self.before else { return Ok(()) };
        write!(f, " since {since}, else ")?;
        show_alternatives(f, old)
    }
}

fn show_alternatives(f: &mut fmt::Formatter<'_>, patterns: &[Pattern]) -> fmt::Result {
    let mut between = "";
    for pattern in patterns {
        write!(f, "{between}{pattern}")?;
        between = " or ";
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno::Errno;
    use alloc::vec;

    #[test]
    fn the_version_selects_what_agrees() {
        let refused = Value::Failed(Errno::EINVAL);
        let expectation = Expectation {
            patterns: vec![Pattern::Exactly(refused.clone())],
            before: Some((Version::LINUX_6_9, vec![Pattern::Between(8, 9)])),
        };
        for (version, is_refused) in [(Version::LINUX_6_1, false), (Version::LINUX_6_9, true)] {
            assert_eq!(expectation.agrees(&refused, version), is_refused);
            assert_eq!(expectation.agrees(&Value::Number(8), version), !is_refused);
            assert!(!expectation.agrees(&Value::Number(10), version));
        }
    }
}
