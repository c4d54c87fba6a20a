//! JSON as text: values are made from the inside out, without whitespace.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// A string, with its quotes.
pub(crate) fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json + "\""
}

/// A string, or `null`.
pub(crate) fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), json_string)
}

/// An object; its values are JSON.
pub(crate) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}:{value}", json_string(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// An array of JSON values.
pub(crate) fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// A name as a field; if it is not valid UTF-8 its bytes are added in a separate field.
pub(crate) fn named(field: &str, name: &OsStr) -> String {
    let bytes = name.as_bytes();
    if let Ok(text) = str::from_utf8(bytes) {
        return format!("\"{field}\":{}", json_string(text));
    }
    let text = json_string(&bytes.escape_ascii().to_string());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{field}\":{text},\"{field}_hex\":\"{hex}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(json_string("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }

    #[test]
    fn values_are_put_together() {
        let list = array(["1".to_owned(), optional(None)].into_iter());
        assert_eq!(object(&[("a", list), ("b", optional(Some("c")))]), r#"{"a":[1,null],"b":"c"}"#);
    }
}
