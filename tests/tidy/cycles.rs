//! No two files import each other, directly or through others: below each file there is a part of
//! the program that can be read without it.
//!
//! Knows paths (`use`, and paths in code) and not types: a method may be called across files that
//! do not name each other. A name that comes from a re-export counts for the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, rust};

/// The roots of the module trees: a library and a program. `epollite::` in the program is the
/// library, which does not know the program.
const ROOTS: [&str; 2] = ["src/lib.rs", "src/bin/epollite/main.rs"];

/// For each file the files that it uses, and the names of what it uses there.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

type Module = Vec<String>;

#[test]
fn no_two_files_import_each_other() {
    let graphs = ROOTS.map(|root| Tree::new(root, sources(root)).graph());
    let cycles: Vec<(&Graph, Vec<&str>)> = graphs
        .iter()
        .flat_map(|graph| cycles(graph).into_iter().map(move |cycle| (graph, cycle)))
        .collect();
    let found: String = cycles.iter().map(|(graph, cycle)| describe(graph, cycle)).collect();
    assert!(
        found.is_empty(),
        "files import each other: move what both need into a file below both, or hand the lower \
         one what it needs (a value, a closure)\n{found}"
    );
}

/// The files below a root that belong to no other root, with their code.
fn sources(root: &str) -> impl Iterator<Item = (String, String)> {
    let files = rust(folder_of(root)).into_iter().map(|file| {
        let text = code(&file);
        (file.into_os_string().into_string().unwrap(), text)
    });
    files.filter(move |(file, _)| {
        let roots = ROOTS.into_iter().filter(|other| file.starts_with(folder_of(other)));
        roots.max_by_key(|other| other.len()) == Some(root)
    })
}

fn folder_of(root: &str) -> &str {
    root.rsplit_once('/').unwrap().0
}

/// Every set of files of which each uses each other, directly or through others.
fn cycles(graph: &Graph) -> Vec<Vec<&str>> {
    let below: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (file.as_str(), reached(graph, file))).collect();
    let mut cycles = Vec::new();
    for (file, others) in &below {
        let returns = |other: &&str| below[other].contains(file);
        let cycle: Vec<&str> = others.iter().copied().filter(returns).collect();
        if cycle.first() == Some(file) {
            cycles.push(cycle);
        }
    }
    cycles
}

/// The uses among the files of a cycle.
fn describe(graph: &Graph, cycle: &[&str]) -> String {
    let mut text = format!("\na cycle of {} files:\n", cycle.len());
    for user in cycle {
        for (used, names) in graph[*user].iter().filter(|(used, _)| cycle.contains(&&***used)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            text += &format!("  {user} uses {} of {used}\n", names.join(", "));
        }
    }
    text
}

/// The files that `file` uses, directly or through others.
fn reached<'g>(graph: &'g Graph, file: &'g str) -> BTreeSet<&'g str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        let used = graph.get(file).into_iter().flat_map(BTreeMap::keys);
        open.extend(used.map(String::as_str).filter(|used| reached.insert(*used)));
    }
    reached
}

/// The modules of a crate that have files of their own.
struct Tree(BTreeMap<Module, Source>);

/// What a file says.
#[derive(Default)]
struct Source {
    file: String,
    uses: Vec<Use>,
    /// Paths in code.
    paths: Vec<Path>,
    /// Single names in code.
    names: BTreeSet<String>,
}

/// A path of two names or more, in a module of a file or in one that has braces there.
struct Path {
    at: Module,
    segments: Vec<String>,
}

struct Use {
    path: Path,
    /// The name that it gets in the file.
    name: String,
    is_public: bool,
}

