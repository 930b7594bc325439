//! The map of files: the tree of their names, the sizes, and where each is on a treemap of each size.

use std::collections::BTreeMap;

use serde::Serialize;
use streemap::Rect;

use super::files::{MapFile, State};
use crate::size::Bytes;

/// Width of the map by its height. The script stretches it to the window.
const ASPECT: f64 = 1.6;

/// The largest coordinate in a directory: what two digits of [`DIGITS`] can say.
const SCALE: f64 = 4095.0;

/// Digits of coordinates.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Everything on the map. Nodes are the root, directories and files, each directory before what it contains.
#[derive(Debug, Default, Serialize)]
pub(super) struct MapData {
    /// The names of the nodes. Directories that contain nothing but one directory have one name with it.
    names: Vec<String>,
    /// How many nodes a directory contains itself; -1 for a file.
    children: Vec<i64>,
    measures: Vec<Measure>,
    states: Vec<Legend>,
    components: Vec<String>,
    layers: Vec<String>,
    /// For each file, in the order of the nodes, the index of its state, component and layer.
    state: Vec<usize>,
    component: Vec<usize>,
    layer: Vec<usize>,
}

/// A size by which the map can be drawn.
#[derive(Debug, Serialize)]
struct Measure {
    label: &'static str,
    /// The size of each file, in bytes.
    bytes: Vec<u64>,
    /// For each node but the root left, top, right and bottom edge in its directory, each of two digits of base 64.
    places: String,
}

/// A state in the legend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Legend {
    label: String,
    kind: &'static str,
}

/// A directory or file, by the index of its parent, which comes before it.
#[derive(Debug, Clone)]
struct Node {
    name: String,
    parent: usize,
    children: Vec<usize>,
    file: Option<usize>,
}

/// A size of a file, if it is known.
type Size = fn(&MapFile) -> Option<Bytes>;

impl MapData {
    pub(super) fn new(files: &[MapFile]) -> Self {
        let nodes = preorder(&trie(files));
        let in_order: Vec<&MapFile> = nodes
            .iter()
            .filter_map(|node| node.file.map(|file| &files[file]))
            .collect();
        let (states, state) = indexed(in_order.iter().map(|file| legend(&file.state)));
        let (components, component) = indexed(in_order.iter().map(|file| file.component.clone()));
        let (layers, layer) = indexed(in_order.iter().map(|file| file.layer.clone()));
        Self {
            measures: measures(files)
                .into_iter()
                .map(|(label, size)| Measure {
                    label,
                    bytes: in_order.iter().map(|file| size(file).unwrap_or_default().0).collect(),
                    places: places(&nodes, |file| size(&files[file]).unwrap_or_default().0),
                })
                .collect(),
            children: nodes
                .iter()
                .map(|node| match node.file {
                    Some(_) => -1,
                    None => i64::try_from(node.children.len()).unwrap_or(i64::MAX),
                })
                .collect(),
            names: nodes.into_iter().map(|node| node.name).collect(),
            states,
            components,
            layers,
            state,
            component,
            layer,
        }
    }
}

/// The sizes that files can have: the label next to those of the other side, the label alone, and the size of one file.
const SIZES: [(&str, &str, Size); 4] = [
    ("Unzipped, before", "Unzipped", |file| Some(file.before?.unzipped)),
    ("Zipped, before", "Zipped", |file| file.before?.zipped),
    ("Unzipped, after", "Unzipped", |file| Some(file.after?.unzipped)),
    ("Zipped, after", "Zipped", |file| file.after?.zipped),
];

/// Those that are known of at least one file.
fn measures(files: &[MapFile]) -> Vec<(&'static str, Size)> {
    let is_known = |size: Size| files.iter().any(|file| size(file).is_some());
    let is_compared = files.iter().any(|file| file.before.is_some()) && files.iter().any(|file| file.after.is_some());
    let known = SIZES.into_iter().filter(|(.., size)| is_known(*size));
    known
        .map(|(compared, alone, size)| (if is_compared { compared } else { alone }, size))
        .collect()
}

