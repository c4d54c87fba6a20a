//! The pages of section 3, from `include/epollite.h`: one of the whole library, and one for each
//! group of functions.
//!
//! The header consists of groups, which begin with a ruled comment. In a group a comment belongs to
//! the declarations below it, up to an empty line.

use std::fs;

use roff::{bold, roman};

use crate::page::Page;
use crate::root;

/// A group of the header.
struct Group {
    /// `reactor`, `echo server`.
    title: String,
    items: Vec<Item>,
}

/// A comment and the declarations below it.
struct Item {
    paragraphs: Vec<String>,
    declarations: Vec<String>,
}

/// The program that shows how a group is used; the groups without are shown by `echo.c`.
const EXAMPLES: [(&str, &str); 3] =
    [("deadlines", "timer.c"), ("wake-ups", "wake.c"), ("echo server", "server.c")];

/// The parts of the header's first comment: how a paragraph begins, and the section it becomes.
const SECTIONS: [(&str, &str); 4] = [
    ("Results.", "RETURN VALUE"),
    ("Misuse.", "ERRORS"),
    ("Threads.", "THREADS"),
    ("Fork.", "FORK"),
];

/// The pages by their names.
pub(crate) fn pages() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("include/epollite.h")).expect("the header");
    let (head, groups) = parse(&text);
    let all: Vec<String> = groups.iter().map(page_name).collect();
    let mut pages = vec![("epollite.3".to_owned(), overview(&head, &groups))];
    for group in &groups {
        pages.push((format!("{}.3", page_name(group)), group_page(&head, group, &all)));
    }
    pages
}

/// The name of a group's page.
fn page_name(group: &Group) -> String {
    format!("epollite-{}", group.title.replace(' ', "-"))
}

/// Reads the header: the paragraphs of its first comment, and its groups.
fn parse(text: &str) -> (Vec<String>, Vec<Group>) {
    let mut groups: Vec<Group> = Vec::new();
    let head = text.split_once("*/").expect("a comment").0;
    for part in text.split("\n/* ---").skip(1) {
        let (rule, body) = part.split_once('\n').expect("a line");
        let title = rule.trim_matches(['-', ' ', '*', '/']).to_owned();
        let body = body.split("#ifdef __cplusplus").next().unwrap_or(body);
        let items = body.split("\n\n").filter(|item| !item.trim().is_empty()).map(item).collect();
        groups.push(Group { title, items });
    }
    (paragraphs(head), groups)
}

fn item(text: &str) -> Item {
    let text = text.trim_matches('\n');
    let (comment, code) = if text.starts_with("/*") {
        text.split_once("*/").expect("the comment ends")
    } else {
        ("", text)
    };
    Item {
        paragraphs: paragraphs(comment),
        declarations: code.trim_matches('\n').lines().map(str::to_owned).collect(),
    }
}

/// The paragraphs of a comment. Indented lines, which are code, are left out.
fn paragraphs(comment: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in comment.lines() {
        let line = line.trim_start().trim_start_matches("/*").trim_start_matches('*');
        if line.starts_with("     ") {
            continue;
        }
        let words = line.trim();
        match paragraphs.last_mut() {
            Some(last) if !words.is_empty() => {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(words);
            }
            _ => paragraphs.push(String::new()),
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// The functions that declarations declare, and macros that are used as functions, by name.
pub(crate) fn functions(declarations: &[String]) -> Vec<&str> {
    let names = declarations
        .iter()
        .filter(|line| !line.starts_with([' ', '#']) || line.starts_with("#define epl_"));
    names
        .filter_map(|line| {
            let name = &line[..line.find('(')?];
            let begin = name.rfind("epl_")?;
            Some(&name[begin..])
        })
        .collect()
}

/// The constants and types that declarations define.
fn constants(declarations: &[String]) -> Vec<String> {
    let word = |text: &str| text.split([' ', '(', ';']).next().unwrap_or(text).to_owned();
    let defined = declarations.iter().filter_map(|line| match line.strip_prefix("#define ") {
        Some(rest) if rest.split(' ').next()?.contains('(') => None,
        Some(rest) => Some(word(rest)),
        None => Some(word(line.strip_prefix("typedef struct ")?)),
    });
    defined.collect()
}

fn overview(head: &[String], groups: &[Group]) -> String {
    let about = "an epoll reactor for programs in C and C++";
    let mut page = Page::new("epollite", "3", "epollite", about);
    synopsis(&mut page, ["#include <epollite.h>"]);
    page.heading("DESCRIPTION");
    for text in head.iter().skip(1) {
        if !SECTIONS.iter().any(|(word, _)| text.starts_with(word)) {
            page.paragraph(text);
        }
    }
    page.heading("FUNCTIONS");
    for group in groups {
        let names: Vec<_> =
            group.items.iter().flat_map(|item| functions(&item.declarations)).collect();
        let term = vec![bold(page_name(group)), roman("(3)")];
        page.term(term, &format!("{}.", names.join(", ")));
    }
    common(&mut page, head);
    example(&mut page, "echo.c");
    let pages = groups.iter().map(|group| (page_name(group), "3"));
    page.see_also(pages.chain([("epollite".into(), "1"), ("epoll".into(), "7")]));
    page.render()
}

fn group_page(head: &[String], group: &Group, all: &[String]) -> String {
    let name = page_name(group);
    let functions_of = |item: &Item| functions(&item.declarations).join(", ");
    let names: Vec<_> =
        group.items.iter().map(functions_of).filter(|names| !names.is_empty()).collect();
    let about = format!("{} of the epollite library", group.title);
    let mut page = Page::new(&name, "3", &names.join(", "), &about);
    let code = group.items.iter().flat_map(|item| {
        item.declarations.iter().map(String::as_str).chain([""]).collect::<Vec<_>>()
    });
    synopsis(&mut page, ["#include <epollite.h>", ""].into_iter().chain(code));
    page.heading("DESCRIPTION");
    for item in group.items.iter().filter(|item| !item.paragraphs.is_empty()) {
        let functions = functions(&item.declarations).into_iter().map(|name| format!("{name}()"));
        let names: Vec<_> = functions.chain(constants(&item.declarations)).collect();
        for (at, text) in item.paragraphs.iter().enumerate() {
            match (at, names.is_empty()) {
                (_, true) => page.paragraph(text),
                (0, false) => page.term(vec![bold(names.join(", "))], text),
                (_, false) => page.more(text),
            }
        }
    }
    common(&mut page, head);
    let program = EXAMPLES.iter().find(|(title, _)| *title == group.title);
    example(&mut page, program.map_or("echo.c", |(_, program)| program));
    let others = all.iter().filter(|other| **other != name).map(|other| (other.clone(), "3"));
    page.see_also([("epollite".into(), "3")].into_iter().chain(others));
    page.render()
}

fn synopsis<'a>(page: &mut Page, lines: impl IntoIterator<Item = &'a str>) {
    page.heading("SYNOPSIS");
    page.literal(lines);
    page.paragraph("Compile and link with: cc FILE.c $(pkg-config --cflags --libs epollite)");
}

/// What holds for every function.
fn common(page: &mut Page, head: &[String]) {
    for (word, title) in SECTIONS {
        let text = head.iter().find(|text| text.starts_with(word)).expect("a paragraph");
        page.heading(title);
        page.paragraph(text[word.len()..].trim());
    }
}

fn example(page: &mut Page, program: &str) {
    let path = root().join("examples/c").join(program);
    let text = fs::read_to_string(path).expect("the example");
    page.heading("EXAMPLES");
    page.literal(text.lines());
}
