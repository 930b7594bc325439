//! Lays layers over one another, by their headers (OCI Image Format Specification 1.1, "Image Layer Filesystem Changeset").

use std::collections::BTreeMap;
use std::ops::Bound;

use super::stream::{Header, HeaderKind};

/// A file of this name hides what lower layers have by the rest of its name.
const WHITEOUT: &[u8] = b".wh.";
/// A file of this name hides everything that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other files that begin so are AUFS's own.
const RESERVED: &[u8] = b".wh..wh.";

/// How many links are followed on the way to a file, as by Linux (path_resolution(7)).
const LINKS: usize = 40;

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) kind: NodeKind,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeKind {
    Directory,
    /// The content of an entry, by the numbers of its layer and of the entry. Hard links have the same.
    File {
        layer: usize,
        entry: usize,
        length: u64,
    },
    Symlink(Vec<u8>),
    Fifo,
}

/// All layers laid over one another: each path with its file. The root is not among them.
#[derive(Debug, Default)]
pub(super) struct Merged {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Merged {
    /// Lays a layer over those before it.
    pub(super) fn apply(&mut self, layer: usize, headers: Vec<Header>) -> Result<(), String> {
        // Whiteouts hide what lower layers have, wherever they stand in their own.
        for header in &headers {
            let (directory, name) = split(&header.path);
            if name == OPAQUE {
                let directory = self.resolved(directory)?;
                self.remove_below(&directory);
            } else if name.starts_with(WHITEOUT) && !name.starts_with(RESERVED) {
                let hidden = joined(&self.resolved(directory)?, &name[WHITEOUT.len()..]);
                self.remove(&hidden);
            }
        }
        for (entry, header) in headers.into_iter().enumerate() {
            let (directory, name) = split(&header.path);
            if name.is_empty()
                || header
                    .path
                    .split(|byte| *byte == b'/')
                    .any(|name| name.starts_with(WHITEOUT))
            {
                continue;
            }
            let path = joined(&self.resolved(directory)?, name);
            let kind = match header.kind {
                HeaderKind::Directory => NodeKind::Directory,
                HeaderKind::File(length) => NodeKind::File { layer, entry, length },
                HeaderKind::Symlink(target) => NodeKind::Symlink(target),
                HeaderKind::Fifo => NodeKind::Fifo,
                HeaderKind::Device => continue,
                HeaderKind::HardLink(target) => {
                    let (directory, name) = split(&target);
                    let target = joined(&self.resolved(directory)?, name);
                    match self.nodes.get(&target) {
                        Some(node) if node.kind != NodeKind::Directory => {
                            let node = node.clone();
                            self.insert(path, node);
                        }
                        _ => {
                            let shown = crate::tree::path::escaped(&header.path);
                            return Err(format!("the hard link {shown} leads to nothing"));
                        }
                    }
                    continue;
                }
            };
            self.insert(
                path,
                Node {
                    mode: header.mode & 0o7777,
                    kind,
                },
            );
        }
        Ok(())
    }

    /// Everything below a directory, by the path in it; `None` if it is not a directory.
    pub(super) fn subtree(&self, path: &[u8]) -> Option<BTreeMap<Vec<u8>, Node>> {
        let directory = self.followed(path)?;
        if directory.is_empty() {
            return Some(self.nodes.clone());
        }
        if self.nodes.get(&directory)?.kind != NodeKind::Directory {
            return None;
        }
        Some(
            self.below(&directory)
                .filter_map(|path| Some((path[directory.len() + 1..].to_vec(), self.nodes.get(path)?.clone())))
                .collect(),
        )
    }

    /// The directory that a path leads to, links followed, whether it is there or not.
    fn resolved(&self, path: &[u8]) -> Result<Vec<u8>, String> {
        self.followed(path)
            .ok_or_else(|| format!("'{}' leads through too many links", crate::tree::path::escaped(path)))
    }

    /// Follows every link of a path inside of the image; `None` if there are too many.
    fn followed(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut links = 0;
        let mut here: Vec<u8> = Vec::new();
        let mut left: Vec<Vec<u8>> = components(path);
        while let Some(component) = left.pop() {
            match &component[..] {
                b"" | b"." => continue,
                b".." => {
                    here.truncate(split(&here).0.len());
                    continue;
                }
                _ => {}
            }
            let next = joined(&here, &component);
            match self.nodes.get(&next).map(|node| &node.kind) {
                Some(NodeKind::Symlink(target)) => {
                    links += 1;
                    if links > LINKS {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        here.clear();
                    }
                    left.extend(components(target));
                }
                _ => here = next,
            }
        }
        Some(here)
    }

