//! `--user`: once the sockets are bound, the server becomes another user and cannot go back.
//!
//! It leaves all supplementary groups, then its group, its user and all capabilities, sets
//! `no_new_privs`, and checks that none of it can be had again. The group of root is kept only if
//! it was given by its number: then it is what was asked for. Files of Unix sockets become the
//! new user's (which takes `CAP_NET_ADMIN`: they are found by the socket, not by their path);
//! whether it may remove them when it exits depends on their directory.

use epollite::Errno;

use super::sys::{self, Ids};
use crate::args::User;
use crate::exit::CliError;
use crate::listen::{BoundSocket, path_text};
use crate::models::effective_uid;
use crate::output::log::Log;

/// The user that may do everything, and its group.
const ROOT: u32 = 0;

/// The user to become.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    ids: Ids,
    /// As it was given.
    shown: String,
}

/// Looks the user up. To be called before anything is opened: the database may be on a network.
///
/// # Errors
/// One line: there is no such user, it has no known group, it is root, or its primary group is
/// that of root.
pub(crate) fn look_up(user: &User) -> Result<Identity, CliError> {
    let shown = user.to_string();
    let failed = |why: &str| CliError::run(format!("--user {shown}: {why}"));
    let looked_up = |found: Result<Option<Ids>, Errno>| {
        found.map_err(|errno| failed(&format!("the user database cannot be read: {errno}")))
    };
    let ids = match user {
        User::Name(name) => {
            looked_up(sys::user_by_name(name))?.ok_or_else(|| failed("there is no such user"))?
        }
        User::Number { uid, gid: Some(gid) } => Ids { uid: *uid, gid: *gid },
        User::Number { uid, gid: None } => {
            let found = looked_up(sys::user_by_number(*uid))?;
            found.ok_or_else(|| failed(&format!("it has no known group: use {uid}:GID")))?
        }
    };
    if ids.uid == ROOT {
        return Err(failed("this is root: nothing would be given up"));
    }
    let is_group_given = matches!(user, User::Number { gid: Some(_), .. });
    if ids.gid == ROOT && !is_group_given {
        let why = format!("its group is that of root: use {}:0 to keep it, or another", ids.uid);
        return Err(failed(&why));
    }
    Ok(Identity { ids, shown })
}

/// Gives the file of a Unix socket to the user, if there is one. By the socket, and not by its
/// path: another file may have been put there by users that may write to one of its directories,
/// and a predecessor may have passed a socket of any name. Where it is refused the file stays as it
/// is.
pub(crate) fn give_file(identity: Option<&Identity>, bound: &BoundSocket, log: &Log) {
    let (Some(Identity { ids, shown }), Some(file)) = (identity, &bound.file) else { return };
    let given = sys::file_of_socket(&bound.fd).and_then(|opened| sys::give_file(&opened, *ids));
    // A process that is not root fails at the next step, with a line of its own.
    if let Err(errno) = given
        && effective_uid() == ROOT
    {
        let path = path_text(file.path());
        let text = format!("--user {shown}: the file {path} is not given to it: {errno}");
        log.event("file_not_given", &text, &errno.to_string());
    }
}

/// Becomes this user. Only one thread may be running, which all others are started from.
///
/// # Errors
/// One line: a call was refused, or could be taken back. The process must not serve then.
pub(crate) fn become_user(identity: &Identity) -> Result<(), CliError> {
    let Identity { ids, shown } = identity;
    let failed = |call: &str| {
        let line = format!("--user {shown}: {call}");
        move |errno: Errno| {
            let hint =
                if errno == Errno::EPERM { " (only root can become another user)" } else { "" };
            CliError::run(format!("{line}: {errno}{hint}"))
        }
    };
    sys::leave_groups().map_err(failed("setgroups"))?;
    sys::set_group(ids.gid).map_err(failed("setresgid"))?;
    sys::set_user(ids.uid).map_err(failed("setresuid"))?;
    sys::leave_capabilities().map_err(failed("capset"))?;
    sys::set_no_new_privs().map_err(failed("prctl"))?;
    match what_is_left(*ids) {
        None => Ok(()),
        Some(what) => Err(CliError::run(format!("--user {shown}: not given up: {what}"))),
    }
}

/// What of its privileges the process still has, or can have again.
fn what_is_left(ids: Ids) -> Option<&'static str> {
    let expected = ([ids.uid; 3], [ids.gid; 3]);
    if sys::all_ids() != Ok(expected) {
        return Some("the real, effective and saved IDs are not all those of the user");
    }
    if sys::groups() != 0 {
        return Some("it has supplementary groups");
    }
    if sys::set_user(ROOT) != Err(Errno::EPERM) {
        return Some("it can become root again");
    }
    if ids.gid != ROOT && sys::set_group(ROOT) != Err(Errno::EPERM) {
        return Some("it can have the group of root again");
    }
    if sys::leave_groups() != Err(Errno::EPERM) {
        return Some("it can change its groups");
    }
    (!sys::has_no_new_privs()).then_some("no_new_privs is not set")
}
