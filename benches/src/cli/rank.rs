//! Rank and number of ranks, from the environment variables of a launcher. It starts no processes.

/// Variables for rank and size; the first pair that is set is used.
const RANK_VARIABLES: [(&str, &str); 4] = [
    ("EPL_RANK", "EPL_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    (INDEX, "EPL_SIZE"),
];

/// Kubernetes sets the rank only.
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// A rank and the number of ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank {
    /// From 0.
    pub(super) rank: u32,
    /// Number of ranks.
    pub(super) size: u32,
}

impl Rank {
    /// Reads the environment; without variables, a single rank. Empty variables count as unset.
    pub(super) fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        for (rank, size) in RANK_VARIABLES {
            match (variable(rank), variable(size)) {
                (Some(rank_is), Some(size_is)) => {
                    return Self::new(number(rank, &rank_is)?, number(size, &size_is)?);
                }
                (Some(_), None) if rank == INDEX => {
                    return Err(format!("{rank} is set: set {size} to the number of completions"));
                }
                // A size alone may belong to a later rank.
                (Some(_), None) => return Err(format!("{rank} is set and {size} is not")),
                (None, _) => {}
            }
        }
        Ok(Self { rank: 0, size: 1 })
    }

    fn new(rank: u32, size: u32) -> Result<Self, String> {
        if rank < size {
            Ok(Self { rank, size })
        } else {
            Err(format!("rank {rank} of {size}: ranks count from 0"))
        }
    }
}

fn number(name: &str, text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{name}: '{text}' is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_env(variables: &[(&str, &str)]) -> Result<(u32, u32), String> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Rank::from_env(get).map(|rank| (rank.rank, rank.size))
    }

    #[test]
    fn every_launcher_is_supported() {
        assert_eq!(from_env(&[]), Ok((0, 1)));
        assert_eq!(from_env(&[("EPL_RANK", "1"), ("EPL_SIZE", "3")]), Ok((1, 3)));
        assert_eq!(
            from_env(&[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")]),
            Ok((2, 4))
        );
        assert_eq!(from_env(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")]), Ok((0, 2)));
        assert_eq!(from_env(&[("JOB_COMPLETION_INDEX", "1"), ("EPL_SIZE", "2")]), Ok((1, 2)));
        let epl_takes_precedence =
            [("EPL_RANK", "1"), ("EPL_SIZE", "3"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")];
        assert_eq!(from_env(&epl_takes_precedence), Ok((1, 3)));
        let epl_empty =
            [("EPL_RANK", ""), ("EPL_SIZE", ""), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")];
        assert_eq!(from_env(&epl_empty), Ok((0, 2)), "empty counts as unset");
    }

    #[test]
    fn an_incomplete_rank_is_rejected() {
        for variables in [
            &[("EPL_RANK", "1")][..],
            &[("EPL_RANK", "3"), ("EPL_SIZE", "3")],
            &[("EPL_RANK", "x"), ("EPL_SIZE", "3")],
            &[("JOB_COMPLETION_INDEX", "1")],
            &[("SLURM_PROCID", "1")],
            &[("EPL_RANK", "1"), ("EPL_SIZE", "")],
        ] {
            assert!(from_env(variables).is_err(), "{variables:?}");
        }
    }
}
