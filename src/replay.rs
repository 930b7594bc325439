//! Whether a function still answers as it did in a recording; and if it does not, which of the files that were left out of its
//! layers it looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use serde_json_path::JsonPath;
use similar::TextDiff;

use crate::languages::code_files::is_code;
use crate::languages::components::Components;
use crate::manifest::Manifest;
use crate::recording::{PathUse, Payload, RecordedEvent, RecordedPath};
use crate::tree::path::escaped;
use crate::tree::{Tree, TreePath};

/// How long a diff may be refined; after that it is coarser.
const REFINED: Duration = Duration::from_secs(2);

/// After so many rounds of single files, everything of the packages that they belong to is taken back.
const ROUNDS_OF_FILES: usize = 3;

/// Compares an event of a recording with the same event sent again: `None` if both have the same response, to the byte, or
/// the same error. What `ignored` selects of a JSON document does not count. The difference is a unified diff.
pub fn difference(recorded: &RecordedEvent, replayed: &RecordedEvent, ignored: &[JsonPath]) -> Option<String> {
    let (before, after) = (Outcome::of(recorded), Outcome::of(replayed));
    if before == after
        || !ignored.is_empty()
            && before.document(ignored).is_some_and(|before_document| {
                before.status() == after.status() && after.document(ignored).as_ref() == Some(&before_document)
            })
    {
        return None;
    }
    let (mut old, mut new) = (before.text(ignored), after.text(ignored));
    if old == new {
        // The documents are the same, and only their spelling differs.
        (old, new) = (before.spelling(), after.spelling());
    }
    let diff = TextDiff::configure().timeout(REFINED).diff_lines(&old, &new);
    let text = diff.unified_diff().header("recorded", "replayed").to_string();
    let lines: Vec<String> = text.lines().map(|line| escaped(line.as_bytes())).collect();
    Some(lines.join("\n") + "\n")
}

/// What became of an event.
#[derive(Debug, PartialEq)]
enum Outcome {
    Response(Vec<u8>),
    Error(Value),
}

impl Outcome {
    fn of(event: &RecordedEvent) -> Self {
        match (&event.error, &event.response) {
            (None, response) => Self::Response(response.as_ref().and_then(Payload::bytes).unwrap_or_default()),
            (Some(error), _) => Self::Error(json!({
                "errorType": error.error_type,
                "errorMessage": error.error_message,
                "stackTrace": error.stack_trace,
            })),
        }
    }

    fn status(&self) -> &'static str {
        match self {
            Self::Response(_) => "success",
            Self::Error(_) => "error",
        }
    }

    /// The JSON document without what is ignored; `None` for a response that is not JSON.
    fn document(&self, ignored: &[JsonPath]) -> Option<Value> {
        let mut document = match self {
            Self::Response(bytes) => serde_json::from_slice(bytes).ok()?,
            Self::Error(error) => error.clone(),
        };
        for path in ignored {
            let found = path.query_located(&document);
            let pointers: Vec<String> = found.iter().map(|node| node.location().to_json_pointer()).collect();
            for pointer in pointers {
                remove(&mut document, &pointer);
            }
        }
        Some(document)
    }

    fn text(&self, ignored: &[JsonPath]) -> String {
        match self.document(ignored) {
            Some(document) => {
                let pretty = serde_json::to_string_pretty(&document).unwrap_or_default();
                format!("{}\n{pretty}\n", self.status())
            }
            None => self.spelling(),
        }
    }

    fn spelling(&self) -> String {
        match self {
            Self::Response(bytes) => {
                let lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(escaped).collect();
                format!("success\n{}\n", lines.join("\n"))
            }
            Self::Error(error) => format!("error\n{error}\n"),
        }
    }
}

/// Removes what a JSON pointer (RFC 6901) leads to. In an array `null` takes its place, so that the others stay where they
/// are.
fn remove(document: &mut Value, pointer: &str) {
    let Some((above, name)) = pointer.rsplit_once('/') else {
        *document = Value::Null;
        return;
    };
    match document.pointer_mut(above) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(values)) => {
            if let Some(value) = name.parse().ok().and_then(|index: usize| values.get_mut(index)) {
                *value = Value::Null;
            }
        }
        _ => {}
    }
}

