//! Which server has which colour: one, in every plot of the page. It knows names and origins; the
//! colours themselves are in `plot.css`.
//!
//! Twenty servers cannot have twenty colours that anybody tells apart. So a hue says which family a
//! server is of, the shade and the dashes who it is in there, and its name stands beside the line.

use std::collections::HashMap;

use crate::schema::{Origin, ResultFile, Server};

/// Shades of a hue in `plot.css`.
const SHADES: usize = 3;

/// Patterns of a line in `plot.css`: whole, dashed, dotted.
const PATTERNS: usize = 3;

/// Models on our own reactor; the others are what the tutorial compares it to.
const REACTOR: [&str; 4] = ["epoll-edge", "epoll-level", "coroutine", "epoll-oneshot"];

/// Models in which one thread asks or waits for all by older means.
const POLLING_MODELS: [&str; 3] = ["nonblocking", "select", "poll"];

/// The look of every server.
#[derive(Debug, Clone, Default)]
pub(super) struct Styles {
    classes: HashMap<String, String>,
}

impl Styles {
    /// Of all servers in all records of a page.
    pub(super) fn of(records: &[ResultFile]) -> Self {
        let mut classes = HashMap::new();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for record in records {
            classes.insert(record.reference.clone(), "reference".to_owned());
            classes.insert(record.control.clone(), "control".to_owned());
        }
        for server in records.iter().flat_map(|record| &record.servers) {
            if classes.contains_key(&server.name) {
                continue;
            }
            let family = group(server);
            let count = counts.entry(family).or_default();
            let (shade, pattern) = (*count % SHADES, (*count / SHADES) % PATTERNS);
            classes.insert(server.name.clone(), format!("{family} shade-{shade} dash-{pattern}"));
            *count += 1;
        }
        Self { classes }
    }

    /// The classes of a server.
    pub(super) fn class(&self, server: &str) -> &str {
        self.classes.get(server).map_or("other", String::as_str)
    }
}

fn group(server: &Server) -> &'static str {
    let name = server.name.as_str();
    match (server.origin, server.language.as_deref()) {
        (Origin::Extra, _) => "mine",
        (Origin::Model, _) if REACTOR.contains(&name) => "ours",
        (Origin::Model, _) if POLLING_MODELS.contains(&name) => "other",
        (Origin::Model, _) => "many",
        (_, Some("c")) => "c",
        (_, Some("rust")) => "rust",
        (_, Some("python")) => "python",
        _ => "other",
    }
}
