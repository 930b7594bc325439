//! Byte code caches (PEP 3147) as they have to be in a layer. A cache holds the time of its source, and files of a layer have
//! another one: Python would compile each source anew, at each cold start, for it cannot write to /opt. A cache that is by
//! hash and unchecked is believed as it is (PEP 552).

use std::hash::Hasher;

use siphasher::sip::{SipHasher13, SipHasher24};

use crate::languages::ForeignModule;
use crate::languages::layout::Layout;
use crate::tree::content::{Keep, KeptFile};
use crate::tree::{Tree, TreePath};

/// The directory of caches.
pub(super) const CACHE: &str = "__pycache__";
/// How the name of a cache ends.
pub(super) const ENDING: &str = ".pyc";

/// The header: magic number, flags, and 8 bytes that either are time and size of the source or its hash (PEP 552).
const HEADER: usize = 16;
/// The flags of a cache that is by hash and not compared with its source.
const UNCHECKED_HASH: u32 = 0b01;
/// From this magic number on, that of the first Python 3.11, the hash is SipHash-1-3; before, it is SipHash-2-4 (CPython's
/// Lib/importlib/_bootstrap_external.py and Python/pyhash.c).
const SIPHASH13_SINCE: u32 = 3450;

/// Of each file of byte code its magic number is kept.
pub(super) const KEPT: KeptFile = KeptFile {
    name: "*.pyc",
    limit: HEADER,
    keep: Keep::Fact(magic_number),
};

/// The magic number in decimal digits: the first two bytes, before `\r\n`.
fn magic_number(head: &[u8]) -> Option<String> {
    let (magic, rest) = head.split_first_chunk::<2>()?;
    rest.starts_with(b"\r\n")
        .then(|| u16::from_le_bytes(*magic).to_string())
}

/// Modules that are byte code without a source, of another version of Python: that one alone imports them (The Python Tutorial,
/// "Compiled" Python files).
pub(super) fn foreign(tree: &Tree, layout: &Layout, version: &str) -> Vec<ForeignModule> {
    let Some(wanted) = layout.byte_code(version) else {
        return Vec::new();
    };
    let modules = tree.files().filter(|(path, _)| {
        let is_cache = path.parent().is_some_and(|directory| directory.file_name() == CACHE);
        path.file_name().ends_with(ENDING) && !is_cache
    });
    modules
        .filter_map(|(path, file)| {
            let magic: u16 = file.content.fact()?.parse().ok().filter(|magic| *magic != wanted)?;
            // A module of any other kind with the name comes first (importlib.machinery, `FileFinder`).
            let stem = path.sibling(&format!("{}.", path.file_name().strip_suffix(ENDING)?))?;
            let mut beside = tree.beginning_with(stem.as_str()).map(|(other, _)| other);
            let is_covered = beside.any(|other| [".py", ".so"].iter().any(|end| other.file_name().ends_with(end)));
            let built = layout.version_of_byte_code(magic);
            (!is_covered).then(|| ForeignModule {
                path: path.clone(),
                built_for: match built {
                    Some(built) => format!("CPython {built}"),
                    None => format!("a Python whose byte code has the magic number {magic}"),
                },
                version: built.map(ToOwned::to_owned),
                has_fallback: false,
            })
        })
        .collect()
}

/// The source of a cache, and the tag of the Python that wrote it, such as `cpython-313`; `None` for what is not a cache, or
/// one of optimized code, which no runtime asks for.
pub(super) fn source_of(cache: &TreePath) -> Option<(TreePath, &str)> {
    let directory = cache.parent().filter(|directory| directory.file_name() == CACHE)?;
    let (module, tag) = cache.file_name().strip_suffix(ENDING)?.split_once('.')?;
    let source = directory.parent()?.join(&format!("{module}.py"))?;
    (!tag.contains('.')).then_some((source, tag))
}

/// The cache in which a version of CPython looks for the byte code of a source (PEP 3147).
pub(super) fn cache_of(source: &TreePath, version: &str) -> Option<TreePath> {
    let module = source.file_name().strip_suffix(".py")?;
    let tag = version.replace('.', "");
    let name = format!("{module}.cpython-{tag}{ENDING}");
    source.parent()?.join(CACHE)?.join(&name)
}

