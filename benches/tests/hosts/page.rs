//! What docs/machines.md shows: its blocks, by name, as a shell is to run them.

/// The block that stands under `<!-- tested: NAME -->`.
pub(crate) fn block(name: &str) -> String {
    let page = include_str!("../../../docs/machines.md");
    let mark = format!("<!-- tested: {name} -->\n```sh\n");
    let (_, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("the page has no {mark}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// Its manifest.
pub(crate) fn manifest() -> &'static str {
    let (_, rest) = include_str!("../../../docs/machines.md").split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0
}
