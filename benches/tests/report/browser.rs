//! The page as a browser has it: by day and by night, on a screen and on a telephone. The browser is
//! Debian's chromium, without a window. The test's copy of the page has a script more (`check.js`)
//! that looks about and tells; the page around it, which is as narrow as a telephone where the
//! browser's own window cannot be, writes that down.

use std::path::Path;
use std::process::Command;

use epollite_bench::report;
use epollite_bench::schema::{Origin, ResultFile};
use epollite_bench::units;
use serde::Deserialize;

use super::malformed;
use super::support::{CASE_PLOTS, WHOLE_PLOTS, full, models};

/// What the script saw.
#[derive(Debug, Deserialize)]
struct Findings {
    dark: bool,
    /// How light the ground is, from 0 to 1.
    paper: f64,
    width: u32,
    /// By how much the page is wider than its window.
    overflow: f64,
    /// The worst of all texts, and which that is.
    contrast: (f64, String),
    figures: Vec<Figure>,
    resources: Vec<String>,
    records: usize,
    /// Cases to be seen: at first, when one was chosen, when all were again.
    cases: usize,
    chosen: Option<usize>,
    again: Option<usize>,
    /// Whether a server went when it was sent away, and came back.
    hidden: Option<bool>,
    back: Option<bool>,
    /// Whether it is told that servers can be sent away.
    hinted: bool,
    /// What was said at the end of a line, and whether nothing was beside it.
    said: Option<String>,
    silent: Option<bool>,
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    id: String,
    /// Pictures to be seen: one of the two.
    shown: usize,
    missing: Option<String>,
    /// The servers that have something in it.
    servers: Vec<usize>,
    /// What is said at the pointer.
    tips: Vec<String>,
    /// The area that is drawn on.
    ink: f64,
    cut: Vec<String>,
    overlaps: Vec<String>,
    /// The smallest text, in CSS pixels.
    smallest: f64,
}

const SCREEN: u32 = 1280;
const TELEPHONE: u32 = 375;

#[test]
fn every_plot_renders_in_light_dark_wide_and_narrow() {
    let records = [full(), models()];
    let page = report::html(&records).unwrap();
    for (width, dark) in [(SCREEN, false), (SCREEN, true), (TELEPHONE, false), (TELEPHONE, true)] {
        let found = look(&page, width, dark);
        is_sound(&found, width, dark);
        assert_eq!((found.records, found.cases), (2, 2), "everything is there");
        assert_eq!((found.chosen, found.again), (Some(1), Some(2)), "a case can be chosen");
        assert_eq!((found.hidden, found.back), (Some(true), Some(true)), "a server can be hidden");
        assert!(found.hinted, "and that is told");
        let (server, slowest) = slowest(&records[0]);
        assert_eq!(found.said, Some(format!("{server}, slowest: {slowest}")), "at the pointer");
        assert_eq!(found.silent, Some(true), "beside it nothing is said");
        for (number, record) in records.iter().enumerate() {
            has_every_plot(&found, number, record);
        }
    }
}

#[test]
fn hostile_names_and_crowds_do_not_spoil_the_page() {
    // Servers of the reader's own have a colour of theirs, alone and in a crowd.
    let mut own = full();
    own.servers[3].origin = Origin::Extra;
    let mut own_in_a_crowd = malformed::crowded();
    own_in_a_crowd.servers[7..11].iter_mut().for_each(|server| server.origin = Origin::Extra);
    for record in [malformed::renamed(), malformed::crowded(), own, own_in_a_crowd] {
        let page = report::html(&[record]).unwrap();
        is_sound(&look(&page, TELEPHONE, false), TELEPHONE, false);
        is_sound(&look(&page, SCREEN, true), SCREEN, true);
    }
}

/// What holds for every page.
fn is_sound(found: &Findings, width: u32, dark: bool) {
    let Findings { errors, resources, contrast, .. } = found;
    assert!(errors.is_empty(), "the script runs through: {errors:?}");
    assert!(resources.is_empty(), "the page asks for nothing: {resources:?}");
    assert_eq!((found.width, found.dark), (width, dark), "it is looked at as was meant");
    assert_eq!(found.paper < 0.5, dark, "the ground is dark by night only: {}", found.paper);
    assert!(found.overflow <= 0.0, "{width} px: it is {} px too wide", found.overflow);
    assert!(contrast.0 >= 4.5, "everybody can read it: {contrast:?}");
    for figure in &found.figures {
        let Figure { id, shown, missing, cut, overlaps, .. } = figure;
        let pictures = usize::from(missing.is_none());
        assert_eq!(*shown, pictures, "{id}: a picture for this width, or a sentence");
        assert!(missing.is_some() || figure.ink > 10_000.0, "{id} has something in it");
        assert!(cut.is_empty(), "{id} at {width}: {cut:?} is cut off");
        assert!(overlaps.is_empty(), "{id} at {width}: words on words: {overlaps:?}");
        assert!(figure.smallest >= 8.5, "{id} at {width}: text of {} px", figure.smallest);
    }
}

