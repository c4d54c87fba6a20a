//! The record of a run, written and read back without loss; files that are not records are rejected
//! with one line. It starts no server.

use std::path::{Path, PathBuf};

use epollite_bench::schema::{Kind, ResultFile, SCHEMA, Status};

#[test]
fn a_written_record_is_read_back() {
    let record = ResultFile::read(&sample()).expect("the sample is a record");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("again.json");
    record.write(&path).expect("written");
    assert_eq!(ResultFile::read(&path).expect("read"), record, "the record is unchanged");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left");
}

#[test]
fn the_sample_has_every_part_that_a_report_draws() {
    let record = ResultFile::read(&sample()).expect("the sample is a record");
    assert_eq!((record.schema, record.kind), (SCHEMA, Kind::Compare));
    assert_eq!(record.servers[0].name, record.reference);
    assert_eq!(record.servers[1].name, record.control);
    let has_failure = |case: &epollite_bench::schema::Case| {
        case.results.iter().any(|result| result.status == Status::Failed && result.why.is_some())
    };
    assert!(
        record.cases.iter().all(has_failure),
        "every case of the sample has a failure with a reason"
    );
}

#[test]
fn invalid_records_are_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(sample()).expect("the sample");
    for (name, text, why) in [
        ("none.json", None, "cannot read"),
        ("half.json", Some(text[..text.len() / 2].to_owned()), "is not JSON"),
        ("new.json", Some(text.replace("\"schema\": 1", "\"schema\": 99")), "schema 99"),
        ("list.json", Some("[]".to_owned()), "schema unknown"),
        ("less.json", Some("{\"schema\": 1}".to_owned()), "is not the record"),
    ] {
        let path = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).expect("written");
        }
        let error = ResultFile::read(&path).expect_err(name);
        assert!(error.to_string().contains(why), "{name}: {error}");
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample.json")
}
