//! Message sizes: one size for all, or a distribution. The size of a message is derived from its
//! id, so it can be recomputed from the id alone.

use std::fmt;
use std::str::FromStr;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;

use super::payload::{HEADER_BYTES, MessageId, mix64};
use crate::units;

/// An exponential size is cut off at this many times its mean: one in nine million would be
/// longer.
const EXP_MAX_MEANS: u32 = 16;

/// Message sizes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sizes {
    /// All messages have this size.
    Fixed(u32),
    /// Every size from the first to the second, equally often.
    Uniform(u32, u32),
    /// Exponential with this mean; at least 16 bytes, at most 16 times the mean.
    Exp(u32),
    /// These sizes, equally often; a size listed twice occurs twice as often.
    List(Vec<u32>),
}

impl Sizes {
    /// The size of one message of a run with this seed.
    #[inline]
    pub(super) fn size_of_message(&self, seed: u64, id: MessageId) -> u32 {
        if let Self::Fixed(size) = self { *size } else { self.sample(seed, id) }
    }

    fn sample(&self, seed: u64, id: MessageId) -> u32 {
        let seed = mix64(seed ^ mix64(u64::from(id.connection))) ^ id.number;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(min, max) => random.random_range(*min..=*max),
            Self::Exp(mean) => {
                let size = random.sample::<f64, _>(Exp1) * f64::from(*mean);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to the range"
                )]
                let size = size.clamp(f64::from(self.min()), f64::from(self.max())) as u32;
                size
            }
            Self::List(sizes) => sizes[random.random_range(0..sizes.len())],
        }
    }

    /// The smallest possible size.
    pub fn min(&self) -> u32 {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(min, _) => *min,
            Self::Exp(_) => HEADER_BYTES,
            Self::List(sizes) => sizes.iter().copied().min().unwrap_or(1),
        }
    }

    /// The largest possible size.
    pub fn max(&self) -> u32 {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(_, max) => *max,
            Self::Exp(mean) => mean.saturating_mul(EXP_MAX_MEANS).max(self.min()),
            Self::List(sizes) => sizes.iter().copied().max().unwrap_or(1),
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(range) = text.strip_prefix("uniform:") {
            let (min, max) = range.split_once('-').ok_or("expected uniform:MIN-MAX")?;
            let (min, max) = (units::bytes(min)?, units::bytes(max)?);
            if min > max {
                return Err(format!("{min} is more than {max}"));
            }
            return Ok(Self::Uniform(min, max));
        }
        if let Some(mean) = text.strip_prefix("exp:") {
            return units::bytes(mean).map(Self::Exp);
        }
        match text.strip_prefix("list:") {
            Some(list) => {
                list.split(',').map(units::bytes).collect::<Result<_, _>>().map(Self::List)
            }
            None => units::bytes(text)
                .map(Self::Fixed)
                .map_err(|why| format!("{why}, nor uniform:64-4096, exp:1000, list:64,1500,9000")),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Uniform(min, max) => write!(f, "uniform:{min}-{max}"),
            Self::Exp(mean) => write!(f, "exp:{mean}"),
            Self::List(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
                write!(f, "list:{}", sizes.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["64", "uniform:64-4096", "exp:1000", "list:64,1500,64"] {
            assert_eq!(text.parse::<Sizes>().map(|sizes| sizes.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "0", "uniform:5", "uniform:9-5", "exp:", "list:", "list:5,", "x:5"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }

    #[test]
    fn samples_match_the_distribution() {
        let mean = |text: &str| {
            let sizes: Sizes = text.parse().expect("a valid distribution");
            let total: f64 = (0..100_000)
                .map(|number| {
                    let size = sizes.size_of_message(1, MessageId { connection: 5, number });
                    assert!((sizes.min()..=sizes.max()).contains(&size), "{text}: {size}");
                    f64::from(size)
                })
                .sum();
            total / 100_000.0
        };
        // The standard error of each is below half a per cent.
        for (text, wanted) in
            [("uniform:100-300", 200.0), ("exp:10000", 10_000.0), ("list:100,400", 250.0)]
        {
            let got = mean(text);
            assert!((got / wanted - 1.0).abs() < 0.02, "{text}: {got} instead of {wanted}");
        }
    }

    #[test]
    fn a_message_keeps_its_size() {
        let sizes = Sizes::Uniform(1, 1 << 20);
        let id = MessageId { connection: 1, number: 99 };
        assert_eq!(sizes.size_of_message(7, id), sizes.size_of_message(7, id));
        assert_ne!(
            sizes.size_of_message(7, id),
            sizes.size_of_message(8, id),
            "another seed, another size"
        );
    }
}
