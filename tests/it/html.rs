//! Pages of `--format html`: one well-formed file that loads nothing, in which names are text. What the script does with them
//! is tested in a browser by `tests/browser/report.mjs`.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use crate::support::Sandbox;

/// Names that would end the element, the attribute or the script that they stand in, if they were not escaped.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "<!--<script>",
    "line\u{2028}end\u{2029}",
    "&lt;b&gt;'`${x}{{y}}",
];

/// The contents of the element that begins with `start`.
fn inside<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    rest.split_once(end).unwrap().0
}

/// Elements and attributes of a page; fails unless it is well-formed.
fn elements(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let script = inside(page, "<script>", "</script>");
    let style = inside(page, "<style>", "</style>");
    let markup = page.replacen(script, "", 1).replacen(style, "", 1);
    let markup = markup.strip_prefix("<!DOCTYPE html>").unwrap();
    let mut reader = Reader::from_str(markup);
    let mut elements = Vec::new();
    let mut depth = 0;
    loop {
        let (start, is_open) = match reader.read_event().unwrap() {
            Event::Start(start) => (start, 1),
            Event::Empty(start) => (start, 0),
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        depth += is_open;
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            (attribute.key.as_ref().to_owned(), attribute.value.into_owned())
        });
        elements.push((start.name().as_ref().to_owned(), attributes.collect()));
    }
    assert_eq!(depth, 0);
    elements
}

fn assert_self_contained(page: &str) {
    let elements = elements(page);
    for (name, attributes) in &elements {
        assert!(
            !matches!(name.as_str(), "link" | "img" | "iframe" | "object" | "base"),
            "{name}"
        );
        for (key, value) in attributes {
            assert!(
                !key.starts_with("on") && key != "src" && key != "style",
                "{name} {key}={value}"
            );
            assert!(key != "href" || value.starts_with('#'), "{name} {key}={value}");
        }
    }
    let scripts = elements.iter().filter(|(name, _)| name == "script").count();
    assert_eq!(scripts, 2, "the data and the script");
    let policy = inside(page, "Content-Security-Policy\" content=\"", "\"");
    assert!(
        policy.starts_with("default-src 'none';") || policy.starts_with("default-src &#39;none&#39;;"),
        "{policy}"
    );
}

/// The names on the map.
fn names(page: &str) -> Vec<String> {
    let data: Value = serde_json::from_str(inside(
        page,
        "<script type=\"application/json\" id=\"data\">",
        "</script>",
    ))
    .unwrap();
    let names = data["map"]["names"].as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_load_nothing_and_names_are_text_in_them() {
    let sandbox = Sandbox::new();
    for name in HOSTILE {
        sandbox.file(&format!("opt/share/{name}"), name);
        // A finding names it, too.
        sandbox.link(&format!("opt/bin/{name}"), format!("nowhere/{name}"));
    }
    let on_stdout = |arguments: &[&str]| {
        let ran = sandbox.run(arguments);
        assert!(ran.stdout.starts_with("<!DOCTYPE html>\n"), "{ran:#?}");
        ran.stdout
    };
    let analyzed = on_stdout(&["analyze", "opt", "--format", "html"]);
    sandbox.run(["pack", "opt", "-o", "layers", "--report", "html=pack.html"]);
    let packed = fs_err::read_to_string(sandbox.path("pack.html")).unwrap();
    let checked = on_stdout(&["check", "layers", "-f", "html"]);
    let difference = on_stdout(&["diff", "opt", "layers", "-f", "html"]);
    for page in [&analyzed, &packed, &checked, &difference] {
        assert_self_contained(page);
        let names = names(page);
        for name in HOSTILE.iter().filter(|name| !name.contains('\u{2028}')) {
            assert!(names.iter().any(|shown| shown == name), "{name} is not in {names:?}");
        }
    }
    // The findings and their explanations are there without the script.
    assert!(analyzed.contains("<code>dangling-link</code>") && analyzed.contains("<dt>Cause</dt>"));
}

#[test]
fn a_page_may_not_share_stdout_and_needs_no_map() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/share/x", "x");
    let two = sandbox.run(["analyze", "opt", "-f", "html", "-o", "json"]);
    assert_eq!(two.status, 2, "{two:#?}");
    let same = sandbox.run(["diff", "opt", "opt", "-f", "html"]).stdout;
    assert_self_contained(&same);
    assert!(same.contains("have the same contents"), "{same}");
}