/// A file that was left out of layers and that a function looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// Its path on Lambda.
    pub path: String,
    /// The rule that left it out.
    pub rule: String,
    /// The layer in which it is, if what was left out was written as further layers.
    pub layer: Option<String>,
}

/// What was seen of functions whose events were sent again.
#[derive(Debug, Default)]
pub struct Observed {
    /// Everything that they used.
    pub used: Vec<RecordedPath>,
    /// The errors and logs of the events that were answered differently, and what processes of these functions that failed
    /// wrote to standard error.
    pub words: String,
    /// What the recordings used that were answered differently.
    pub recorded: Vec<RecordedPath>,
}

/// What the manifests of layers say was left out.
#[derive(Debug, Default)]
pub struct LeftOutFiles {
    /// By the paths in the tree; a directory has a `/` at its end.
    rules: BTreeMap<String, String>,
    layers: BTreeMap<String, String>,
    /// What is in the layers.
    packed: BTreeSet<String>,
}

impl LeftOutFiles {
    /// Collects what these manifests say.
    pub fn of(manifests: &[Manifest]) -> Self {
        let mut all = Self::default();
        for manifest in manifests {
            for dropped in &manifest.dropped {
                let paths = dropped.paths.iter().map(|path| (path.clone(), dropped.rule.clone()));
                all.rules.extend(paths);
            }
            let rest = manifest
                .rest
                .iter()
                .flat_map(|rest| rest.layers.iter().map(move |layer| (rest, layer)));
            for (rest, layer) in rest {
                let name = format!("{}/{}", rest.directory, layer.file);
                let contents = layer.contents.iter().map(|entry| (entry.path.clone(), name.clone()));
                all.layers.extend(contents);
            }
            let contents = manifest.layers.iter().flat_map(|layer| &layer.contents);
            all.packed.extend(contents.map(|entry| entry.path.clone()));
        }
        let Self { rules, packed, .. } = &mut all;
        // Another one of these layers may have what was left out of the first.
        rules.retain(|path, _| !packed.contains(path) && below(packed, path).next().is_none());
        all
    }

    /// Whether anything was left out because no recording used it.
    pub fn has_guesses(&self) -> bool {
        self.rules.values().any(|rule| rule == crate::rules::unused::RULE)
    }

    /// What was used, left out and not found, sorted by path: files, and directories of which no
    /// file was looked for.
    ///
    /// A language that looks only into lists of directories asks for nothing that is not there. Where `words` are those of an
    /// error, what is missing in a listed directory counts if it is named in them, or the directory is and holds nothing else.
    /// In a directory without code and directories no language looks for modules: whoever lists it uses what is in it.
    pub fn looked_for(&self, used: &[RecordedPath], words: &str) -> Vec<LeftOut> {
        let mut paths: BTreeSet<String> = BTreeSet::new();
        for asked in used.iter().filter(|asked| !asked.found) {
            let Some(path) = TreePath::from_lambda(&asked.path) else {
                continue;
            };
            let links = path.ancestors().map(|above| above.as_str().to_owned());
            let candidates = [path.to_string(), format!("{path}/")].into_iter().chain(links);
            paths.extend(
                candidates
                    .into_iter()
                    .find(|candidate| self.rules.contains_key(candidate)),
            );
        }
        let names: BTreeSet<&str> = words
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .collect();
        let is_named = |path: &str| {
            let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            name.split('.').next().is_some_and(|stem| names.contains(stem))
        };
        let found: BTreeSet<&str> = used
            .iter()
            .filter(|path| path.found)
            .map(|path| path.path.as_str())
            .collect();
        let is_empty = |directory: &TreePath| {
            let start = format!("{}/", directory.on_lambda());
            let below = found.range(start.as_str()..).next();
            below.is_none_or(|path| !path.starts_with(&start))
        };
        for (directory, entries) in self.missing_in_listed(used) {
            let all = is_named(directory.as_str()) && is_empty(&directory) || self.has_data_alone(&directory, &entries);
            paths.extend(entries.into_iter().filter(|path| all || is_named(path)));
        }
        let has_more = |directory: &String| {
            let mut below = paths.range(directory.clone()..).skip(1);
            below.next().is_some_and(|next| next.starts_with(directory.as_str()))
        };
        let shown = paths.iter().filter(|path| !(path.ends_with('/') && has_more(path)));
        shown.filter_map(|path| self.left_out(path)).collect()
    }

