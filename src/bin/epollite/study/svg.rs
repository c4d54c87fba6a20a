//! A timeline as a picture: a lane for each actor and each descriptor, the calls in their order as
//! arrows, and the ready list beside them. Light and dark, 800 pixels wide.
//!
//! Makes text from rows; runs nothing.

use std::fmt::Write as _;

use super::ready::Ready;
use super::script::Script;
use super::timeline::{Row, actors, descriptors};
use super::transfers::{Fate, Transfer, Transfers};
use crate::output::columns::wrap;
use crate::small_map::SmallMap;

const WIDTH: usize = 800;
/// The text of the steps: its left edge, and how many characters of 7.2 pixels fit.
const CALL_X: usize = 40;
const CALL_CHARS: usize = 37;
/// What is longer is cut.
const CALL_LINES: usize = 3;
/// A note is in a smaller font.
const NOTE_CHARS: usize = 44;
/// The first and the last lane.
const LANES_X: [usize; 2] = [332, 566];
/// Lanes are not farther apart.
const LANE_GAP_MAX: usize = 56;
/// Names of lanes that are nearer than this are in two rows.
const LANE_GAP_NAME: usize = 30;
/// The width of a letter of a name.
const NAME_CHAR: usize = 7;
/// The ready list: its left edge, its width, and how many characters of 6.6 pixels fit.
const READY_X: usize = 592;
const READY_WIDTH: usize = 200;
const READY_CHARS: usize = 28;
const LINE: usize = 17;
/// Between two steps.
const GAP: usize = 8;
/// From the top of a step to its arrow.
const ARROW_Y: usize = 10;
/// A second line of marks, below the arrow of the call.
const BELOW: usize = 7;
/// So many transfers of a step have a line of their own: the lowest step has room for them.
const TRANSFERS_MAX: usize = 3;
/// Where the mark of a dropped datagram stands: before the lane of its receiver.
const DROPPED_BEFORE: usize = 9;
/// Calls that create a descriptor with another one.
const FROM_ANOTHER: [&str; 5] = ["accept", "dup", "recvfd", "ptypeer", "reopen"];

