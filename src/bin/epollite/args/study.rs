//! Arguments of `epollite study`. Knows the flags, and no experiment by name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::exit::CliError;
use super::help;
use super::parser::{Arg, ArgParser};

/// `epollite study`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StudyOptions {
    pub(crate) command: StudyCommand,
    pub(crate) kernels: Kernels,
    pub(crate) view: View,
    pub(crate) pictures: Pictures,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum StudyCommand {
    /// Says where to begin.
    Start,
    /// Explains the words of the pages.
    Words,
    /// Lists the experiments, or those with a word.
    List(Option<String>),
    /// Prints the text of one.
    Show(String),
    /// Runs one, or asks about several.
    Experiments(Vec<String>),
    /// Runs one from a file.
    File(OsString),
    /// Runs all.
    All,
    /// Writes the pages of all into a folder.
    Pages(OsString),
}

/// Where experiments run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kernels {
    Linux,
    Sim,
    Both,
}

/// How an experiment is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum View {
    Page,
    Json,
    Markdown,
    /// Step by step, each after a line of input.
    Stepwise,
    /// With its registrations in these triggers beside each other.
    SideBySide(Vec<Trigger>),
    /// Asks first. The score is kept in the file.
    Predict(Option<OsString>),
}

/// What the trigger of a registration is replaced by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trigger {
    Level,
    Edge,
    Oneshot,
}

/// Files that are written besides the page.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Pictures {
    pub(crate) svg: Option<OsString>,
    pub(crate) perfetto: Option<OsString>,
    pub(crate) cast: Option<OsString>,
}

impl Pictures {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Parses the options; `None` is a request for help.
pub(super) fn parse_study(args: &mut ArgParser) -> Result<Option<StudyOptions>, CliError> {
    args.hint = "epollite study --help";
    let mut kernels = None;
    let mut pages = None;
    let mut is_all = false;
    let mut score = None;
    let mut views = Vec::new();
    let mut pictures = Pictures::default();
    let mut words = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Positional(word) => words.push(word),
            Arg::Flag(flag) => match flag.as_str() {
                "-h" | "--help" => return Ok(None),
                "--on" => kernels = Some(args.parse_value(parse_kernels)?),
                "--all" => is_all = true,
                "--pages" => pages = Some(args.value()?),
                "--json" => views.push(("--json", View::Json)),
                "--markdown" => views.push(("--markdown", View::Markdown)),
                "--step" => views.push(("--step", View::Stepwise)),
                "--predict" => views.push(("--predict", View::Predict(None))),
                "--side-by-side" => {
                    views.push(("--side-by-side", View::SideBySide(parse_triggers(args)?)));
                }
                "--score" => score = Some(args.value()?),
                "--svg" => pictures.svg = Some(args.value()?),
                "--perfetto" => pictures.perfetto = Some(args.value()?),
                "--cast" => pictures.cast = Some(args.value()?),
                _ => return Err(args.unknown_option(&flag, help::STUDY)),
            },
        }
    }
    let view = one_view(args, views, score)?;
    let command = parse_words(args, words, is_all, pages)?;
    check(args, &command, kernels, &view, &pictures)?;
    Ok(Some(StudyOptions { command, kernels: kernels.unwrap_or(Kernels::Both), view, pictures }))
}

