//! `make install` and `make uninstall`, with empty files in place of what is built.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::root;

/// The files below a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("the folder can be read").flatten() {
            let path = entry.path();
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).expect("a file below the folder");
                found.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// Runs a target without what it depends on. `built` holds the files to install.
fn make(target: &str, built: &Path, into: &Path) {
    let variable = |name: &str, path: &Path| format!("{name}={}", path.display());
    let output = Command::new("make")
        .args(["-o", "build", "-o", "bench", "-o", "lib", target, "PREFIX=/usr"])
        .arg(variable("PROGRAM", &built.join("epollite")))
        .arg(variable("BENCH", &built.join("epollite-bench")))
        .arg(variable("C_LIBRARY", built))
        .arg(variable("DESTDIR", into))
        .env_remove("MAKEFLAGS")
        .current_dir(root())
        .output()
        .expect("make");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn uninstall_removes_what_install_installed_and_nothing_else() {
    let built = tempfile::tempdir().expect("a folder");
    let library = format!("libepollite.so.{}", env!("CARGO_PKG_VERSION"));
    for name in ["epollite", "epollite-bench", "libepollite.a", &library] {
        fs::write(built.path().join(name), name).expect("a file");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("with a space");
    let others = ["usr/bin/other", "usr/lib/libother.so", "usr/share/man/man3/epoll_other.3"];
    for name in others {
        fs::create_dir_all(into.join(name).parent().expect("a parent")).expect("a folder");
        fs::write(into.join(name), "").expect("a file");
    }
    make("install", built.path(), &into);
    let installed = files(&into);
    for name in [
        "usr/bin/epollite",
        "usr/bin/epollite-bench",
        "usr/include/epollite.h",
        "usr/lib/libepollite.so",
        "usr/lib/pkgconfig/epollite.pc",
        "usr/share/man/man1/epollite-nc.1",
        "usr/share/man/man3/epl_register.3",
        "usr/share/man/man3/epl_reactor_new.3",
        "usr/share/bash-completion/completions/epollite-bench",
        "usr/share/zsh/site-functions/_epollite",
        "usr/share/fish/vendor_completions.d/epollite.fish",
    ] {
        assert!(installed.contains(name), "{name} is not installed: {installed:?}");
    }
    let page = fs::read_to_string(into.join("usr/share/man/man3/epl_register.3"));
    assert!(page.expect("a link to a page").contains("epl_register()"));
    let linked = fs::read(into.join("usr/lib/libepollite.so")).expect("a link to a library");
    assert_eq!(linked, library.as_bytes());
    make("uninstall", built.path(), &into);
    assert_eq!(files(&into), others.map(String::from).into());
    make("uninstall", built.path(), &folder.path().join("never"));
}
