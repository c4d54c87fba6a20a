//! The pages of `epollite-bench`, from the definition of its arguments.

use clap::Command;
use clap_mangen::Man;

use crate::page::{DATE, VERSION};

/// The arguments of the program.
pub(crate) fn command() -> Command {
    epollite_bench::cli::command()
}

/// The page of the program, and one for each subcommand.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut command = command();
    command.build();
    let mut pages = vec![page("epollite-bench".into(), command.clone())];
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    for subcommand in commands.filter(|command| command.get_name() != "help") {
        let name = format!("epollite-bench-{}", subcommand.get_name());
        pages.push(page(name.clone(), subcommand.clone().display_name(name)));
    }
    pages
}

fn page(name: String, command: Command) -> (String, String) {
    let man = Man::new(command.disable_help_flag(false))
        .title(name.as_str())
        .date(DATE)
        .source(VERSION)
        .manual("User Commands");
    let mut text = Vec::new();
    man.render(&mut text).expect("a vector accepts bytes");
    let text = String::from_utf8(text).expect("a page is text");
    // An empty line between two breaks is a complaint of mandoc.
    (format!("{name}.1"), text.replace("\n.br\n\n.br\n", "\n.br\n"))
}
