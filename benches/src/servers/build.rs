//! Builds servers with cargo, cc or go. Results are cached by these tools, so that building again
//! is cheap.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{BuiltServer, ServerSpec, installed, peers};
use crate::command::{first_line, run};
use crate::schema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Toolchain {
    /// `epollite` itself.
    Epollite,
    /// The C baseline: one program for streams, one for datagrams.
    BaselineC,
    /// `NAME_echo.c` and the C library of this name.
    Cc(&'static str),
    /// The package `peer-NAME`.
    Cargo(&'static str),
    /// A script, and the module that it imports.
    Python(&'static str),
    Go,
    Node,
    Java,
    Tcl,
    /// Not built here.
    None,
}

impl Toolchain {
    /// The language of its servers.
    fn language(self) -> Option<&'static str> {
        match self {
            Self::BaselineC | Self::Cc(_) => Some("c"),
            Self::Epollite | Self::Cargo(_) => Some("rust"),
            Self::Python(_) => Some("python"),
            Self::Go => Some("go"),
            Self::Node => Some("javascript"),
            Self::Java => Some("java"),
            Self::Tcl => Some("tcl"),
            Self::None => None,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Built {
    program: String,
    datagrams: String,
    binary: Option<PathBuf>,
    crates: Option<usize>,
    version: Option<String>,
}

/// Builds servers, each toolchain once.
#[derive(Debug)]
pub struct Builder {
    /// The output folder.
    folder: PathBuf,
    epollite: Option<PathBuf>,
    done: HashMap<Toolchain, Result<Built, String>>,
}

impl Builder {
    /// Builds into `peers/` in the target directory. `epollite` is the program to compare, if it is
    /// not to be built.
    ///
    /// # Errors
    /// If the folder cannot be created, or the program does not exist.
    pub fn new(epollite: Option<PathBuf>) -> Result<Self> {
        let folder = target("..").join("peers");
        let epollite = epollite.map(|program| {
            let found = program.canonicalize().ok().filter(|program| program.is_file());
            found.with_context(|| format!("--program: {} is not a program", program.display()))
        });
        let epollite = epollite.transpose()?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, epollite, done: HashMap::new() })
    }

    /// Builds a server so that it can be started.
    ///
    /// # Errors
    /// Why it is not available, in one line.
    pub fn build(&mut self, entry: &ServerSpec) -> Result<BuiltServer, String> {
        if !self.done.contains_key(&entry.toolchain) {
            let built = self.build_once(entry.toolchain).map_err(|error| format!("{error:#}"));
            self.done.insert(entry.toolchain, built);
        }
        let built = self.done[&entry.toolchain].clone()?;
        let fill = |command: &str| {
            command.replace("{program}", &built.program).replace("{datagrams}", &built.datagrams)
        };
        let about = schema::Server {
            name: entry.name.clone(),
            origin: entry.origin,
            what: entry.what.clone(),
            language: entry.toolchain.language().map(str::to_owned),
            version: built.version.clone(),
            command: entry.displayed_command().replace("{program}", display_path(&built)),
            binary_bytes: built.binary.as_deref().and_then(|path| self.stripped_bytes(path)),
            crates: built.crates,
            idle: None,
            wrong: Vec::new(),
        };
        let commands = entry.commands.iter().map(|(&transport, it)| (transport, fill(it)));
        Ok(BuiltServer { about, commands: commands.collect() })
    }

    fn build_once(&self, toolchain: Toolchain) -> Result<Built> {
        if let Some(missing) = installed::missing(toolchain).filter(|_| self.needs_build(toolchain))
        {
            bail!(missing);
        }
        match toolchain {
            Toolchain::Epollite => self.epollite(),
            Toolchain::BaselineC => {
                let streams = self.cc("epoll_echo", &[])?;
                let datagrams = self.cc("udp_echo", &[])?;
                Ok(Built { datagrams: quoted(&datagrams)?, ..Built::of(streams)? })
            }
            Toolchain::Cc(library) => {
                let program = self.cc(&format!("{library}_echo"), &flags(library)?)?;
                let version = first_line("pkg-config", &["--modversion", package(library)])
                    .or_else(|_| header_version(library));
                Ok(Built { version: version.ok(), ..Built::of(program)? })
            }
            Toolchain::Cargo(name) => {
                let (manifest, folder) = (peers().join("Cargo.toml"), self.folder.join("rust"));
                cargo(&manifest, &format!("peer-{name}"), name, &folder)
            }
            Toolchain::Python(module) => python(module),
            Toolchain::Go => {
                let program = self.folder.join("go_echo");
                let (program_text, source) = (text(&program)?, peers().join("go_echo.go"));
                run("go", &["build", "-o", &program_text, &text(&source)?])?;
                let version = first_line("go", &["version"]).ok();
                Ok(Built { version, ..Built::of(program)? })
            }
            Toolchain::Node => {
                let version = first_line("node", &["--version"])?;
                let script = quoted(&peers().join("node_echo.js"))?;
                let program = format!("node {script}");
                Ok(Built { program, version: Some(version), ..Built::default() })
            }
            Toolchain::Java => {
                let (folder, source) = (text(&self.folder)?, peers().join("NioEcho.java"));
                run("javac", &["-d", &folder, &text(&source)?])?;
                let version = first_line("java", &["--version"])?;
                let program = format!("java -cp {} NioEcho", quoted(&self.folder)?);
                Ok(Built { program, version: Some(version), ..Built::default() })
            }
            Toolchain::Tcl => {
                let script = peers().join("tcl_echo.tcl");
                // Without a port it says its version.
                let version = first_line("tclsh", &[&text(&script)?])?;
                let program = format!("tclsh {}", quoted(&script)?);
                Ok(Built { program, version: Some(version), ..Built::default() })
            }
            Toolchain::None => Ok(Built::default()),
        }
    }

    /// Whether a build is necessary: the program may be given by `--program`.
    fn needs_build(&self, toolchain: Toolchain) -> bool {
        toolchain != Toolchain::Epollite || self.epollite.is_none()
    }

    fn epollite(&self) -> Result<Built> {
        if let Some(program) = &self.epollite {
            let version = first_line(&text(program)?, &["--version"]).ok();
            return Ok(Built { version, ..Built::of(program.clone())? });
        }
        cargo(&peers().join("../../Cargo.toml"), "epollite", "epollite", &target("../.."))
    }

    fn cc(&self, name: &str, libraries: &[String]) -> Result<PathBuf> {
        let (source, program) = (peers().join(format!("{name}.c")), self.folder.join(name));
        // Written under a temporary name first: a running program cannot be written to (ETXTBSY),
        // but it can be replaced.
        let temporary = self.folder.join(format!("{name}.{}", std::process::id()));
        let (source, temporary_text) = (text(&source)?, text(&temporary)?);
        let mut arguments = vec!["-O2", "-Wall", "-Wextra", "-o", &temporary_text, &source];
        arguments.extend(libraries.iter().map(String::as_str));
        run(&compiler(), &arguments)?;
        std::fs::rename(&temporary, &program).context("cannot rename it")?;
        Ok(program)
    }

    fn stripped_bytes(&self, program: &Path) -> Option<u64> {
        let stripped = self.folder.join(format!("stripped.{}", std::process::id()));
        run("strip", &["-o", &text(&stripped).ok()?, &text(program).ok()?]).ok()?;
        let bytes = std::fs::metadata(&stripped).ok()?.len();
        std::fs::remove_file(stripped).ok()?;
        Some(bytes)
    }
}

impl Built {
    fn of(program: PathBuf) -> Result<Self> {
        Ok(Self { program: quoted(&program)?, binary: Some(program), ..Self::default() })
    }
}

/// The C compiler: `cc`, or what `CC` names.
pub(crate) fn compiler() -> String {
    std::env::var("CC").ok().filter(|it| !it.is_empty()).unwrap_or_else(|| "cc".to_owned())
}

/// Cargo's target directory for the manifest in `folder`, relative to the peers.
fn target(folder: &str) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| peers().join(folder).join("target"), PathBuf::from)
}

/// A program without its folder, which is specific to this machine.
fn display_path(built: &Built) -> &str {
    built.program.rsplit('/').next().unwrap_or_default().trim_end_matches('\'')
}

/// Builds a Rust package into the target directory `folder`; `of` has its version.
fn cargo(manifest: &Path, package: &str, of: &str, folder: &Path) -> Result<Built> {
    let (manifest, target) = (text(manifest)?, text(folder)?);
    let common = ["--locked", "--quiet", "--manifest-path", &manifest, "--package", package];
    let build = [&["build", "--release", "--target-dir", &target], &common[..]].concat();
    run("cargo", &build)?;
    let (crates, version) = cargo_tree(&common, of)?;
    let program = folder.join("release").join(package);
    let program = program.canonicalize().context("it was not built")?;
    Ok(Built { crates: Some(crates), version, ..Built::of(program)? })
}

fn python(module: &str) -> Result<Built> {
    let version = match module {
        "twisted" | "uvloop" => {
            let show = format!("import {module}; print('{module}', {module}.__version__)");
            first_line("python3", &["-c", &show])?
        }
        _ => first_line("python3", &["--version"])?,
    };
    let name = match module {
        "select" => "epoll_tutorial.py",
        "twisted" => "twisted_echo.py",
        _ => "asyncio_echo.py",
    };
    let program = format!("python3 {}", quoted(&peers().join(name))?);
    Ok(Built { program, version: Some(version), ..Built::default() })
}

/// The number of packages of a program, and the version of one of them.
fn cargo_tree(common: &[&str], of: &str) -> Result<(usize, Option<String>)> {
    let tree = [&["tree", "--edges", "normal", "--prefix", "none"], common].concat();
    let tree = run("cargo", &tree)?;
    let packages: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .collect();
    // The peer's own package is not counted.
    let count = packages.iter().filter(|(name, _)| !name.starts_with("peer-")).count();
    let version = packages.iter().find(|(name, _)| *name == of);
    let shown = version.map(|(name, it)| format!("{name} {}", it.trim_start_matches('v')));
    Ok((count, shown))
}

/// The name of a C library for pkg-config.
fn package(library: &str) -> &str {
    if library == "glib" { "gio-2.0" } else { library }
}

/// What a program needs to be compiled and linked with the library.
fn flags(library: &str) -> Result<Vec<String>> {
    let short = library.trim_start_matches("lib");
    let Ok(found) = run("pkg-config", &["--cflags", "--libs", package(library)]) else {
        return Ok(vec![format!("-l{short}")]);
    };
    shlex::split(&found).with_context(|| format!("pkg-config {library}: an unterminated quote"))
}

/// libev has no pkg-config file; its version is in its header.
fn header_version(library: &str) -> Result<String> {
    let short = library.trim_start_matches("lib");
    let text = std::fs::read_to_string(format!("/usr/include/{short}.h"))?;
    let number = |name: &str| {
        let line = text.lines().find(|line| line.contains(&format!("define {name}")))?;
        line.split_whitespace().last().map(str::to_owned)
    };
    let (major, minor) = (number("EV_VERSION_MAJOR"), number("EV_VERSION_MINOR"));
    let (Some(major), Some(minor)) = (major, minor) else { bail!("no version in the header") };
    Ok(format!("{major}.{minor}"))
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not text", path.display()))
}

fn quoted(path: &Path) -> Result<String> {
    let path = text(path)?;
    Ok(shlex::try_quote(&path).context("a path that cannot be quoted")?.into_owned())
}