/// Every plot, with every server that has data for it, and the data at the pointer.
fn has_every_plot(found: &Findings, number: usize, record: &ResultFile) {
    let figure = |plot: &str| {
        let id = format!("r{number}-{plot}");
        let figure = found.figures.iter().find(|it| it.id == id);
        figure.unwrap_or_else(|| panic!("the page has no {id}"))
    };
    let tells = |figure: &Figure, server: &str, what: &str| {
        let told = figure.tips.iter().any(|tip| tip.contains(server) && tip.contains(what));
        assert!(told, "{} tells {what} of {server}: {:?}", figure.id, figure.tips);
    };
    for case in &record.cases {
        for plot in CASE_PLOTS {
            let figure = figure(&format!("{plot}-{}", case.name));
            for (server, outcome) in case.results.iter().enumerate() {
                let Some(measured) = &outcome.measured else { continue };
                assert!(figure.servers.contains(&server), "{} has {server}", figure.id);
                let what = match plot {
                    "latency" => {
                        let p99 = u32::try_from(measured.latency.as_ref().unwrap().p99_ns).unwrap();
                        format!("99 % {}", units::time(f64::from(p99)))
                    }
                    "cpu" => units::time(measured.cpu_ns.median),
                    "syscalls" => format!("{:.3}", measured.syscalls.as_ref().unwrap().per_message),
                    _ => measured.cpu_ratio.map_or("the reference".to_owned(), |ratio| {
                        format!("CPU per message {:.2} [", ratio.estimate.median)
                    }),
                };
                tells(figure, &outcome.server, &what);
            }
        }
    }
    for plot in WHOLE_PLOTS {
        if plot.starts_with("knee") && record.knee.is_none() {
            continue;
        }
        let servers = &figure(plot).servers;
        assert!(servers.contains(&3), "{plot} has mio: {servers:?}");
    }
    if record.knee.is_some() {
        tells(figure("knee"), "asyncio", "knee 40k/s");
        tells(figure("knee-servers"), "mio", "knee 120k/s");
    }
    tells(figure("memory-idle"), "mio", "160 B");
}

/// The first server of the first case, and the longest it ever took.
fn slowest(record: &ResultFile) -> (&str, String) {
    let outcome = &record.cases[0].results[0];
    let latency = outcome.measured.as_ref().unwrap().latency.as_ref().unwrap();
    (&outcome.server, units::time(f64::from(u32::try_from(latency.max_ns).unwrap())))
}

/// Opens a page and looks at it.
fn look(page: &str, width: u32, dark: bool) -> Findings {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("<script>{}</script>\n</head>", include_str!("check.js"));
    let page = page.replacen("</head>", &script, 1);
    std::fs::write(folder.path().join("page.html"), page).unwrap();
    // A browser's window has a least width; a frame has none.
    let around = format!(
        "<!doctype html><meta name=\"color-scheme\" content=\"light dark\">\
         <body style=\"margin:0\"><pre id=\"findings\"></pre><script>\
         addEventListener('message', (it) => {{ findings.textContent = it.data; }});</script>\
         <iframe src=\"page.html\" style=\"border:0;width:{width}px;height:900px\"></iframe>"
    );
    let path = folder.path().join("around.html");
    std::fs::write(&path, around).unwrap();
    let dump = chromium(&path, folder.path(), dark);
    let from = dump.find("<pre id=\"findings\">").expect("the page around it") + 19;
    let json = &dump[from..from + dump[from..].find("</pre>").unwrap()];
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}");
    let json = json.replace("&amp;", "&");
    serde_json::from_str(&json).unwrap_or_else(|it| panic!("the script tells: {it}: {json}"))
}

/// Runs the browser on a page until it is loaded; what has become of it. Whatever the page writes on
/// the console is an error.
fn chromium(page: &Path, folder: &Path, dark: bool) -> String {
    // Nothing that it does by itself may reach a network: there is no proxy at that port.
    let run = Command::new("timeout")
        .args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(["--proxy-server=127.0.0.1:9", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .args(["--window-size=1400,1000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("timeout(1) is in coreutils");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        run.status.code() != Some(127),
        "there is no chromium here: apt-get install chromium, or make tools"
    );
    assert!(run.status.success(), "chromium: {}: {said}", run.status);
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "nothing is written on the console: {console:#?}");
    String::from_utf8(run.stdout).unwrap()
}
