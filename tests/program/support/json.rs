//! The program's JSON lines: `serde_json` values, with lookups that name what is missing.

use serde_json::Value;

/// One line of the program.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Json(Value);

impl Json {
    /// Parses a whole line as one value.
    ///
    /// The program writes no whitespace and no key twice, so the value serializes to the same
    /// length again: `serde_json` alone would accept a repeated key.
    #[track_caller]
    pub(crate) fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("invariant: a line is one JSON value; {error}: {line}"));
        let again = value.to_string();
        assert_eq!(again.len(), line.len(), "invariant: each key occurs once; {line} is {again}");
        Self(value)
    }

    /// The integer at `path`, names joined by dots.
    #[track_caller]
    pub(crate) fn number(&self, path: &str) -> u64 {
        self.at(path, Value::as_u64, "a whole number")
    }

    /// The integer at `path`, or zero if it is missing: call kinds with no calls are left out.
    pub(crate) fn count(&self, path: &str) -> u64 {
        self.find(path).map_or(0, |_| self.number(path))
    }

    /// The string at `path`.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        self.at(path, Value::as_str, "a string").to_owned()
    }

    /// The keys of the object at `path`.
    #[track_caller]
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        self.at(path, Value::as_object, "an object").keys().cloned().collect()
    }

    #[track_caller]
    fn at<'a, T>(&'a self, path: &str, read: fn(&'a Value) -> Option<T>, kind: &str) -> T {
        self.find(path)
            .and_then(read)
            .unwrap_or_else(|| panic!("invariant: {path} is {kind}; got {}", self.0))
    }

    fn find(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |value, name| value.get(name))
    }
}