/// The one way of showing that was requested.
fn one_view(
    args: &ArgParser,
    mut views: Vec<(&'static str, View)>,
    score: Option<OsString>,
) -> Result<View, CliError> {
    // The same one twice is one.
    views.dedup();
    if let [(one, _), (other, _), ..] = &views[..] {
        return Err(args.usage_error(&format!("{one} and {other} exclude each other")));
    }
    match (views.pop().map_or(View::Page, |(_, view)| view), score) {
        (View::Predict(_), score) => Ok(View::Predict(score)),
        (_, Some(_)) => Err(args.usage_error("--score is for --predict")),
        (view, None) => Ok(view),
    }
}

/// Rejects combinations that have no meaning.
fn check(
    args: &ArgParser,
    command: &StudyCommand,
    kernels: Option<Kernels>,
    view: &View,
    pictures: &Pictures,
) -> Result<(), CliError> {
    use StudyCommand::{All, Experiments, File, List, Pages, Show, Start, Words};
    let fail = |why: &str| Err(args.usage_error(why));
    match command {
        Start | Words | List(_) | Show(_) if kernels.is_some() => {
            fail("--on is for experiments that run")
        }
        Pages(_) if kernels.is_some() => fail("--pages shows the model: without --on"),
        Start if *view != View::Page || !pictures.is_empty() => fail(
            "no experiment is named; that flag is for experiments that run: 'study NAME', \
             'study run FILE'",
        ),
        Words | List(_) | Show(_) | Pages(_) if *view != View::Page || !pictures.is_empty() => {
            fail("that flag is for experiments that run: 'study NAME', 'study run FILE'")
        }
        All if matches!(view, View::Stepwise | View::SideBySide(_)) => {
            fail("--step and --side-by-side show one experiment, not --all")
        }
        All if !pictures.is_empty() => fail("a picture shows one experiment, not --all"),
        Experiments(names) if names.len() > 1 && !matches!(view, View::Predict(_)) => {
            fail(&format!("unexpected argument '{}'", names[1]))
        }
        Experiments(_) | File(_) if !pictures.is_empty() => match view {
            View::Predict(_) | View::Stepwise | View::SideBySide(_) => fail(
                "a picture is of the whole experiment: without --predict, --step, --side-by-side",
            ),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn parse_words(
    args: &ArgParser,
    words: Vec<OsString>,
    is_all: bool,
    pages: Option<OsString>,
) -> Result<StudyCommand, CliError> {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    if let Some(folder) = pages {
        return match words.first().map(text).or(is_all.then(|| "--all".to_owned())) {
            None => Ok(StudyCommand::Pages(folder)),
            Some(extra) => {
                Err(args.usage_error(&format!("--pages writes every experiment, not '{extra}'")))
            }
        };
    }
    let command = match &words[..] {
        [] if is_all => return Ok(StudyCommand::All),
        [word, ..] if is_all => {
            return Err(
                args.usage_error(&format!("--all runs every experiment, not '{}'", text(word)))
            );
        }
        [] => StudyCommand::Start,
        [verb, rest @ ..] => match (verb.as_bytes(), rest) {
            (b"words", []) => StudyCommand::Words,
            (b"list", []) => StudyCommand::List(None),
            (b"list", [word]) => StudyCommand::List(Some(text(word))),
            (b"show", [name]) => StudyCommand::Show(text(name)),
            (b"show", []) => return Err(args.usage_error("show needs the name of an experiment")),
            (b"run", [path]) => StudyCommand::File(path.clone()),
            (b"run", []) => return Err(args.usage_error("run needs a file")),
            (b"words", [extra, ..]) | (b"list" | b"show" | b"run", [_, extra, ..]) => {
                return Err(args.usage_error(&format!("unexpected argument '{}'", text(extra))));
            }
            _ => StudyCommand::Experiments(words.iter().map(text).collect()),
        },
    };
    Ok(command)
}

fn parse_kernels(text: &str) -> Result<Kernels, String> {
    match text {
        "linux" => Ok(Kernels::Linux),
        "sim" => Ok(Kernels::Sim),
        "both" => Ok(Kernels::Both),
        _ => Err(format!("'{text}' is not sim, linux or both")),
    }
}

/// `level edge`, or `level,edge,oneshot`: two or three of them.
fn parse_triggers(args: &mut ArgParser) -> Result<Vec<Trigger>, CliError> {
    let trigger = |word: &str| match word {
        "level" => Some(Trigger::Level),
        "edge" => Some(Trigger::Edge),
        "oneshot" => Some(Trigger::Oneshot),
        _ => None,
    };
    let list = |text: &str| text.split(',').map(trigger).collect::<Option<Vec<Trigger>>>();
    let mut triggers = args.parse_value(|text| {
        list(text).ok_or_else(|| format!("'{text}' is not level, edge or oneshot"))
    })?;
    while let Some(more) = args.value_if(list) {
        triggers.extend(more);
    }
    let is_once = |at: usize| !triggers[..at].contains(&triggers[at]);
    if !(2..=3).contains(&triggers.len()) || !(0..triggers.len()).all(is_once) {
        return Err(args.usage_error("--side-by-side needs two or three of level, edge, oneshot"));
    }
    Ok(triggers)
}
