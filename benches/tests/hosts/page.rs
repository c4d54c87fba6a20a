//! The code blocks of docs/machines.md, by name.

/// The block below `<!-- tested: NAME -->`.
pub(crate) fn block(name: &str) -> String {
    let page = include_str!("../../../docs/machines.md");
    let mark = format!("<!-- tested: {name} -->\n```sh\n");
    let (_, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("the page has no {mark}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// The Kubernetes manifest.
pub(crate) fn manifest() -> &'static str {
    let (_, rest) = include_str!("../../../docs/machines.md").split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0
}