    /// What functions missed that answered differently: what the recordings found and was left out; if there is nothing of the
    /// kind, what they looked for and did not find.
    ///
    /// Of the first, that counts which was looked for again: without success, or by listing the directory in which it was. What was
    /// only asked for when it was recorded, or goes by another rule than for want of use, a function may do without.
    pub fn missed(&self, run: &Observed) -> Vec<LeftOut> {
        let is_opened = |path: &&RecordedPath| path.uses.iter().any(|how| *how != PathUse::Asked);
        let found = || run.recorded.iter().filter(|path| path.found);
        let (opened, all) = (self.names(found().filter(is_opened)), self.names(found()));
        let in_vain = self.names(run.used.iter().filter(|path| !path.found));
        let listed = self.missing_in_listed(&run.used);
        let listed: BTreeSet<String> = listed.into_iter().flat_map(|(_, entries)| entries).collect();
        let is_unused = |name: &&String| self.rules[*name] == crate::rules::unused::RULE;
        let both = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.intersection(other).cloned().collect();
        let unused: BTreeSet<String> = all.iter().filter(is_unused).cloned().collect();
        let kinds: [BTreeSet<String>; 7] = [
            both(&unused, &in_vain),
            both(&opened, &in_vain),
            both(&opened, &listed),
            opened,
            both(&all, &in_vain),
            both(&all, &listed),
            all,
        ];
        match kinds.iter().find(|names| !names.is_empty()) {
            Some(names) => names.iter().filter_map(|name| self.left_out(name)).collect(),
            None => self.looked_for(&run.used, &run.words),
        }
    }

