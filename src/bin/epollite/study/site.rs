//! The pages of every experiment as files: `docs/study` is made by this.
//!
//! They show the newest kernel that the model knows, on any machine, so that two runs write the
//! same bytes.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::kernels::{Machine, Observation};
use super::markdown::{self, Place, paragraph};
use super::ready::ready_lists;
use super::script::Script;
use super::svg;
use super::timeline::timeline;
use super::translation::{Language, Translation};
use crate::exit::CliError;
use crate::output::columns::one_line;
use crate::output::log;

/// An experiment, what the model showed, and its Chinese texts.
type Entry = (Script, Observation, Translation);

/// Writes an index, and for each experiment a picture and a page, in both languages.
pub(super) fn write(folder: &OsStr) -> Result<(), CliError> {
    let folder = Path::new(folder);
    let machine = Machine::newest();
    let mut entries: Vec<Entry> = Vec::new();
    for script in Script::course()? {
        let translation = Translation::read(folder, &script.name, &script.experiment)?;
        let model = Some(machine.on_model(&script.experiment));
        entries.push((script, Observation { model, linux: None }, translation));
    }
    let mut files = 0;
    let mut put = |name: &str, text: &str| {
        files += 1;
        let path = folder.join(name);
        let failed =
            |error| CliError::run(format!("{}: {error}", one_line(&path.to_string_lossy())));
        fs::write(&path, text).map_err(failed)
    };
    for at in 0..entries.len() {
        let (script, seen, _) = &entries[at];
        if let Some(report) = seen.shown().filter(|report| !report.is_skipped()) {
            let rows = timeline(&script.experiment, report);
            let ready = ready_lists(script, &rows, &machine);
            let kernel = format!("On the model of Linux {}.", machine.version);
            put(&format!("{}.svg", script.name), &svg::picture(script, &rows, &ready, &kernel))?;
        }
        for language in [Language::English, Language::Chinese] {
            put(&page_name(&script.name, language), &page(&machine, &entries, at, language))?;
        }
    }
    for language in [Language::English, Language::Chinese] {
        put(&page_name("README", language), &index(&machine, &entries, language))?;
    }
    let missing: usize = entries.iter().map(|(script, _, it)| it.missing(&script.experiment)).sum();
    log::write_result(&format!(
        "{} experiments, {files} files; {missing} texts have no Chinese translation\n",
        entries.len()
    ))
}

fn page_name(name: &str, language: Language) -> String {
    match language {
        Language::English => format!("{name}.md"),
        Language::Chinese => format!("{name}.zh-CN.md"),
    }
}

/// The page of one experiment, with links to its neighbours in the course.
fn page(machine: &Machine, entries: &[Entry], at: usize, language: Language) -> String {
    let (script, seen, translation) = &entries[at];
    let kernel = match language {
        Language::English => format!(
            "Observed on the model of Linux {}, and compared with Linux 6.1, 6.12 and 6.18, step \
             by step, by the tests ([docs/kernels.md](../kernels.md)):",
            machine.version
        ),
        Language::Chinese => format!(
            "以下是 Linux {} 模型上的结果；测试会逐步与 Linux 6.1、6.12、6.18 \
             对照（[docs/kernels.md](../kernels.md)）：",
            machine.version
        ),
    };
    let has_picture = seen.shown().is_some_and(|report| !report.is_skipped());
    let place = Place { language, translation, kernel: &kernel, has_picture };
    let mut page = markdown::experiment(script, machine, seen, &place);
    let name = &script.name;
    let neighbour = |at: Option<usize>| {
        let name = at.and_then(|at| entries.get(at)).map(|(script, _, _)| script.name.as_str());
        name.map_or_else(
            || "-".to_owned(),
            |name| format!("[{name}]({})", page_name(name, language)),
        )
    };
    let (before, after) = (neighbour(at.checked_sub(1)), neighbour(Some(at + 1)));
    let (other, index) = match language {
        Language::English => (page_name(name, Language::Chinese), page_name("README", language)),
        Language::Chinese => (page_name(name, Language::English), page_name("README", language)),
    };
    page += &match language {
        Language::English => format!(
            "\nRun it on your kernel with `epollite study {name}`; its text is\n\
             [{name}.txt](../../src/study/experiments/{name}.txt).\n\n\
             - before: {before}\n- next: {after}\n- [all experiments]({index})\n- [中文]({other})\n"
        ),
        Language::Chinese => format!(
            "\n在本机内核上运行：`epollite study {name}`。实验的文本：\n\
             [{name}.txt](../../src/study/experiments/{name}.txt)。\n\n\
             - 上一个：{before}\n- 下一个：{after}\n- [全部实验]({index})\n- [English]({other})\n"
        ),
    };
    page
}

/// The table of facts, with a link to each page.
fn index(machine: &Machine, entries: &[Entry], language: Language) -> String {
    let (count, version) = (entries.len(), machine.version);
    let mut page = match language {
        Language::English => {
            String::from("# Experiments with epoll\n\n[中文](README.zh-CN.md)\n\n")
        }
        Language::Chinese => String::from("# epoll 实验\n\n[English](README.md)\n\n"),
    };
    page += &paragraph(&match language {
        Language::English => format!(
            "{count} questions about epoll and sockets, each with the calls that answer it, in the \
             order of a course. This folder is generated by `make study-docs`. What it shows was \
             observed on the model of Linux {version}, or, where that has no model, is expected of \
             Linux; the tests compare every result with the running kernel and, in virtual \
             machines, with Linux 6.1 and 6.12. What differs \
             between kernels is in [docs/kernels.md](../kernels.md). `epollite study --all` prints \
             this table for your kernel."
        ),
        Language::Chinese => format!(
            "{count} 个关于 epoll 和套接字的问题，以及回答它们的系统调用，按课程顺序排列。本目录由 `make \
             study-docs` 生成。所示结果来自 Linux {version} \
             的模型；模型不支持的，则是对 Linux 的预期。测试会把每个结果与正在运行的内核对照，并在虚拟机中与 Linux 6.1 和 6.12 \
             对照。不同内核之间的差异见 [docs/kernels.md](../kernels.md)。`epollite study --all` \
             打印本机内核的同一张表。"
        ),
    });
    page.push('\n');
    let rows: Vec<_> = entries.iter().map(|(script, seen, it)| (script, seen, it)).collect();
    let link = |name: &str| format!("[{name}]({})", page_name(name, language));
    page + &markdown::facts(machine, &rows, language, link)
}