impl Tree {
    fn new(root: &str, files: impl Iterator<Item = (String, String)>) -> Self {
        let modules = files.map(|(file, text)| {
            let inner = file.strip_prefix(folder_of(root)).unwrap().trim_end_matches(".rs");
            let inner = inner.trim_end_matches("/mod").trim_start_matches('/');
            let is_root = file == root;
            let module: Module = inner.split('/').filter(|_| !is_root).map(str::to_owned).collect();
            let source = Parser::new(&text, module.clone()).run();
            (module, Source { file, ..source })
        });
        Self(modules.collect())
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (module, source) in &self.0 {
            let used = graph.entry(source.file.clone()).or_default();
            let mut add = |path: &Path| {
                if let Some(Named::Item(file, name)) = self.resolve(path)
                    && file != source.file
                {
                    let names: &mut BTreeSet<String> = used.entry(file).or_default();
                    names.insert(name);
                }
            };
            source.paths.iter().for_each(&mut add);
            for import in &source.uses {
                let is_own = self.is_below(&import.path, module);
                // A parent hands out a name of its child, and does not use it.
                if !(import.is_public && is_own && !source.names.contains(&import.name)) {
                    add(&import.path);
                }
            }
        }
        graph
    }

    fn is_below(&self, path: &Path, module: &Module) -> bool {
        let first = &path.segments[0];
        let child = module.iter().chain([first]).cloned().collect::<Module>();
        path.at == *module && self.0.contains_key(&child)
    }

    /// What `path` names; nothing if that is in another crate.
    fn resolve(&self, path: &Path) -> Option<Named> {
        let mut rest = path.segments.iter().peekable();
        let mut at = path.at.clone();
        let mut is_anchored = false;
        while let Some(anchor) = rest.next_if(|it| ["crate", "self", "super"].contains(&&***it)) {
            is_anchored = true;
            match anchor.as_str() {
                "crate" => at.clear(),
                "super" => _ = at.pop(),
                _ => {}
            }
        }
        for segment in rest {
            at.push(segment.clone());
            if self.0.contains_key(&at) {
                is_anchored = true;
                continue;
            }
            at.pop();
            let source = self.0.get(&at)?;
            // In `use name::name` the first is a crate.
            let names_it =
                |import: &&Use| import.name == *segment && import.path.segments[0] != *segment;
            let Some(import) = source.uses.iter().find(names_it) else {
                return is_anchored.then(|| Named::Item(source.file.clone(), segment.clone()));
            };
            match self.resolve(&import.path)? {
                Named::Module(module) => at = module,
                item => return Some(item),
            }
            is_anchored = true;
        }
        Some(Named::Module(at))
    }
}

enum Named {
    Module(Module),
    /// A file, and the name of what it defines.
    Item(String, String),
}

/// Reads a file from its first token to its last.
struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<String>>,
    module: Module,
    depth: usize,
    /// Modules with braces: the depth outside of each.
    inline: Vec<usize>,
    source: Source,
}

impl Parser {
    fn new(text: &str, module: Module) -> Self {
        let tokens = tokens(text).into_iter().peekable();
        Self { tokens, module, depth: 0, inline: Vec::new(), source: Source::default() }
    }

    fn run(mut self) -> Source {
        let (mut is_public, mut last) = (false, String::new());
        while let Some(token) = self.tokens.next() {
            match token.as_str() {
                // Not the `use<>` of a type.
                "use" if self.tokens.peek().is_some_and(|token| token != "<") => {
                    let is_public = is_public && self.inline.is_empty();
                    self.use_tree(&mut Vec::new(), is_public);
                }
                "mod" => self.enter_module(),
                "{" => self.depth += 1,
                "}" => self.leave(),
                name if is_name(name) && last != "." && last != "::" => self.path(token.clone()),
                _ => {}
            }
            // `pub`, `pub(crate)`, `pub(super)`, `pub(in path)`
            is_public = token == "pub" || is_public && !["{", "}", ";", "use"].contains(&&*token);
            last = token;
        }
        self.source
    }

    fn enter_module(&mut self) {
        let name = self.tokens.next().unwrap();
        if self.tokens.peek().is_some_and(|token| token == "{") {
            self.inline.push(self.depth);
            self.module.push(name);
        }
    }

    fn leave(&mut self) {
        self.depth -= 1;
        if self.inline.last() == Some(&self.depth) {
            self.inline.pop();
            self.module.pop();
        }
    }

