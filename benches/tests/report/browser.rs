//! The page in a browser: light and dark, on a screen and on a phone. The browser is Debian's
//! chromium, headless. The test's copy of the page has one script more (`check.js`), which inspects
//! the page and posts its findings to the page around it; that is as narrow as a phone, where the
//! browser's own window cannot be, and writes the findings down.

use std::path::Path;
use std::process::Command;

use epollite_bench::report;
use epollite_bench::schema::{Origin, ResultFile};
use epollite_bench::units;
use serde::Deserialize;

use super::malformed;
use super::support::{CASE_PLOTS, WHOLE_PLOTS, full, models};

/// What the script found.
#[derive(Debug, Deserialize)]
struct Findings {
    dark: bool,
    /// How light the background is, from 0 to 1.
    paper: f64,
    width: u32,
    /// By how much the page is wider than its window.
    overflow: f64,
    /// The worst of all texts, and which that is.
    contrast: (f64, String),
    figures: Vec<Figure>,
    resources: Vec<String>,
    records: usize,
    /// Visible cases: at first, after one was chosen, after all were chosen again.
    cases: usize,
    chosen: Option<usize>,
    again: Option<usize>,
    /// Whether a server disappeared when it was hidden, and came back.
    hidden: Option<bool>,
    back: Option<bool>,
    /// Whether the page explains that servers can be hidden.
    hinted: bool,
    /// The hover text at the end of a line, and whether there was none beside it.
    said: Option<String>,
    silent: Option<bool>,
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    id: String,
    /// Visible pictures: one of the two.
    shown: usize,
    missing: Option<String>,
    /// The servers that have something in it.
    servers: Vec<usize>,
    /// Hover texts.
    tips: Vec<String>,
    /// The area that is drawn on.
    ink: f64,
    cut: Vec<String>,
    overlaps: Vec<String>,
    /// The smallest text, in CSS pixels.
    smallest: f64,
}

const SCREEN: u32 = 1280;
const PHONE: u32 = 375;

#[test]
fn every_plot_renders_in_light_dark_wide_and_narrow() {
    let records = [full(), models()];
    let page = report::html(&records).unwrap();
    for (width, dark) in [(SCREEN, false), (SCREEN, true), (PHONE, false), (PHONE, true)] {
        let found = look(&page, width, dark);
        is_sound(&found, width, dark);
        assert_eq!((found.records, found.cases), (2, 2), "everything is there");
        assert_eq!((found.chosen, found.again), (Some(1), Some(2)), "a case can be chosen");
        assert_eq!((found.hidden, found.back), (Some(true), Some(true)), "a server can be hidden");
        assert!(found.hinted, "and the page explains it");
        let (server, slowest) = slowest(&records[0]);
        assert_eq!(found.said, Some(format!("{server}, slowest: {slowest}")), "at the pointer");
        assert_eq!(found.silent, Some(true), "no hover text beside it");
        for (number, record) in records.iter().enumerate() {
            has_every_plot(&found, number, record);
        }
    }
}

#[test]
fn hostile_names_and_many_servers_do_not_break_the_page() {
    // The reader's own servers have their own colour, alone and among many.
    let mut own = full();
    own.servers[3].origin = Origin::Extra;
    let mut own_among_many = malformed::many_servers();
    own_among_many.servers[7..11].iter_mut().for_each(|server| server.origin = Origin::Extra);
    for record in [malformed::renamed(), malformed::many_servers(), own, own_among_many] {
        let page = report::html(&[record]).unwrap();
        is_sound(&look(&page, PHONE, false), PHONE, false);
        is_sound(&look(&page, SCREEN, true), SCREEN, true);
    }
}

/// What holds for every page.
fn is_sound(found: &Findings, width: u32, dark: bool) {
    let Findings { errors, resources, contrast, .. } = found;
    assert!(errors.is_empty(), "the script runs through: {errors:?}");
    assert!(resources.is_empty(), "the page loads nothing: {resources:?}");
    assert_eq!((found.width, found.dark), (width, dark), "the browser has the requested mode");
    assert_eq!(
        found.paper < 0.5,
        dark,
        "the background is dark in dark mode only: {}",
        found.paper
    );
    assert!(found.overflow <= 0.0, "{width} px: it is {} px too wide", found.overflow);
    assert!(contrast.0 >= 4.5, "the contrast is sufficient: {contrast:?}");
    for figure in &found.figures {
        let Figure { id, shown, missing, cut, overlaps, .. } = figure;
        let pictures = usize::from(missing.is_none());
        assert_eq!(*shown, pictures, "{id}: a picture for this width, or a sentence");
        assert!(missing.is_some() || figure.ink > 10_000.0, "{id} has something in it");
        assert!(cut.is_empty(), "{id} at {width}: {cut:?} is cut off");
        assert!(overlaps.is_empty(), "{id} at {width}: overlapping text: {overlaps:?}");
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
    let shows = |figure: &Figure, server: &str, what: &str| {
        let is_shown = figure.tips.iter().any(|tip| tip.contains(server) && tip.contains(what));
        assert!(is_shown, "{} shows {what} of {server}: {:?}", figure.id, figure.tips);
    };
    for case in &record.cases {
        for plot in CASE_PLOTS {
            let figure = figure(&format!("{plot}-{}", case.load.name));
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
                shows(figure, &outcome.server, &what);
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
        shows(figure("knee"), "asyncio", "knee 40k/s");
        shows(figure("knee-servers"), "mio", "knee 120k/s");
    }
    shows(figure("memory-idle"), "mio", "160 B");
}

/// The first server of the first case, and the longest it ever took.
fn slowest(record: &ResultFile) -> (&str, String) {
    let outcome = &record.cases[0].results[0];
    let latency = outcome.measured.as_ref().unwrap().latency.as_ref().unwrap();
    (&outcome.server, units::time(f64::from(u32::try_from(latency.max_ns).unwrap())))
}

/// Opens a page and inspects it.
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
    serde_json::from_str(&json).unwrap_or_else(|it| panic!("the script's findings: {it}: {json}"))
}

/// Runs the browser on a page until it is loaded; returns its DOM. Any console output of the page
/// is an error.
fn chromium(page: &Path, folder: &Path, dark: bool) -> String {
    // The browser itself must not use the network: there is no proxy at that port.
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