    /// Puts a file at a path whose directory is resolved.
    fn insert(&mut self, path: Vec<u8>, node: Node) {
        let mut above = split(&path).0;
        let mut missing = Vec::new();
        while !above.is_empty()
            && self
                .nodes
                .get(above)
                .is_none_or(|node| node.kind != NodeKind::Directory)
        {
            missing.push(above.to_vec());
            above = split(above).0;
        }
        for directory in missing {
            let made = Node {
                mode: 0o755,
                kind: NodeKind::Directory,
            };
            self.nodes.insert(directory, made);
        }
        let stays = node.kind == NodeKind::Directory
            && self
                .nodes
                .get(&path)
                .is_some_and(|node| node.kind == NodeKind::Directory);
        if !stays {
            self.remove_below(&path);
        }
        self.nodes.insert(path, node);
    }

    fn remove(&mut self, path: &[u8]) {
        self.remove_below(path);
        self.nodes.remove(path);
    }

    fn remove_below(&mut self, directory: &[u8]) {
        if directory.is_empty() {
            self.nodes.clear();
            return;
        }
        let below: Vec<Vec<u8>> = self.below(directory).cloned().collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }

    fn below(&self, directory: &[u8]) -> impl Iterator<Item = &Vec<u8>> {
        let first = [directory, b"/"].concat();
        let start = (Bound::Excluded(first.clone()), Bound::Unbounded);
        let range = self.nodes.range(start);
        range
            .map(|(path, _)| path)
            .take_while(move |path| path.starts_with(&first))
    }
}

/// The components of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

/// Directory and name of a path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str, kind: HeaderKind) -> Header {
        Header {
            path: path.as_bytes().to_vec(),
            mode: 0o644,
            kind,
        }
    }

    fn file(path: &str) -> Header {
        header(path, HeaderKind::File(1))
    }

    fn merged(layers: Vec<Vec<Header>>) -> Merged {
        let mut merged = Merged::default();
        for (number, layer) in layers.into_iter().enumerate() {
            merged.apply(number, layer).unwrap();
        }
        merged
    }

    fn paths(merged: &Merged) -> Vec<String> {
        merged
            .nodes
            .keys()
            .map(|path| String::from_utf8(path.clone()).unwrap())
            .collect()
    }

    #[test]
    fn whiteouts_hide_lower_layers_and_not_their_own() {
        let all = merged(vec![
            vec![file("a/x"), file("a/y"), file("b/x"), file("c")],
            vec![
                file("a/.wh.x"),
                file("b/.wh..wh..opq"),
                file("b/new"),
                file(".wh.c"),
                file("c"),
                file(".wh..wh.plnk/1"),
            ],
        ]);
        assert_eq!(paths(&all), ["a", "a/y", "b", "b/new", "c"]);
        let kept = all.nodes.get(&b"c"[..]).map(|node| node.kind.clone());
        assert!(matches!(kept, Some(NodeKind::File { layer: 1, .. })));
        let opaque_after = merged(vec![vec![file("b/x")], vec![file("b/new"), file("b/.wh..wh..opq")]]);
        assert_eq!(paths(&opaque_after), ["b", "b/new"]);
    }

    #[test]
    fn a_file_replaces_a_directory_and_the_other_way_round() {
        let all = merged(vec![vec![file("a/x/y"), file("b")], vec![file("a/x"), file("b/z")]]);
        assert_eq!(paths(&all), ["a", "a/x", "b", "b/z"]);
    }

    #[test]
    fn entries_below_a_link_are_where_it_leads() {
        let link = |path, target: &str| header(path, HeaderKind::Symlink(target.as_bytes().to_vec()));
        let all = merged(vec![
            vec![file("usr/lib/a"), link("lib", "usr/lib"), link("up", "../../usr")],
            vec![file("lib/b"), file("up/c"), file("lib/.wh.a")],
        ]);
        assert_eq!(paths(&all), ["lib", "up", "usr", "usr/c", "usr/lib", "usr/lib/b"]);
        let below: Vec<Vec<u8>> = all.subtree(b"/lib").unwrap().into_keys().collect();
        assert_eq!(below, [b"b"]);
        assert!(all.subtree(b"/none").is_none() && all.subtree(b"/usr/c").is_none());
        let mut circle = Merged::default();
        circle.apply(0, vec![link("a", "b"), link("b", "a")]).unwrap();
        assert!(circle.apply(1, vec![file("a/x")]).is_err());
    }

    #[test]
    fn hard_links_have_the_content_of_any_layer_before() {
        let hard = |path, target: &str| header(path, HeaderKind::HardLink(target.as_bytes().to_vec()));
        let all = merged(vec![
            vec![file("a"), hard("b", "a")],
            vec![hard("c", "b"), file(".wh.a")],
        ]);
        assert_eq!(paths(&all), ["b", "c"]);
        assert_eq!(all.nodes.get(&b"b"[..]), all.nodes.get(&b"c"[..]));
        assert!(Merged::default().apply(0, vec![hard("b", "nothing")]).is_err());
    }
}
