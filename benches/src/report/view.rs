//! A result file with the look of its servers: one class for each server, in every chart of a page.
//! The colours are in `plot.css`.
//!
//! Twenty servers cannot have twenty colours that can be told apart, least of all by colour-blind
//! readers. So a hue is a family of servers, shade and dashes tell them apart in it, and the name
//! of a server is always beside its line.

use std::collections::HashMap;

use crate::schema::{Case, Measured, Origin, Outcome, ResultFile, Server};

/// Shades of a hue, and line patterns (solid, dashed, dotted), in `plot.css`.
const SHADES: usize = 3;
const PATTERNS: usize = 3;

/// The classes of each server.
pub(super) type Styles = HashMap<String, String>;

/// The classes of every server in all result files of a page.
pub(super) fn styles(records: &[ResultFile]) -> Styles {
    let mut classes = Styles::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for record in records {
        classes.insert(record.reference.clone(), "reference".to_owned());
        classes.insert(record.control.clone(), "control".to_owned());
    }
    for server in records.iter().flat_map(|record| &record.servers) {
        classes.entry(server.name.clone()).or_insert_with(|| {
            let family = family(server);
            let count = counts.entry(family).or_default();
            let (shade, pattern) = (*count % SHADES, (*count / SHADES) % PATTERNS);
            *count += 1;
            format!("{family} shade-{shade} dash-{pattern}")
        });
    }
    classes
}

fn family(server: &Server) -> &'static str {
    let reactor = ["epoll-edge", "epoll-level", "coroutine", "epoll-oneshot"];
    // One thread polls or waits for all connections by older means.
    let polling = ["nonblocking", "select", "poll"];
    match (server.origin, server.language.as_deref()) {
        (Origin::Extra, _) => "mine",
        (Origin::Model, _) if reactor.contains(&&*server.name) => "ours",
        (Origin::Model, _) if polling.contains(&&*server.name) => "other",
        (Origin::Model, _) => "many",
        (_, Some("c")) => "c",
        (_, Some("rust")) => "rust",
        (_, Some("python")) => "python",
        _ => "other",
    }
}

/// A result file and the look of its servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) record: &'a ResultFile,
    pub(super) styles: &'a Styles,
}

/// How series look: their classes, and which of them stand out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) reference: &'a str,
    pub(super) servers: &'a [Server],
    pub(super) styles: &'a Styles,
}

impl<'a> Look<'a> {
    pub(super) fn class(&self, server: &str) -> &'a str {
        self.styles.get(server).map_or("other", String::as_str)
    }

    pub(super) fn number(&self, server: &str) -> Option<usize> {
        self.servers.iter().position(|it| it.name == server)
    }

    /// Whether it is the reader's own, which stands out in every chart.
    pub(super) fn is_own(&self, server: &str) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|it| it.name == server && it.origin == Origin::Extra)
    }
}

impl<'a> View<'a> {
    pub(super) fn look(self) -> Look<'a> {
        let Self { record, styles } = self;
        Look { reference: &record.reference, servers: &record.servers, styles }
    }

    /// What was measured in a case, by server.
    pub(super) fn measured(&self, case: &'a Case) -> Vec<(&'a str, &'a Measured)> {
        let of = |it: &'a Outcome| Some((it.server.as_str(), it.measured.as_ref()?));
        case.results.iter().filter_map(of).collect()
    }
}
