//! A strict JSON parser that covers what the program's own lines need.

use std::collections::BTreeMap;

/// A value. Numbers keep their source text.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Text(String),
    Number(String),
    Literal(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    /// Parses a whole line as one value.
    #[track_caller]
    pub(crate) fn parse(line: &str) -> Self {
        let mut reader = Reader { rest: line };
        let value = reader.value().filter(|_| reader.rest.is_empty());
        value.unwrap_or_else(|| panic!("invariant: a line is one JSON value; got {line:?}"))
    }

    /// The value at `path`, names joined by dots.
    #[track_caller]
    pub(crate) fn at(&self, path: &str) -> &Self {
        self.find(path).unwrap_or_else(|| panic!("invariant: {path} is present; got {self:?}"))
    }

    /// The integer at `path`.
    #[track_caller]
    pub(crate) fn number(&self, path: &str) -> u64 {
        match self.at(path) {
            Self::Number(digits) => digits.parse().expect("a count is a whole number"),
            other => panic!("invariant: {path} is a number; got {other:?}"),
        }
    }

    /// The number at `path`, or zero if it is missing: call kinds with no calls are left out.
    pub(crate) fn count(&self, path: &str) -> u64 {
        self.find(path).map_or(0, |_| self.number(path))
    }

    /// The string at `path`.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        match self.at(path) {
            Self::Text(text) => text.clone(),
            other => panic!("invariant: {path} is a string; got {other:?}"),
        }
    }

    /// The keys of the object at `path`.
    #[track_caller]
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        match self.at(path) {
            Self::Object(members) => members.keys().cloned().collect(),
            other => panic!("invariant: {path} is an object; got {other:?}"),
        }
    }

    fn find(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, name| match value {
            Self::Object(members) => members.get(name),
            _ => None,
        })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<Json> {
        match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.list(),
            '"' => self.text().map(Json::Text),
            '-' | '0'..='9' => {
                let digits = self.run(|c| c.is_ascii_digit() || "+-.eE".contains(c));
                digits.parse::<f64>().ok().map(|_| Json::Number(digits))
            }
            _ => match self.run(|c| c.is_ascii_lowercase()) {
                word if ["true", "false", "null"].contains(&word.as_str()) => {
                    Some(Json::Literal(word))
                }
                _ => None,
            },
        }
    }

    fn object(&mut self) -> Option<Json> {
        let mut members = BTreeMap::new();
        self.skip('{')?;
        while !self.rest.starts_with('}') {
            if !members.is_empty() {
                self.skip(',')?;
            }
            let name = self.text()?;
            self.skip(':')?;
            let value = self.value()?;
            if members.insert(name, value).is_some() {
                return None;
            }
        }
        self.skip('}')?;
        Some(Json::Object(members))
    }

    fn list(&mut self) -> Option<Json> {
        let mut values = Vec::new();
        self.skip('[')?;
        while !self.rest.starts_with(']') {
            if !values.is_empty() {
                self.skip(',')?;
            }
            values.push(self.value()?);
        }
        self.skip(']')?;
        Some(Json::List(values))
    }

    fn text(&mut self) -> Option<String> {
        self.skip('"')?;
        let mut text = String::new();
        loop {
            match self.one()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                control if control < ' ' => return None,
                plain => text.push(plain),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        match self.one()? {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'u' => {
                let digits = self.rest.get(..4)?;
                self.rest = self.rest.get(4..)?;
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)
            }
            itself @ ('"' | '\\' | '/') => Some(itself),
            _ => None,
        }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run.to_owned()
    }

    fn one(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let first = rest.next()?;
        self.rest = rest.as_str();
        Some(first)
    }

    /// Consumes `sign` and the whitespace around it.
    fn skip(&mut self, sign: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(sign)?;
        if sign != '"' {
            self.rest = self.rest.trim_start();
        }
        Some(())
    }
}