    /// Those of some paths that were left out, by their names in the tree.
    fn names<'r>(&self, paths: impl Iterator<Item = &'r RecordedPath>) -> BTreeSet<String> {
        let paths = paths.filter_map(|path| TreePath::from_lambda(&path.path));
        let names = paths.flat_map(|path| [path.to_string(), format!("{path}/")]);
        names.filter(|name| self.rules.contains_key(name)).collect()
    }

    /// What was left out of directories that were listed, by the paths in the tree.
    fn missing_in_listed(&self, used: &[RecordedPath]) -> Vec<(TreePath, Vec<String>)> {
        let listed = used
            .iter()
            .filter(|path| path.found && path.uses.contains(&PathUse::Listed));
        let listed = listed.filter_map(|path| TreePath::from_lambda(&path.path));
        let with_entries = listed.map(|directory| {
            let start = if directory.is_root() {
                String::new()
            } else {
                format!("{directory}/")
            };
            let below = self.rules.range(start.clone()..).map(|(path, _)| path);
            let below = below.take_while(|path| path.starts_with(&start)).cloned();
            let is_entry = |name: &str| !name.is_empty() && !name.trim_end_matches('/').contains('/');
            let entries = below.filter(|path| is_entry(&path[start.len()..]));
            (directory, entries.collect())
        });
        with_entries.collect()
    }

    /// Whether a directory of which some entries were left out has neither directories nor anything that may be a module.
    fn has_data_alone(&self, directory: &TreePath, left_out: &[String]) -> bool {
        let start = format!("{directory}/");
        let is_data = |path: &String| {
            let name = TreePath::new(&path[start.len()..]);
            name.is_some_and(|name| !name.as_str().contains('/') && !is_code(&name) && !name.as_str().contains(".so"))
        };
        !directory.is_root() && left_out.iter().chain(below(&self.packed, &start)).all(is_data)
    }

    fn left_out(&self, path: &str) -> Option<LeftOut> {
        let rule = self.rules.get(path)?;
        let file = path.trim_end_matches('/');
        let below = format!("{file}/");
        let inside = self
            .layers
            .range(below.clone()..)
            .next()
            .filter(|(path, _)| path.starts_with(&below));
        let layer = self.layers.get(file).or(inside.map(|(_, layer)| layer));
        Some(LeftOut {
            path: TreePath::new(file)?.on_lambda(),
            rule: rule.clone(),
            layer: layer.cloned(),
        })
    }

    /// What to pack again so that functions that answered differently may answer as before, after so many rounds: what they
    /// missed; if that is not known, what is missing in directories that they listed, the deepest of these first: those above
    /// them are also listed to find them.
    pub fn to_take_back(&self, run: &Observed, tree: &Tree, round: usize) -> BTreeSet<TreePath> {
        let missed = self.missed(run);
        let mut paths: BTreeSet<TreePath> = missed
            .iter()
            .filter_map(|left_out| TreePath::from_lambda(&left_out.path))
            .collect();
        if paths.is_empty() {
            let listed = self.missing_in_listed(&run.used);
            let depth = |directory: &TreePath| directory.names().count();
            let with_entries = listed.iter().filter(|(_, entries)| !entries.is_empty());
            let deepest = with_entries.map(|(directory, _)| depth(directory)).max();
            let is_due = |directory: &TreePath| round > ROUNDS_OF_FILES || Some(depth(directory)) == deepest;
            let due = listed.iter().filter(|(directory, _)| is_due(directory));
            let entries = due.flat_map(|(_, entries)| entries);
            paths.extend(entries.filter_map(|path| TreePath::new(path.trim_end_matches('/'))));
        }
        if round > ROUNDS_OF_FILES {
            let components = Components::of(tree);
            let units: BTreeSet<&TreePath> = paths.iter().filter_map(|path| components.unit(path)).collect();
            let left_out = self
                .rules
                .keys()
                .filter_map(|path| TreePath::new(path.trim_end_matches('/')));
            let of_units: Vec<TreePath> = left_out
                .filter(|path| components.unit(path).is_some_and(|unit| units.contains(unit)))
                .collect();
            paths.extend(of_units);
        }
        paths
    }
}

