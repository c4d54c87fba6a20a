//! Servers given by the user: `--extra NAME=COMMAND`. It starts nothing.

use std::collections::HashMap;

use anyhow::{Result, bail};

use super::build::Toolchain;
use super::{CONTROL, ServerSpec, all};
use crate::case::Transport;
use crate::schema::Origin;

/// One command of such a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    name: String,
    transport: Transport,
    command: String,
}

/// Error text for an invalid argument.
const FORM: &str = "expected NAME=COMMAND, and the command contains {port} or {path}";

/// Prefix of a command that serves datagrams.
const UDP: &str = "udp:";

impl std::str::FromStr for Extra {
    type Err = String;

    /// `NAME=COMMAND`: with `{port}` in the command for TCP, with `{path}` for a Unix socket; with
    /// the prefix `udp:`, `{port}` is a UDP port.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or(FORM)?;
        let datagrams = command.strip_prefix(UDP);
        let (command, is_udp) = (datagrams.unwrap_or(command), datagrams.is_some());
        let (has_port, has_path) = (command.contains("{port}"), command.contains("{path}"));
        let transport = match (is_udp, has_port, has_path) {
            _ if name.is_empty() => return Err(FORM.to_owned()),
            (true, true, false) => Transport::Udp,
            (false, true, false) => Transport::Tcp,
            (false, false, true) => Transport::Unix,
            (_, true, true) => {
                return Err("a command contains {port} or {path}, not both".to_owned());
            }
            (true, ..) => return Err("a command for UDP must contain {port}".to_owned()),
            _ => return Err(FORM.to_owned()),
        };
        if shlex::split(command).is_none() {
            return Err(format!("unterminated quote in `{command}`"));
        }
        Ok(Self { name: name.to_owned(), transport, command: command.to_owned() })
    }
}

/// Groups commands by server: one server per name, in the order of their first commands. Fails if
/// two commands have the same name and transport, or a name is already in use: they could not be
/// distinguished in tables.
pub(crate) fn group_extras(extras: &[Extra]) -> Result<Vec<ServerSpec>> {
    let known = all();
    let mut entries: Vec<ServerSpec> = Vec::new();
    for Extra { name, transport, command } in extras {
        let taken = || format!("--extra: '{name}' is the name of another server");
        if name == CONTROL || known.iter().any(|entry| entry.name == *name) {
            bail!(taken());
        }
        let at = entries.iter().position(|entry| entry.name == *name).unwrap_or_else(|| {
            entries.push(ServerSpec {
                name: name.clone(),
                what: "given by --extra".to_owned(),
                origin: Origin::Extra,
                toolchain: Toolchain::None,
                commands: HashMap::new(),
            });
            entries.len() - 1
        });
        if entries[at].commands.insert(*transport, command.clone()).is_some() {
            bail!("{}, for the same transport", taken());
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_selects_the_transport() {
        for (text, transport) in [
            ("mine=./s {port}", Transport::Tcp),
            ("mine=udp:./s {port}", Transport::Udp),
            ("mine=./s --unix={path}", Transport::Unix),
        ] {
            assert_eq!(text.parse::<Extra>().map(|it| it.transport), Ok(transport), "{text}");
        }
        for text in
            ["", "mine", "=./s {port}", "mine=./s", "mine=udp:./s {path}", "mine=s {port} {path}"]
        {
            assert!(text.parse::<Extra>().is_err(), "{text}");
        }
    }

    #[test]
    fn extra_servers_are_added_to_the_default_or_named_ones() {
        let mine = group_extras(&["mine=s {port}".parse().expect("one")]).expect("it has a name");
        let names = |asked: &[&str]| -> Vec<String> {
            let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
            let chosen = super::super::select(&asked, &mine).expect("all are known");
            chosen.into_iter().map(|entry| entry.name).collect()
        };
        let usual = super::super::select(&[], &[]).expect("the usual ones");
        let usual: Vec<String> = usual.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names(&[]), [usual, vec!["mine".to_owned()]].concat(), "without --servers");
        assert_eq!(names(&["mine"]), ["mine"]);
        assert_eq!(names(&["mine", "tokio"]), ["mine", "tokio"], "in the order of --servers");
        assert_eq!(names(&["tokio"]), ["tokio", "mine"], "unnamed extras come last");
        assert_eq!(names(&["all"]).last().map(String::as_str), Some("mine"));
    }

    #[test]
    fn commands_of_one_name_are_one_server() {
        let parse = |texts: &[&str]| -> Result<Vec<ServerSpec>> {
            let extras: Vec<Extra> = texts.iter().map(|text| text.parse().expect("one")).collect();
            group_extras(&extras)
        };
        let entries = parse(&["a=s {port}", "b=t {port}", "a=udp:s {port}", "a=s {path}"]);
        let entries = entries.expect("they fit together");
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(entries[0].commands.len() == 3);
        assert!(!entries[1].commands.contains_key(&Transport::Udp));
        for texts in [["a=s {port}", "a=t {port}"], ["A/A=s {port}", "b=s {port}"]] {
            assert!(parse(&texts).is_err(), "{texts:?}");
        }
    }
}
