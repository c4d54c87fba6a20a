//! The public API equals its snapshot, `tests/public_api/api.txt`, and keeps three rules: few names
//! at the root, one path for each item, no type name used twice.
//!
//! Read from rustdoc's JSON. `BLESS=1 cargo test --test public_api` writes the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use public_api::{Builder, PublicApi};

const SNAPSHOT: &str = "tests/public_api/api.txt";

/// Names at the root: what a program with an event loop needs for it.
const ROOT_NAMES_MAX: usize = 14;

/// The version that the snapshot was made with. Another rustdoc may write the same API in another
/// way, or in a format that cannot be read here.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn the_public_api_is_the_snapshot() {
    let Some(api) = api() else { return };
    let text: String = api.items().map(|item| format!("{item}\n")).collect();
    if env::var_os("BLESS").is_some() {
        fs::write(SNAPSHOT, &text).expect("the snapshot can be written");
    }
    let snapshot = fs::read_to_string(SNAPSHOT).expect("the snapshot is in the repository");
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (snapshot.lines().collect(), text.lines().collect());
    let lost: Vec<_> = old.difference(&new).collect();
    let added: Vec<_> = new.difference(&old).collect();
    assert!(
        lost.is_empty() && added.is_empty(),
        "the public API has changed; if it should, run `BLESS=1 cargo test --test public_api` and \
         commit {SNAPSHOT}\nlost: {lost:#?}\nadded: {added:#?}"
    );
}

#[test]
fn few_names_are_at_the_root_and_every_item_has_one_path() {
    let Some(api) = api() else { return };
    let mut paths_by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in api.items().map(|item| item.to_string()) {
        if let Some(path) = defined(&item) {
            let name = path.rsplit("::").next().expect("a path has a last name");
            paths_by_name.entry(name.to_owned()).or_default().insert(path.to_owned());
        }
    }
    let names = paths_by_name.len();
    assert!(names > 80, "rustdoc's items look different now: {names} were found");
    let twice: Vec<_> = paths_by_name.values().filter(|paths| paths.len() > 1).collect();
    assert!(twice.is_empty(), "one name, one path, one meaning: {twice:#?}");
    let is_at_root =
        |paths: &&BTreeSet<String>| paths.iter().any(|path| path.matches("::").count() == 1);
    let at_root: Vec<_> = paths_by_name.values().filter(is_at_root).flatten().collect();
    assert!(
        at_root.len() <= ROOT_NAMES_MAX,
        "{} names at the root, and {ROOT_NAMES_MAX} are enough: {at_root:#?}",
        at_root.len()
    );
}

/// The path of a type, trait, constant or function that `item` defines outside of types.
fn defined(item: &str) -> Option<&str> {
    let mut rest = item;
    while let Some(attribute) = rest.strip_prefix("#[") {
        rest = attribute.split_once("] ")?.1;
    }
    let rest = rest.strip_prefix("pub ")?;
    let rest =
        rest.strip_prefix("const fn ").or_else(|| rest.strip_prefix("fn ")).or_else(|| {
            ["struct ", "enum ", "trait ", "type ", "const "]
                .into_iter()
                .find_map(|kind| rest.strip_prefix(kind))
        })?;
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let path = rest[..end.unwrap_or(rest.len())].trim_end_matches(':');
    let (parent, _) = path.rsplit_once("::")?;
    // What belongs to a type has it as its parent.
    let is_member = parent.rsplit("::").next()?.starts_with(char::is_uppercase);
    (path.starts_with("epollite::") && !is_member).then_some(path)
}

/// The API by rustdoc's JSON, or `None` with a note if this compiler is not that of the snapshot.
fn api() -> Option<PublicApi> {
    let version = Command::new("rustc").arg("--version").output().expect("there is a rustc").stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    if !version.starts_with(RUSTC) || version.contains("nightly") {
        println!("not compared: the snapshot is of {RUSTC}x, and this is {version}");
        return None;
    }
    // A folder of its own: the build folder may be locked by the run that this test belongs to.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("public-api");
    let documented = Command::new(env!("CARGO"))
        .args(["rustdoc", "--lib", "--locked", "--offline", "--quiet", "--target-dir"])
        .arg(&folder)
        .args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"])
        // Rustdoc's JSON is unstable, which is why the version is compared above.
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&documented.stderr);
    assert!(documented.status.success(), "rustdoc failed: {errors}");
    let api = Builder::from_rustdoc_json(folder.join("doc/epollite.json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    Some(api.expect("the snapshot's compiler writes a format that can be read"))
}

#[test]
fn a_definition_is_told_from_a_member() {
    assert_eq!(defined("pub struct epollite::Fd"), Some("epollite::Fd"));
    assert_eq!(defined("pub const fn epollite::Token::slot(self) -> u32"), None);
    assert_eq!(
        defined("pub fn epollite::kernel::close_quietly<K>(&mut K, epollite::Fd)"),
        Some("epollite::kernel::close_quietly")
    );
    assert_eq!(
        defined("#[non_exhaustive] pub enum epollite::net::AddrError"),
        Some("epollite::net::AddrError")
    );
    assert_eq!(defined("pub type epollite::net::Addr::Err = epollite::net::AddrError"), None);
}