/// Those of some paths that are below a directory, which has a `/` at its end; none for a file.
fn below<'p>(paths: &'p BTreeSet<String>, directory: &str) -> impl Iterator<Item = &'p String> {
    let start = directory.to_owned();
    let first = paths.range(directory.to_owned()..);
    first.take_while(move |path| start.ends_with('/') && path.starts_with(&start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::RecordedError;

    fn event(response: Option<&str>) -> RecordedEvent {
        RecordedEvent {
            name: "e".to_owned(),
            request_id: "1".to_owned(),
            payload: Payload::of(b"{}"),
            response: response.map(|text| Payload::of(text.as_bytes())),
            error: response.is_none().then(|| RecordedError {
                error_type: "E".to_owned(),
                error_message: "m".to_owned(),
                stack_trace: Vec::new(),
            }),
        }
    }

    fn compared(before: Option<&str>, after: Option<&str>, ignored: &[&str]) -> Option<String> {
        let ignored: Vec<JsonPath> = ignored.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        difference(&event(before), &event(after), &ignored)
    }

    #[test]
    fn responses_are_the_same_to_the_byte_or_but_for_what_is_ignored() {
        for (before, after, ignored, same) in [
            ("{\"a\":1}", "{\"a\":1}", &[][..], true),
            ("{\"a\":1}", "{\"a\": 1}", &[], false),
            ("{\"a\":1,\"t\":5}", "{\"a\":1,\"t\":6}", &[], false),
            ("{\"a\":1,\"t\":5}", "{\"a\":1,\"t\":6}", &["$.t"], true),
            ("{\"a\":1,\"t\":5}", "{\"a\":2,\"t\":6}", &["$.t"], false),
            (
                "[{\"id\":1,\"x\":1},{\"id\":2}]",
                "[{\"id\":3,\"x\":1},{\"id\":4}]",
                &["$[*].id"],
                true,
            ),
            ("[1,2,3]", "[1,9,3]", &["$[1]"], true),
            ("[1,2,3]", "[1,9,4]", &["$[1]"], false),
            ("text", "text", &["$.t"], true),
            ("text", "other", &["$"], false),
        ] {
            let difference = compared(Some(before), Some(after), ignored);
            assert_eq!(
                difference.is_none(),
                same,
                "{before} {after} {ignored:?}: {difference:?}"
            );
        }
        assert!(compared(None, None, &[]).is_none());
        assert!(compared(Some("1"), None, &["$"]).is_some());
    }

    #[test]
    fn a_difference_is_a_diff_of_lines() {
        let text = compared(Some("{\"a\":1,\"b\":2}"), Some("{\"a\":1,\"b\":3}"), &[]).unwrap();
        assert!(text.contains("-  \"b\": 2\n+  \"b\": 3\n"), "{text}");
        let spelling = compared(Some("{\"a\":1}"), Some("{\"a\": 1}"), &[]).unwrap();
        assert!(spelling.contains("-{\"a\":1}\n+{\"a\": 1}\n"), "{spelling}");
        let hostile = compared(Some("a"), Some("\u{1b}[2J"), &[]).unwrap();
        assert!(!hostile.contains('\u{1b}'), "{hostile}");
    }

    fn left_out() -> LeftOutFiles {
        let rules = [
            ("lib/a/", "unused"),
            ("lib/a/x.py", "unused"),
            ("lib/b.so", "tests"),
            ("old", "unused"),
        ];
        LeftOutFiles {
            rules: rules.map(|(path, rule)| (path.to_owned(), rule.to_owned())).into(),
            layers: BTreeMap::from([("lib/a/x.py".to_owned(), "rest/layer-1.zip".to_owned())]),
            packed: BTreeSet::from(["lib/kept".to_owned()]),
        }
    }

    fn path(path: &str, found: bool, how: PathUse) -> RecordedPath {
        RecordedPath {
            path: path.to_owned(),
            found,
            uses: BTreeSet::from([how]),
        }
    }

    #[test]
    fn what_was_looked_for_in_vain_is_named_with_its_rule_and_layer() {
        let used = [
            path("/opt/lib/a", false, PathUse::Asked),
            path("/opt/lib/a/x.py", false, PathUse::Opened),
            path("/opt/lib/b.so", true, PathUse::Opened),
            path("/opt/lib/never", false, PathUse::Asked),
            path("/opt/old/below", false, PathUse::Asked),
        ];
        let found = left_out().looked_for(&used, "");
        let shown: Vec<String> = found
            .iter()
            .map(|left| format!("{} {} {:?}", left.path, left.rule, left.layer))
            .collect();
        assert_eq!(
            shown,
            [
                "/opt/lib/a/x.py unused Some(\"rest/layer-1.zip\")",
                "/opt/old unused None"
            ]
        );
    }

    #[test]
    fn what_an_error_names_is_looked_for_in_listed_directories() {
        let used = [path("/opt/lib", true, PathUse::Listed)];
        let found = left_out().looked_for(&used, "No module named 'a'");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].path.as_str(), found[0].layer.as_deref()),
            ("/opt/lib/a", Some("rest/layer-1.zip"))
        );
        assert!(left_out().looked_for(&used, "No module named 'other'").is_empty());
        let empty = [path("/opt/lib/a", true, PathUse::Listed)];
        let found = left_out().looked_for(&empty, "there is no service 'a'");
        assert_eq!(found[0].path, "/opt/lib/a/x.py");
        let searched = [&empty[..], &[path("/opt/lib/a/y.py", true, PathUse::Opened)]].concat();
        assert!(left_out().looked_for(&searched, "there is no service 'a'").is_empty());
        let run = Observed {
            used: used.to_vec(),
            ..Observed::default()
        };
        let back = left_out().to_take_back(&run, &Tree::default(), 1);
        let back: Vec<String> = back.iter().map(ToString::to_string).collect();
        assert_eq!(back, ["lib/a", "lib/b.so"]);
    }

    #[test]
    fn the_deepest_directory_that_was_listed_comes_back_first() {
        let used = ["/opt", "/opt/lib", "/opt/lib/a"].map(|directory| path(directory, true, PathUse::Listed));
        let back = |count: usize, round: usize| {
            let run = Observed {
                used: used[..count].to_vec(),
                ..Observed::default()
            };
            let back = left_out().to_take_back(&run, &Tree::default(), round);
            back.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(back(3, 1), ["lib/a/x.py"]);
        assert_eq!(back(2, 1), ["lib/a", "lib/b.so"]);
        assert_eq!(back(3, 9), ["lib/a", "lib/a/x.py", "lib/b.so", "old"]);
    }

    #[test]
    fn what_is_missing_in_a_directory_of_data_is_named_where_it_is_listed() {
        let listed = [path("/opt/share/units", true, PathUse::Listed)];
        for (packed, named) in [
            (&["share/units/m.csv"][..], true),
            (&["share/units/m.csv", "share/units/old.csv"], false),
            (&["share/units/m.csv", "share/units/__init__.py"], false),
            (&["share/units/m.csv", "share/units/more/x.csv"], false),
            (
                &["share/units/m.csv", "share/units/fast.cpython-313-x86_64-linux-gnu.so"],
                false,
            ),
        ] {
            let contents: Vec<Value> = packed
                .iter()
                .map(|path| {
                    json!({"path": path, "component": "x", "zipped_bytes": 1, "unzipped_bytes": 1, "crc32": "0"})
                })
                .collect();
            let manifest: Manifest = serde_json::from_value(json!({
                "schema_version": 1, "runtime": "provided.al2023", "arch": "x86_64",
                "layers": [{"file": "layer-1.zip", "sha256": "", "code_sha256": "", "contents": contents}],
                "dropped": [{"rule": "unused", "title": "", "files": 1, "bytes": 1, "paths": ["share/units/old.csv"]}],
            }))
            .unwrap();
            let found = LeftOutFiles::of(&[manifest]).looked_for(&listed, "");
            let found: Vec<&str> = found.iter().map(|left| left.path.as_str()).collect();
            let expected = if named { &["/opt/share/units/old.csv"][..] } else { &[] };
            assert_eq!(found, expected, "{packed:?}");
        }
    }

    #[test]
    fn what_a_recording_used_and_is_not_there_is_named_where_nothing_else_is() {
        let listed = path("/opt/lib", true, PathUse::Listed);
        let missed = |used: &[RecordedPath], recorded: &[RecordedPath]| {
            let run = Observed {
                used: used.to_vec(),
                words: String::new(),
                recorded: recorded.to_vec(),
            };
            let missed: Vec<String> = left_out().missed(&run).into_iter().map(|left| left.path).collect();
            missed
        };
        let recorded = [
            path("/opt/lib/b.so", true, PathUse::Opened),
            path("/opt/lib/a/x.py", true, PathUse::Opened),
            path("/opt/old", true, PathUse::Asked),
            path("/opt/lib/kept", true, PathUse::Opened),
        ];
        assert_eq!(missed(&[listed], &recorded), ["/opt/lib/b.so"]);
        assert_eq!(missed(&[], &recorded), ["/opt/lib/a/x.py", "/opt/lib/b.so"]);
        assert_eq!(missed(&[], &recorded[2..]), ["/opt/old"]);
        let asked_in_vain = path("/opt/old", false, PathUse::Asked);
        assert_eq!(missed(&[asked_in_vain], &recorded), ["/opt/old"]);
    }
}