/// Whether a cache is believed in a layer: by its hash, or because it can be made so.
pub(super) fn is_current(cache: &[u8], source: &[u8], modified: u32) -> bool {
    let flags = cache.get(4..8).and_then(|flags| flags.first_chunk::<4>());
    match flags.map(|flags| u32::from_le_bytes(*flags)) {
        Some(0) => unchecked(cache, source, modified).is_some(),
        Some(flags) => cache.len() > HEADER && (flags == UNCHECKED_HASH || is_of_hash(cache, source)),
        None => false,
    }
}

/// Whether a cache that is compared with its source has the hash of it.
fn is_of_hash(cache: &[u8], source: &[u8]) -> bool {
    let magic = cache.first_chunk::<4>().map(|magic| u32::from_le_bytes(*magic));
    let hash = cache.get(8..HEADER).and_then(|hash| hash.first_chunk::<8>());
    match (magic, hash) {
        (Some(magic), Some(hash)) => u64::from_le_bytes(*hash) == source_hash(magic, source),
        _ => false,
    }
}

/// A cache that Python believes whatever the time of its source is: this one, if it was made of the source as it is. `None`
/// if it was made of another one, or is by hash already.
pub(super) fn unchecked(cache: &[u8], source: &[u8], modified: u32) -> Option<Vec<u8>> {
    let header = cache.get(..HEADER)?;
    let number = |at: usize| Some(u32::from_le_bytes(*header.get(at..at + 4)?.first_chunk::<4>()?));
    let (magic, flags) = (number(0)?, number(4)?);
    let size = u32::try_from(source.len()).ok()?;
    if flags != 0 || number(8)? != modified || number(12)? != size {
        return None;
    }
    let mut changed = cache.to_vec();
    changed[4..8].copy_from_slice(&UNCHECKED_HASH.to_le_bytes());
    changed[8..HEADER].copy_from_slice(&source_hash(magic, source).to_le_bytes());
    Some(changed)
}

/// What `_imp.source_hash` gives: nobody compares it in an unchecked cache, unless Python is told to check all.
fn source_hash(magic: u32, source: &[u8]) -> u64 {
    let key = u64::from(magic);
    if magic & 0xffff >= SIPHASH13_SINCE {
        let mut hasher = SipHasher13::new_with_keys(key, 0);
        hasher.write(source);
        hasher.finish()
    } else {
        let mut hasher = SipHasher24::new_with_keys(key, 0);
        hasher.write(source);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_told_by_their_names() {
        let source = |path: &str| {
            let path = TreePath::new(path).unwrap();
            source_of(&path).map(|(source, tag)| format!("{source} {tag}"))
        };
        assert_eq!(
            source("a/__pycache__/m.cpython-313.pyc").as_deref(),
            Some("a/m.py cpython-313")
        );
        assert_eq!(source("a/__pycache__/m.cpython-313.opt-1.pyc"), None);
        assert_eq!(source("a/m.pyc"), None);
    }

    const SOURCE_HASH: [u8; 8] = [76, 3, 114, 170, 147, 247, 82, 82];

    /// The hash is that of `importlib.util.source_hash(b"x = 1\n")` of CPython 3.11 (magic number 3495).
    #[test]
    fn a_cache_of_the_source_becomes_one_that_is_believed() {
        let source = b"x = 1\n";
        let mut cache = Vec::new();
        for number in [0x0a0d_0da7_u32, 0, 1_700_000_000, 6] {
            cache.extend(number.to_le_bytes());
        }
        cache.extend(b"code");
        let changed = unchecked(&cache, source, 1_700_000_000).unwrap();
        assert_eq!(changed[..8], [0xa7, 0x0d, 0x0d, 0x0a, 1, 0, 0, 0]);
        assert_eq!(changed[8..16], SOURCE_HASH);
        assert_eq!(&changed[16..], b"code");
        assert_eq!(
            unchecked(&changed, source, 1_700_000_000),
            None,
            "it is by hash already"
        );
        assert_eq!(unchecked(&cache, source, 1_700_000_001), None);
        assert_eq!(unchecked(&cache, b"x = 10\n", 1_700_000_000), None);
        assert_eq!(unchecked(&cache[..10], source, 1_700_000_000), None);
    }
}