const STYLE: &str = "\
svg { --paper: #fcfcfa; --ink: #1b1d21; --soft: #5f646d; --lane: #c9cbc6; --band: #f1f1ec; \
--call: #1657b8; --data: #00795a; --fail: #b3261e; --people: #8f5a00; --ready: #d9efe5; \
--ready-ink: #004634; }
@media (prefers-color-scheme: dark) { svg { --paper: #15171a; --ink: #e7e7e3; --soft: #a0a5ad; \
--lane: #43474e; --band: #1d2024; --call: #6aa8ff; --data: #2fc295; --fail: #ff8a80; \
--people: #e5b04c; --ready: #12382c; --ready-ink: #9ee8d0; } }
text { fill: var(--ink); font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; \
white-space: pre; }
.sans { font-family: system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 11px; }
.soft { fill: var(--soft); }
.result { fill: var(--data); }
.fail { fill: var(--fail); }
.people { fill: var(--people); }
.name { font-size: 11px; font-weight: 600; text-anchor: middle; }
.number { fill: var(--soft); text-anchor: end; }
.sheet { fill: var(--paper); }
.band { fill: var(--band); }
.ready { fill: var(--ready); }
.ready-text { fill: var(--ready-ink); font-size: 11px; }
.lane { stroke: var(--lane); stroke-width: 2; }
.mark-call { stroke: var(--call); fill: none; stroke-width: 1.6; }
.mark-data { stroke: var(--data); fill: none; stroke-width: 1.6; stroke-dasharray: 3 2; }
.mark-event { stroke: var(--data); fill: none; stroke-width: 1.8; }
.mark-fail { stroke: var(--fail); fill: none; stroke-width: 1.6; }
.dropped { stroke: var(--fail); stroke-width: 2; }
.waiting { stroke: var(--call); stroke-width: 5; stroke-opacity: 0.35; }
.tip-call { fill: var(--call); } .tip-data, .tip-event { fill: var(--data); } \
.tip-fail { fill: var(--fail); }
.hollow { fill: var(--paper); }
";

/// The picture of one experiment. `kernel` says where it ran.
pub(super) fn picture(script: &Script, rows: &[Row], ready: &[Vec<Ready>], kernel: &str) -> String {
    let question = wrap(&script.experiment.question, 108);
    let top = 34 + LINE * (question.len() + 1) + 34;
    let mut picture = Picture::new(rows, top);
    let heights: Vec<usize> = rows.iter().map(|row| text_lines(row).len() * LINE + GAP).collect();
    let bottom = top + heights.iter().sum::<usize>() + 8;
    picture.lanes(rows, &heights, bottom);
    picture.ready(rows, ready, &heights, bottom);
    let mut y = top;
    for (row, height) in rows.iter().zip(&heights) {
        picture.step(row, y);
        y += height;
    }
    picture.still_waiting(bottom);
    picture.legend(bottom + 18);
    picture.finish(script, &question, kernel, bottom + 18 + 2 * LINE)
}

/// The lines of text of a step, each with its class.
fn text_lines(row: &Row) -> Vec<(&'static str, String)> {
    let is_failed = row.is_failed();
    let class = if is_failed { "fail" } else { "result" };
    let call = wrap(&cut(&row.call, CALL_LINES * CALL_CHARS), CALL_CHARS - 2);
    let mut lines: Vec<_> = indented(call, "").into_iter().map(|line| ("call", line)).collect();
    lines.extend(result_lines(row).into_iter().map(|line| (class, line)));
    if !row.agrees {
        lines.push(("fail", cut(&format!("expected: {}", row.expected), CALL_CHARS)));
    }
    if let Some(people) = row.people.as_ref().filter(|people| **people != row.result) {
        let people = wrap(&format!("people expect: {people}"), CALL_CHARS);
        lines.extend(people.into_iter().map(|line| ("people", line)));
    }
    if !row.note.is_empty() {
        let note = wrap(&row.note, NOTE_CHARS);
        lines.extend(note.into_iter().map(|line| ("soft sans small", line)));
    }
    lines
}

/// The descriptor or child that a step ends.
fn ended(row: &Row) -> Option<&String> {
    row.names.first().filter(|_| row.closes() || row.kills())
}

fn result_lines(row: &Row) -> Vec<String> {
    indented(wrap(&row.result, CALL_CHARS - 2), "= ")
}

/// A mark before the first line, and an indent before the others.
fn indented(lines: Vec<String>, mark: &str) -> Vec<String> {
    let mark = |(at, line): (usize, String)| format!("{}{line}", if at == 0 { mark } else { "  " });
    lines.into_iter().enumerate().map(mark).collect()
}

struct Picture {
    body: String,
    /// The middle of each lane, by the name of its actor or descriptor.
    lanes: SmallMap<String, usize>,
    /// The names of lanes, in their order.
    order: Vec<String>,
    transfers: Transfers,
    /// By thread or child, the epoll in which it waits, and where that began.
    waiting: SmallMap<String, (String, usize)>,
    /// Where the first step begins.
    top: usize,
}

impl Picture {
    fn new(rows: &[Row], top: usize) -> Self {
        let mut order: Vec<String> = Vec::new();
        for name in actors(rows).into_iter().chain(descriptors(rows)) {
            // A child acts, and is created by a step.
            if !order.iter().any(|known| known == name) {
                order.push(name.to_owned());
            }
        }
        let gaps = order.len().saturating_sub(1).max(1);
        let gap = ((LANES_X[1] - LANES_X[0]) / gaps).min(LANE_GAP_MAX);
        let lanes = order.iter().enumerate();
        let lanes = lanes.map(|(at, name)| (name.clone(), LANES_X[0] + at * gap)).collect();
        let (transfers, waiting) = (Transfers::new(rows), SmallMap::default());
        Self { body: String::new(), lanes, order, transfers, waiting, top }
    }

    /// Writing to a string does not fail.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(text);
        self.body.push('\n');
    }

    fn text(&mut self, class: &str, x: usize, y: usize, text: &str) {
        let text = escaped(text);
        self.put(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    fn line(&mut self, class: &str, from: (usize, usize), to: (usize, usize)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    fn circle(&mut self, class: &str, x: usize, y: usize, radius: usize) {
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
    }

    /// A horizontal arrow; `kind` is the end of a class's name.
    fn arrow(&mut self, kind: &str, from: usize, to: usize, y: usize) {
        if from == to {
            return;
        }
        let (stop, back) = if to > from { (to - 3, to - 9) } else { (to + 3, to + 9) };
        self.line(&format!("mark-{kind}"), (from, y), (back, y));
        let (above, below) = (y - 4, y + 4);
        self.put(format_args!(
            "<path class=\"tip-{kind}\" d=\"M{stop} {y}L{back} {above}L{back} {below}Z\"/>"
        ));
    }

    fn cross(&mut self, x: usize, y: usize) {
        self.line("mark-fail", (x - 5, y - 5), (x + 5, y + 5));
        self.line("mark-fail", (x - 5, y + 5), (x + 5, y - 5));
    }

    /// The lanes, from the creation of a descriptor to its end, and stripes for every other step.
    fn lanes(&mut self, rows: &[Row], heights: &[usize], bottom: usize) {
        let mut y = self.top;
        let mut ends: SmallMap<String, [usize; 2]> = SmallMap::default();
        for actor in actors(rows) {
            ends.insert(actor.to_owned(), [self.top - 6, bottom]);
        }
        for (row, height) in rows.iter().zip(heights) {
            if row.number % 2 == 0 {
                let width = WIDTH - 16;
                self.put(format_args!(
                    "<rect class=\"band\" x=\"8\" y=\"{}\" width=\"{width}\" height=\"{height}\"/>",
                    y - 4
                ));
            }
            for name in &row.opened {
                ends.insert(name.clone(), [y + ARROW_Y, bottom]);
            }
            if let Some(end) = ended(row).and_then(|name| ends.get_mut(name)) {
                end[1] = y + ARROW_Y;
            }
            y += height;
        }
        for (at, name) in self.order.clone().iter().enumerate() {
            let x = self.lanes[name];
            let [from, to] = ends.get(name).copied().unwrap_or([self.top, bottom]);
            self.line("lane", (x, from), (x, to));
            let is_near = self.gap() < LANE_GAP_NAME;
            let room = if is_near { 2 * self.gap() } else { self.gap() };
            let name: String = name.chars().take(room / NAME_CHAR).collect();
            let y = self.top - if is_near && at % 2 == 1 { 24 } else { 11 };
            self.text("name", x, y, &name);
        }
    }

    fn gap(&self) -> usize {
        match &self.order[..] {
            [one, other, ..] => self.lanes[other] - self.lanes[one],
            _ => LANE_GAP_MAX,
        }
    }

    /// What a wait would report, as long as that is the same.
    fn ready(&mut self, rows: &[Row], ready: &[Vec<Ready>], heights: &[usize], bottom: usize) {
        if !rows.iter().any(|row| row.verb() == "epoll") {
            return;
        }
        let middle = READY_X + READY_WIDTH / 2;
        self.text("name soft", middle, self.top - 24, "ready list:");
        self.text("name soft", middle, self.top - 11, "a wait would report");
        if let Some(at) = first_unknown(rows, ready) {
            // Below the last list, which ends at the arrow of the step.
            let y = self.top + heights[..at].iter().sum::<usize>() + ARROW_Y + LINE;
            self.text("name soft", middle, y, "(not on the model)");
        }
        let mut places = Vec::new();
        let mut y = self.top + ARROW_Y;
        for (list, height) in ready.iter().zip(heights) {
            let some = list.iter().filter(|ready| ready.events != "nothing");
            let lines: Vec<String> =
                some.map(|ready| format!("{}: {}", ready.epoll, ready.events)).collect();
            match places.last_mut() {
                Some((_, end, last)) if *last == lines => *end = y + height,
                _ => places.push((y, y + height, lines)),
            }
            y += height;
        }
        for (from, to, lines) in places.into_iter().filter(|(_, _, lines)| !lines.is_empty()) {
            let height = to.min(bottom) - from - 2;
            self.put(format_args!(
                "<rect class=\"ready\" x=\"{READY_X}\" y=\"{from}\" width=\"{READY_WIDTH}\" \
                 height=\"{height}\" rx=\"3\"/>"
            ));
            let lines: Vec<String> =
                lines.iter().flat_map(|line| wrap_items(line, READY_CHARS)).collect();
            let room = (height / 14).max(1);
            for (at, line) in lines.iter().take(room).enumerate() {
                let is_cut = at + 1 == room && lines.len() > room;
                let line = if is_cut { format!("{line} ...") } else { line.clone() };
                self.text("ready-text", READY_X + 7, from + 12 + at * 14, &line);
            }
        }
    }

    fn step(&mut self, row: &Row, top: usize) {
        self.text("number", CALL_X - 10, top + 14, &row.number.to_string());
        for (at, (class, line)) in text_lines(row).iter().enumerate() {
            self.text(class, CALL_X, top + 14 + at * LINE, line);
        }
        let y = top + ARROW_Y;
        let transfers = self.transfers.step(row);
        let Some(&actor) = self.lanes.get(&row.actor) else { return };
        let named: Vec<usize> =
            row.names.iter().filter_map(|name| self.lanes.get(name)).copied().collect();
        let kind = if row.is_failed() { "fail" } else { "call" };
        match (row.verb(), &named[..]) {
            ("join", _) => self.join(row, actor, y),
            ("wait", [epoll, ..]) if row.result != "ok" => self.wait(row, actor, *epoll, y),
            ("add" | "mod" | "del", [epoll, target, ..]) => {
                self.arrow(kind, actor, *epoll, y);
                self.line(&format!("mark-{kind}"), (*epoll, y), (*target, y + BELOW));
                self.circle(&format!("tip-{kind}"), *target, y + BELOW, 3);
            }
            (verb, [first, ..]) if row.opened.is_empty() || FROM_ANOTHER.contains(&verb) => {
                self.arrow(kind, actor, *first, y);
                if let ("wait" | "poll", Some(epoll)) = (verb, row.names.first()) {
                    self.waiting.insert(row.actor.clone(), (epoll.clone(), y));
                }
            }
            _ => {}
        }
        for (at, transfer) in transfers.iter().enumerate() {
            self.transfer(transfer, y + BELOW * (at + 1).min(TRANSFERS_MAX));
        }
        for name in &row.opened {
            self.circle("tip-call", self.lanes[name], y, 4);
        }
        if let Some(name) = ended(row)
            && let Some(&x) = self.lanes.get(name)
        {
            if let Some((_, from)) = self.waiting.remove(name) {
                self.line("waiting", (x, from), (x, y));
            }
            self.cross(x, y);
        }
    }

    /// What is dropped does not arrive at the other lane.
    fn transfer(&mut self, transfer: &Transfer, y: usize) {
        let lane = |name: &String| self.lanes.get(name).copied();
        let (Some(from), Some(to)) = (lane(&transfer.from), lane(&transfer.to)) else { return };
        match transfer.fate {
            Fate::Delivered => self.arrow("data", from, to, y),
            Fate::Failed => self.arrow("fail", from, to, y),
            Fate::Dropped => {
                let stop = if to > from { to - DROPPED_BEFORE } else { to + DROPPED_BEFORE };
                self.line("mark-data", (from, y), (stop, y));
                self.line("dropped", (stop, y - 5), (stop, y + 5));
            }
        }
    }

    /// The wait of a thread or a child has returned, or it has not.
    fn join(&mut self, row: &Row, actor: usize, y: usize) {
        let Some((epoll, from)) = self.waiting.remove(&row.actor) else { return };
        self.line("waiting", (actor, from), (actor, y));
        if row.result == "blocked" {
            self.circle("hollow mark-call", actor, y, 4);
            self.waiting.insert(row.actor.clone(), (epoll, y + 4));
            return;
        }
        let Some(&epoll) = self.lanes.get(&epoll) else { return };
        if row.is_failed() {
            self.arrow("fail", epoll, actor, y);
        } else {
            self.wait(row, actor, epoll, y);
        }
    }

    fn still_waiting(&mut self, bottom: usize) {
        for (actor, (_, from)) in std::mem::take(&mut self.waiting) {
            if let Some(&x) = self.lanes.get(&actor) {
                self.line("waiting", (x, from), (x, bottom));
            }
        }
    }

    /// From what is ready to the epoll, and from there to the actor; without events, a hollow mark.
    fn wait(&mut self, row: &Row, actor: usize, epoll: usize, y: usize) {
        if row.reported.is_empty() {
            self.line("mark-call", (actor, y), (epoll, y));
            self.circle("hollow mark-call", epoll, y, 4);
            return;
        }
        for name in &row.reported {
            if let Some(&from) = self.lanes.get(name) {
                self.line("mark-event", (from, y + BELOW), (epoll, y));
                self.circle("tip-event", from, y + BELOW, 4);
            }
        }
        self.arrow("event", epoll, actor, y);
    }

    fn legend(&mut self, y: usize) {
        let mut x = CALL_X - 26;
        let mut item = |picture: &mut Self, text: &str, draw: &dyn Fn(&mut Self, usize)| {
            draw(picture, x);
            picture.text("soft sans small", x + 26, y + 4, text);
            x += 26 + text.len() * 6 + 16;
        };
        item(self, "call", &|it, x| it.arrow("call", x, x + 20, y));
        item(self, "data, connection", &|it, x| it.arrow("data", x, x + 20, y));
        item(self, "reported", &|it, x| {
            it.line("mark-event", (x, y), (x + 18, y));
            it.circle("tip-event", x, y, 4);
        });
        item(self, "nothing reported", &|it, x| it.circle("hollow mark-call", x + 10, y, 4));
        item(self, "failed", &|it, x| it.arrow("fail", x, x + 20, y));
        item(self, "created", &|it, x| it.circle("tip-call", x + 10, y, 4));
        item(self, "closed", &|it, x| it.cross(x + 10, y));
        if self.body.contains("\"dropped\"") {
            item(self, "dropped", &|it, x| {
                it.line("mark-data", (x, y), (x + 16, y));
                it.line("dropped", (x + 16, y - 5), (x + 16, y + 5));
            });
        }
        if self.body.contains("\"waiting\"") {
            item(self, "waiting", &|it, x| it.line("waiting", (x + 10, y - 7), (x + 10, y + 7)));
        }
    }

    fn finish(self, script: &Script, question: &[String], kernel: &str, height: usize) -> String {
        let name = escaped(&cut(&script.name, 80));
        let description = escaped(&script.experiment.lesson);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"t d\">\n\
             <title id=\"t\">{name}</title>\n<desc id=\"d\">{description}</desc>\n\
             <style>\n{STYLE}</style>\n\
             <rect class=\"sheet\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
             <text class=\"sans title\" x=\"14\" y=\"26\">{name}</text>\n"
        );
        let mut y = 48;
        for line in question {
            let line = escaped(line);
            text += &format!("<text class=\"sans\" x=\"14\" y=\"{y}\">{line}</text>\n");
            y += LINE;
        }
        let kernel = escaped(kernel);
        text += &format!("<text class=\"sans small soft\" x=\"14\" y=\"{y}\">{kernel}</text>\n");
        text + &self.body + "</svg>\n"
    }
}

/// The first step after which there is an epoll, and the model does not know its list.
fn first_unknown(rows: &[Row], ready: &[Vec<Ready>]) -> Option<usize> {
    let mut epolls: Vec<&String> = Vec::new();
    rows.iter().zip(ready).position(|(row, ready)| {
        epolls.extend(row.opened.iter().filter(|_| row.verb() == "epoll"));
        epolls.retain(|epoll| ended(row) != Some(epoll));
        !epolls.is_empty() && ready.is_empty()
    })
}

/// Lines that are broken behind a comma only.
fn wrap_items(text: &str, width: usize) -> Vec<String> {
    /// Stands for a space that must not be broken: a character for private use.
    const KEPT: &str = "\u{e000}";
    let items: Vec<String> = text.split(", ").map(|item| item.replace(' ', KEPT)).collect();
    let lines = wrap(&items.join(", "), width);
    lines.into_iter().map(|line| line.replace(KEPT, " ")).collect()
}

/// At most so many characters.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 3).chain("...".chars()).collect()
}

/// As text of XML, which has no control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}
