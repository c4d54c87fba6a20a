//! What `cargo package` would publish: it is complete, and links to nothing that it leaves out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// The files of the package.
fn packaged() -> BTreeSet<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect()
}

/// `path` as seen from the folder of `file`, without `..`.
fn resolve(file: &Path, path: &str) -> PathBuf {
    let mut resolved = file.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    resolved
}

/// What a file points at: the links of a page, the files that source includes.
fn targets(file: &Path, text: &str) -> Vec<PathBuf> {
    let marks: &[(&str, char)] = match file.extension().and_then(|end| end.to_str()) {
        Some("md") => &[("](", ')')],
        Some("rs") => &[("include_str!(\"", '"'), ("include!(\"", '"'), ("#[path = \"", '"')],
        _ => &[],
    };
    let mut targets = Vec::new();
    for (mark, end) in marks {
        for rest in text.split(mark).skip(1) {
            let path = rest.split([*end, '#']).next().unwrap_or(rest);
            if !path.is_empty() && !path.contains("://") {
                targets.push(resolve(file, path));
            }
        }
    }
    targets
}

#[test]
fn the_package_points_at_nothing_that_it_leaves_out() {
    let packaged = packaged();
    for needed in ["src/lib.rs", "src/bin/epollite/main.rs", "include/epollite.h", "LICENSE-MIT"] {
        assert!(packaged.contains(Path::new(needed)), "{needed} is missing: {packaged:?}");
    }
    let mut missing = Vec::new();
    for file in &packaged {
        // Cargo.toml.orig and the like are made when it is packaged.
        let Ok(text) = fs::read_to_string(file) else { continue };
        let outside = targets(file, &text).into_iter().filter(|path| !packaged.contains(path));
        missing.extend(outside.map(|path| format!("{}: {}", file.display(), path.display())));
    }
    assert!(missing.is_empty(), "not in the package:\n{}", missing.join("\n"));
}

#[test]
fn a_link_out_of_the_package_is_found() {
    let page = targets(Path::new("docs/page.md"), "[a](../README.md#x) [b](https://c.d) [e](#f)");
    assert_eq!(page, [Path::new("README.md")]);
    let source = targets(Path::new("src/lib.rs"), "#[path = \"../tests/a.rs\"]\nmod a;");
    assert_eq!(source, [Path::new("tests/a.rs")]);
}
