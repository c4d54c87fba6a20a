//! Events of Chrome's trace format, which ui.perfetto.dev and chrome://tracing load.
//!
//! Knows one event; a file of them is `perfetto.rs`, and a picture of an experiment
//! `study/perfetto.rs`. Reference: "Trace Event Format".

use crate::output::json::{json_string, object};

/// Where an event is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Track {
    pub(crate) process: u32,
    pub(crate) thread: u64,
}

impl Track {
    /// Names its process.
    pub(crate) fn process_name(self, name: &str) -> String {
        self.name("process_name", name)
    }

    /// Names itself.
    pub(crate) fn thread_name(self, name: &str) -> String {
        self.name("thread_name", name)
    }

    fn name(self, kind: &str, name: &str) -> String {
        self.event("M", kind, &[("args", object(&[("name", json_string(name))]))])
    }

    /// Something that takes `took` nanoseconds from `start` on. `arguments` are JSON.
    pub(crate) fn slice(
        self,
        name: &str,
        start: u128,
        took: u128,
        arguments: &[(&str, String)],
    ) -> String {
        let args = object(arguments);
        self.event("X", name, &[("ts", micros(start)), ("dur", micros(took)), ("args", args)])
    }

    /// Something without a duration.
    pub(crate) fn instant(self, name: &str, at: u128) -> String {
        self.event("i", name, &[("s", json_string("t")), ("ts", micros(at))])
    }

    fn event(self, phase: &str, name: &str, others: &[(&str, String)]) -> String {
        let mut fields = vec![
            ("name", json_string(name)),
            ("ph", json_string(phase)),
            ("pid", self.process.to_string()),
            ("tid", self.thread.to_string()),
        ];
        fields.extend_from_slice(others);
        object(&fields)
    }
}

/// Nanoseconds as the microseconds of the format, exactly.
fn micros(nanos: u128) -> String {
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_microseconds_with_nanoseconds_behind_the_point() {
        let track = Track { process: 2, thread: 3 };
        assert_eq!(
            track.slice("a\"", 1_002_345, 4_067, &[("x", "1".to_owned())]),
            r#"{"name":"a\"","ph":"X","pid":2,"tid":3,"ts":1002.345,"dur":4.067,"args":{"x":1}}"#
        );
        assert_eq!(
            track.instant("b", 7),
            r#"{"name":"b","ph":"i","pid":2,"tid":3,"s":"t","ts":0.007}"#
        );
        assert_eq!(
            track.thread_name("main"),
            r#"{"name":"thread_name","ph":"M","pid":2,"tid":3,"args":{"name":"main"}}"#
        );
    }
}