    /// What follows `use`, or a part of it: to the comma or the brace behind it.
    fn use_tree(&mut self, prefix: &mut Vec<String>, is_public: bool) {
        let length = prefix.len();
        let mut name = None;
        loop {
            match self.tokens.next().unwrap().as_str() {
                "::" => {}
                "as" => name = self.tokens.next(),
                "{" => {
                    while self.tokens.next_if(|token| token == "}").is_none() {
                        self.use_tree(prefix, is_public);
                    }
                    prefix.truncate(length);
                }
                // The module that the braces belong to.
                "self" if length > 0 && prefix.len() == length => name = prefix.last().cloned(),
                segment => prefix.push(segment.to_owned()),
            }
            match self.tokens.peek().unwrap().as_str() {
                "," => _ = self.tokens.next(),
                ";" | "}" => {}
                _ => continue,
            }
            break;
        }
        // A single name is a macro of the file itself, or a crate.
        if prefix.len() > 1 && (prefix.len() > length || name.is_some()) {
            let path = Path { at: self.module.clone(), segments: prefix.clone() };
            let name = name.unwrap_or_else(|| prefix.last().unwrap().clone());
            self.source.uses.push(Use { path, name, is_public });
        }
        prefix.truncate(length);
    }

    /// A name in code, and the names behind it.
    fn path(&mut self, first: String) {
        let mut segments = vec![first];
        while self.tokens.next_if(|token| token == "::").is_some() {
            match self.tokens.next_if(|token| is_name(token)) {
                Some(segment) => segments.push(segment),
                None => break,
            }
        }
        self.source.names.insert(segments[0].clone());
        if segments.len() > 1 {
            self.source.paths.push(Path { at: self.module.clone(), segments });
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Names, `::`, and single characters. Comments, strings and spaces are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            '\'' => quote_length(rest),
            _ if is_part(first) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let is_text = token.starts_with(['"', '\'', '/']) || first.is_whitespace();
        if ["r", "br"].contains(&token) && rest.starts_with(['"', '#']) {
            let hashes = rest.find('"').unwrap();
            let end = format!("\"{}", &rest[..hashes]);
            let length = rest[hashes + 1..].find(&end).unwrap() + hashes + 1 + end.len();
            rest = &rest[length..];
        } else if !is_text {
            tokens.push(token.to_owned());
        }
    }
    tokens
}

/// The length of a string literal.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// The length of a character literal, or of the quote before a lifetime.
fn quote_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => chars.find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

fn cycles_of(files: &[(&str, &str)]) -> String {
    let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
    let graph = Tree::new("src/lib.rs", files).graph();
    cycles(&graph).iter().map(|cycle| describe(&graph, cycle)).collect()
}

#[test]
fn a_cycle_is_reported_with_its_names() {
    let found = cycles_of(&[
        ("src/lib.rs", "mod a; mod b; pub use a::x::X; macro_rules! m {} pub(crate) use m;"),
        ("src/a.rs", "mod x; pub(super) use x::{X, Z as W};"),
        (
            "src/a/x.rs",
            "use crate::{b::{self, Y}, m}; pub struct X; fn f() { \"super::W\"; b::f(); }",
        ),
        ("src/b.rs", "pub struct Y; fn f<'y>() { 'y'; crate::a::W::new(crate::X); }"),
    ]);
    let cycle = "\na cycle of 2 files:
  src/a/x.rs uses Y, f of src/b.rs
  src/b.rs uses X, Z of src/a/x.rs\n";
    assert_eq!(found, cycle);
}

#[test]
fn a_parent_may_hand_out_what_it_does_not_use() {
    let child = ("src/a/x.rs", "use super::Y; pub struct X(Y);");
    let cycles_with = |text| cycles_of(&[("src/lib.rs", "mod a;"), ("src/a.rs", text), child]);
    assert_eq!(cycles_with("mod x; pub use x::X; struct Y;"), "");
    for text in [
        "mod x; pub use x::X; struct Y; fn f(x: X) {}",
        "mod x; use x::X; struct Y;",
        "mod x; struct Y; fn f(x: x::X) {}",
        "mod x; struct Y; mod inner { pub use super::x::X; }",
    ] {
        assert!(cycles_with(text).contains("src/a.rs uses X of src/a/x.rs"), "{text}");
    }
}
