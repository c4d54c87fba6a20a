//! The user of `--user`, as it is written.

use std::fmt;

/// A user, by name or by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum User {
    Name(String),
    /// Without a group, the user's primary one.
    Number {
        uid: u32,
        gid: Option<u32>,
    },
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number { uid, gid: None } => write!(f, "{uid}"),
            Self::Number { uid, gid: Some(gid) } => write!(f, "{uid}:{gid}"),
        }
    }
}

/// Reads `NAME` or `UID[:GID]`. The number -1 is no user: calls take it for "unchanged".
pub(super) fn parse_user(text: &str) -> Result<User, String> {
    let bad = || format!("'{text}' is not NAME, UID or UID:GID");
    // Digits only: `parse` alone would accept a plus sign.
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| {
        let number = Some(text).filter(is_number)?.parse().ok();
        number.filter(|&number| number != u32::MAX)
    };
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
        let uid = number(uid).ok_or_else(bad)?;
        let gid = gid.map(|gid| number(gid).ok_or_else(bad)).transpose()?;
        return Ok(User::Number { uid, gid });
    }
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == ':' || c == '/';
    if text.is_empty() || text.starts_with('-') || text.contains(is_odd) {
        return Err(bad());
    }
    Ok(User::Name(text.to_owned()))
}