fn legend(state: &State) -> Legend {
    let (label, kind) = match state {
        State::Kept => ("kept".to_owned(), "kept"),
        State::Changed => ("changed".to_owned(), "changed"),
        State::Added => ("added".to_owned(), "added"),
        State::Removed(rule) => (format!("removed by {rule}"), "removed"),
        State::Differs(change) => {
            use crate::diff::Change::{Added, Changed, Grew, Removed, Shrank};
            let kind = match change {
                Added => "added",
                Removed => "removed",
                Grew => "grew",
                Shrank => "shrank",
                Changed => "changed",
            };
            (kind.to_owned(), kind)
        }
        State::Same => ("unchanged".to_owned(), "kept"),
    };
    Legend { label, kind }
}

/// The different values sorted, and of each value its index.
fn indexed<T: Ord>(values: impl Iterator<Item = T>) -> (Vec<T>, Vec<usize>) {
    let values: Vec<T> = values.collect();
    let mut numbers: BTreeMap<&T, usize> = values.iter().map(|value| (value, 0)).collect();
    for (number, (_, slot)) in numbers.iter_mut().enumerate() {
        *slot = number;
    }
    let indices = values
        .iter()
        .map(|value| numbers.get(value).copied().unwrap_or_default())
        .collect();
    let mut distinct = values;
    distinct.sort();
    distinct.dedup();
    (distinct, indices)
}

/// The tree of names. Where a file of one layer has the path of a directory of another, or of a file, both are there.
fn trie(files: &[MapFile]) -> Vec<Node> {
    let node = |name: &str, parent, file| Node {
        name: name.to_owned(),
        parent,
        children: Vec::new(),
        file,
    };
    let mut nodes = vec![node("", 0, None)];
    let mut directories: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by(|a, b| files[*a].path.cmp(&files[*b].path));
    for index in order {
        let path = files[index].path.trim_end_matches('/');
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut here = 0;
        for directory in above.split('/').filter(|directory| !directory.is_empty()) {
            let next = nodes.len();
            let child = *directories.entry((here, directory)).or_insert(next);
            if child == next {
                nodes.push(node(directory, here, None));
                nodes[here].children.push(next);
            }
            here = child;
        }
        let next = nodes.len();
        nodes.push(node(name, here, Some(index)));
        nodes[here].children.push(next);
    }
    nodes
}

/// The same tree with each directory before what it contains. A directory that contains nothing but a directory is one node
/// with it.
fn preorder(trie: &[Node]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::with_capacity(trie.len());
    let mut pending = vec![(0, 0)];
    while let Some((first, parent)) = pending.pop() {
        let mut names = vec![trie[first].name.as_str()];
        let mut last = first;
        while let [only] = trie[last].children[..]
            && trie[only].file.is_none()
        {
            names.push(&trie[only].name);
            last = only;
        }
        names.retain(|name| !name.is_empty());
        let index = nodes.len();
        if index > 0 {
            nodes[parent].children.push(index);
        }
        pending.extend(trie[last].children.iter().rev().map(|child| (*child, index)));
        nodes.push(Node {
            name: names.join("/"),
            parent,
            children: Vec::new(),
            file: trie[first].file,
        });
    }
    nodes
}

/// Lays the nodes out as a squarified treemap (Bruls, Huizing, van Wijk 2000), each directory in itself.
fn places(nodes: &[Node], size: impl Fn(usize) -> u64) -> String {
    let mut sizes = vec![0_u64; nodes.len()];
    for (index, node) in nodes.iter().enumerate().rev() {
        sizes[index] = sizes[index].saturating_add(node.file.map_or(0, &size));
        if index > 0 {
            sizes[node.parent] = sizes[node.parent].saturating_add(sizes[index]);
        }
    }
    let mut edges = vec![[0.0; 4]; nodes.len()];
    let mut aspects = vec![ASPECT; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let mut children: Vec<usize> = node
            .children
            .iter()
            .copied()
            .filter(|child| sizes[*child] > 0)
            .collect();
        children.sort_by(|a, b| sizes[*b].cmp(&sizes[*a]).then(a.cmp(b)));
        let aspect = aspects[index];
        let whole = Rect {
            x: 0.0,
            y: 0.0,
            w: aspect,
            h: 1.0,
        };
        streemap::squarify(
            whole,
            &mut children,
            |child| Bytes(sizes[*child]).as_f64(),
            |child, place| {
                edges[*child] = [
                    place.x / aspect,
                    place.y,
                    (place.x + place.w) / aspect,
                    place.y + place.h,
                ];
                let shape = place.w / place.h;
                aspects[*child] = if shape.is_finite() {
                    shape.clamp(0.01, 100.0)
                } else {
                    1.0
                };
            },
        );
    }
    edges.iter().skip(1).flatten().flat_map(|edge| digits(*edge)).collect()
}

