//! The pictures, without a browser: each is there, is XML, and shows its figures where they belong.

use epollite_bench::report;
use epollite_bench::schema::{Origin, ResultFile, Server};
use roxmltree::{Document, Node};

use super::support::{CASE_PLOTS, WHOLE_PLOTS, embedded, figure, full, models, svgs};

#[test]
fn every_plot_is_there_for_a_screen_and_for_a_phone() {
    let records = [full(), models()];
    let page = report::html(&records).unwrap();
    for (number, record) in records.iter().enumerate() {
        let cases = record.cases.iter().map(|case| case.load.name.as_str());
        let of_cases =
            cases.flat_map(|case| CASE_PLOTS.iter().map(move |plot| format!("{plot}-{case}")));
        let whole = WHOLE_PLOTS.iter().map(|&plot| plot.to_owned());
        for plot in of_cases.chain(whole).filter(|plot| number == 0 || !plot.contains("knee")) {
            let figure = figure(&page, &format!("r{number}-{plot}"));
            assert_eq!(svgs(figure).len(), 2, "{plot} is drawn for a screen and for a phone");
            assert!(figure.contains("<table>"), "{plot} has its figures in a table too");
            for svg in svgs(figure) {
                let document = Document::parse(svg).unwrap_or_else(|it| panic!("{plot}: {it}"));
                let root = document.root_element();
                let named = |tag: &str| {
                    let mut children = root.children();
                    children.find(|it| it.has_tag_name(tag)).and_then(|it| it.text())
                };
                assert!(named("title").is_some_and(|it| !it.is_empty()), "{plot} has a title");
                assert!(named("desc").is_some_and(|it| it.len() > 40), "{plot} says what it is");
            }
        }
    }
}