/// A coordinate from 0 to 1 as two digits.
fn digits(coordinate: f64) -> [char; 2] {
    let whole = (coordinate.clamp(0.0, 1.0) * SCALE).round();
    let high = (whole / 64.0).floor();
    let digit = |value: f64| {
        let fits = (0_u8..64).find(|digit| f64::from(*digit) >= value);
        char::from(DIGITS[usize::from(fits.unwrap_or(63))])
    };
    [digit(high), digit(whole - high * 64.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Sizes;

    fn file(path: &str, unzipped: u64) -> MapFile {
        MapFile {
            path: path.to_owned(),
            component: String::new(),
            layer: String::new(),
            state: State::Kept,
            before: None,
            after: Some(Sizes {
                zipped: None,
                unzipped: Bytes(unzipped),
            }),
        }
    }

    /// Left, top, right and bottom edge of a node, from 0 to 4095.
    fn edges(map: &MapData, node: usize) -> [usize; 4] {
        let digits: Vec<usize> = map.measures[0].places[(node - 1) * 8..node * 8]
            .bytes()
            .map(|byte| DIGITS.iter().position(|digit| *digit == byte).unwrap())
            .collect();
        [0, 2, 4, 6].map(|start| digits[start] * 64 + digits[start + 1])
    }

    #[test]
    fn directories_come_before_what_they_contain_and_single_ones_have_one_name() {
        let map = MapData::new(&[
            file("a/b/c/x", 1),
            file("a/b/c/y", 2),
            file("z", 3),
            file("a/b/d/e/w", 4),
        ]);
        assert_eq!(map.names, ["", "a/b", "c", "x", "y", "d/e", "w", "z"]);
        assert_eq!(map.children, [2, 2, 2, -1, -1, 1, -1, -1]);
        assert_eq!(map.measures[0].bytes, [1, 2, 4, 3]);
    }

    #[test]
    fn areas_are_in_proportion_to_sizes_and_fill_the_directory() {
        let map = MapData::new(&[
            file("big", 600),
            file("d/one", 150),
            file("d/two", 50),
            file("none", 0),
            file("small", 200),
        ]);
        let area = |node: usize| {
            let [left, top, right, bottom] = edges(&map, node);
            (right - left) * (bottom - top)
        };
        let whole = 4095 * 4095;
        for (name, share) in [
            ("big", 60),
            ("d", 20),
            ("small", 20),
            ("one", 75),
            ("two", 25),
            ("none", 0),
        ] {
            let node = map.names.iter().position(|other| other == name).unwrap();
            let percent = area(node) * 100 / whole;
            assert!(percent.abs_diff(share) <= 1, "{name}: {percent}%");
        }
    }

    #[test]
    fn a_file_may_have_the_path_of_a_directory_of_another_layer() {
        let map = MapData::new(&[file("a", 1), file("a", 1), file("a/b", 2)]);
        assert_eq!(map.names.iter().filter(|name| *name == "a").count(), 3);
        assert_eq!(map.measures[0].bytes.len(), 3);
    }

    #[test]
    fn depth_and_extreme_sizes_are_no_problem() {
        let deep = "d/".repeat(2000);
        let map = MapData::new(&[
            file(&format!("{deep}x"), u64::MAX),
            file(&format!("{deep}y"), 1),
            file("z", u64::MAX),
        ]);
        assert_eq!(map.names.len(), 5);
        assert!(edges(&map, 1)[2] > 0);
        assert_eq!(MapData::new(&[]).names, [""]);
    }
}