#[test]
fn a_file_is_a_picture_by_itself() {
    let pictures = report::write_svgs(&[full(), models(), full()]).unwrap();
    let mut names: Vec<&str> = pictures.iter().map(|it| it.0.as_str()).collect();
    for name in ["ratios-c64.svg", "latency-ping.svg", "knee.svg", "models-ratios-c10.svg"] {
        assert!(names.contains(&name), "{name} is one of {names:?}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), pictures.len(), "no two plots have one name");
    for (name, text) in &pictures {
        let document = Document::parse(text).unwrap_or_else(|it| panic!("{name}: {it}"));
        let root = document.root_element();
        assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2000/svg"), "{name}");
        let sheet = root.descendants().any(|it| it.attribute("class") == Some("sheet"));
        let style = root.descendants().find(|it| it.has_tag_name("style")).unwrap();
        let styles_both = style.text().unwrap().contains("prefers-color-scheme: dark");
        assert!(sheet && styles_both, "{name} has its own background, light and dark");
        assert!(!text.contains("url(") && !text.contains("href"), "{name} needs nothing else");
    }
}

#[test]
fn an_interval_is_where_its_ratio_is() {
    let record = full();
    let picture = picture(&record, "ratios-c64.svg");
    let document = Document::parse(&picture).unwrap();
    // Three panels from left to right; in each a row for every server.
    let rows: Vec<Node<'_, '_>> = of_class(&document, "row");
    let cpu = rows[record.cases[1].results.len()..].iter();
    let centre = |row: &Node<'_, '_>| -> Option<f64> {
        let mark = row.children().find(|it| it.attribute("class") == Some("mark"))?;
        mark.attribute("cx")?.parse().ok()
    };
    let one = cpu.clone().find(|row| is_of(row, 0)).and_then(centre).unwrap();
    let mut seen = 0;
    for row in cpu.take(record.cases[1].results.len()) {
        let number: usize = row.attribute("data-server").unwrap().parse().unwrap();
        let Some(measured) = &record.cases[1].results[number].measured else { continue };
        let (Some(ratio), Some(x)) = (measured.cpu_ratio, centre(row)) else { continue };
        let side = (ratio.estimate.median - 1.0).signum();
        assert!((x - one) * side >= 0.0, "{number}: {ratio:?} is at {x}, and 1 at {one}");
        let neutral = row.attribute("class").unwrap().contains("none");
        let shows_none = ratio.verdict == epollite_bench::stats::Verdict::NoDifference;
        assert_eq!(neutral, shows_none, "no difference shown is grey, a difference is not");
        seen += 1;
    }
    assert!(seen >= 3, "the sample has ratios");
}

#[test]
fn what_is_far_off_does_not_squeeze_the_rest() {
    let mut record = full();
    let slow = record.cases[1].results[4].measured.as_mut().unwrap().cpu_ratio.as_mut().unwrap();
    (slow.estimate.median, slow.estimate.low, slow.estimate.high) = (1000.0, 900.0, 1100.0);
    let picture = picture(&record, "ratios-c64.svg");
    assert!(picture.contains("1000 [900, 1100]"), "the figure is said");
    let document = Document::parse(&picture).unwrap();
    let band = of_class(&document, "band")[1];
    let rect = band.children().find(|it| it.has_tag_name("rect")).unwrap();
    let width: f64 = rect.attribute("width").unwrap().parse().unwrap();
    assert!(width > 4.0, "the noise can still be seen: {width} px");
}

#[test]
fn a_broken_model_has_its_cross() {
    let record = models();
    let picture = report::write_svgs(std::slice::from_ref(&record)).unwrap();
    let (_, text) = picture.iter().find(|it| it.0 == "models-rate-connections.svg").unwrap();
    let document = Document::parse(text).unwrap();
    let crossed: Vec<&str> = of_class(&document, "series")
        .into_iter()
        .filter(|it| it.children().any(|it| it.attribute("class") == Some("cross")))
        .filter_map(|it| it.attribute("data-server"))
        .collect();
    assert_eq!(crossed, ["5", "3"], "mio breaks at a thousand, blocking at once");
    assert!(text.contains("at 1000 failed: stalled at a thousand"));
}

#[test]
fn a_server_has_one_style() {
    let pictures = report::write_svgs(&[full(), models()]).unwrap();
    let mut looks: Vec<String> = Vec::new();
    for (name, text) in &pictures {
        let document = Document::parse(text).unwrap();
        for group in document.descendants().filter(|it| it.attribute("data-server") == Some("3")) {
            let class = group.attribute("class").unwrap();
            let look = class.split(' ').filter(|it| ["rust", "shade-0", "dash-0"].contains(it));
            looks.push(look.collect::<Vec<_>>().join(" "));
            assert_eq!(looks.last(), looks.first(), "mio in {name}: {class}");
        }
    }
    assert!(looks.len() > 20, "mio is in every plot");
    assert_eq!(looks[0], "rust shade-0 dash-0");
}

#[test]
fn missing_data_is_text_not_a_plot() {
    let mut record = full();
    record.knee = None;
    record.cases.truncate(1);
    record.cases[0].noise = None;
    for outcome in &mut record.cases[0].results {
        let Some(measured) = &mut outcome.measured else { continue };
        (measured.latency, measured.syscalls, measured.peak_rss_bytes) = (None, None, None);
        (measured.rate_ratio, measured.cpu_ratio, measured.p99_ratio) = (None, None, None);
        (measured.cpu_user_ns, measured.cpu_system_ns) = (None, None);
    }
    for server in &mut record.servers {
        *server = Server { binary_bytes: None, crates: None, idle: None, ..server.clone() };
    }
    let page = report::html(&[record]).unwrap();
    for (plot, why) in [
        ("ratios-ping", "The A/A control failed"),
        ("latency-ping", "No round-trip times were kept"),
        ("syscalls-ping", "System calls were not counted in this case. How they are read: made up"),
        ("rate-connections", "no two cases that differ"),
        ("knee", "No open loop was run"),
        ("memory-idle", "Idle memory was not measured"),
        ("memory-peak", "resident memory could be read"),
        ("size-binary", "No server of this run has a binary"),
        ("size-crates", "The crates of no server were counted"),
    ] {
        let figure = figure(&page, &format!("r0-{plot}"));
        assert!(figure.contains(why), "{plot} says why there is no picture: {figure}");
        assert!(svgs(figure).is_empty(), "{plot} has nothing to draw");
    }
    assert_eq!(svgs(figure(&page, "r0-cpu-ping")).len(), 2, "CPU as a whole is known");
}

#[test]
fn the_page_describes_the_method() {
    let record = full();
    let page = report::html(std::slice::from_ref(&record)).unwrap();
    let told = super::support::part(&page, "id=\"r0-measured\"", "</section>");
    let (machine, run) = (&record.machine, &record.run);
    for fact in [&machine.kernel, &machine.cpu, &run.date, &run.cpu_read_by, "KVM", "core 1"] {
        assert!(told.contains(fact), "it says {fact}");
    }
    for fact in ["6 that count", "slices of 50.0 ms", "0.20, average", "ping: rate ±", "schema"] {
        assert!(told.contains(fact), "it says {fact}: {told}");
    }
    assert!(page.contains("uv.h is not installed"), "an absent server, and why");
    assert_eq!(embedded(&page), [record], "the page carries all that was measured");
}

#[test]
fn an_unknown_server_is_drawn() {
    let mut record = full();
    record.servers.retain(|server| server.origin != Origin::Peer);
    for (name, picture) in report::write_svgs(&[record]).unwrap() {
        Document::parse(&picture).unwrap_or_else(|it| panic!("{name}: {it}"));
    }
}

fn picture(record: &ResultFile, name: &str) -> String {
    let pictures = report::write_svgs(std::slice::from_ref(record)).unwrap();
    pictures.into_iter().find(|it| it.0 == name).unwrap().1
}

fn of_class<'a>(document: &'a Document<'a>, class: &str) -> Vec<Node<'a, 'a>> {
    let has = |it: &Node<'_, '_>| {
        it.attribute("class").is_some_and(|it| it.split(' ').any(|it| it == class))
    };
    document.descendants().filter(has).collect()
}

fn is_of(row: &Node<'_, '_>, server: usize) -> bool {
    row.attribute("data-server") == Some(&server.to_string())
}
