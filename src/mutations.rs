//! Inputs with bytes changed, cut out, doubled and nested. Whatever comes of them, reading ends soon, with a value or an error,
//! and in bounded memory.
//!
//! The mutants are the same in every run. `LAMBDAR_PRUNE_MUTANTS` says how many there are of each kind of input; with many of
//! them, run one test at a time, so that its memory can be measured:
//!
//! ```text
//! LAMBDAR_PRUNE_MUTANTS=100000 cargo test --release --lib mutations -- --test-threads 1 --nocapture
//! ```
#![expect(clippy::print_stdout, reason = "what was measured")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::check::{Layer, MAX_UNZIPPED, judge, read_zips};
use crate::config::Config;
use crate::host::HostDirectories;
use crate::image::Location;
use crate::languages::{self, Thoroughness};
use crate::loader::LoadedTree;
use crate::manifest::Manifest;
use crate::plan::{Context, Options, plan};
use crate::progress::Silent;
use crate::recording::Recording;
use crate::root::Root;
use crate::rules::{Matcher, RuleSet};
use crate::runtime::{Arch, DEFAULT, Runtime};
use crate::scan::{inspect, scan};
use crate::size::Bytes;
use crate::tree::{Entry, File, Mode, Tree, TreePath};

/// How many mutants of each kind there are, unless more are asked for.
const FEW: usize = 150;
/// The longest that one of them may take.
const LONGEST: Duration = Duration::from_secs(5);
/// The most memory of the process, in kB, where many are asked for.
const MOST_MEMORY: u64 = 300_000;
/// How long a mutant grows by repetition: a real file's length, or, of one in 200, more than is read of any file.
const LONG: usize = 20_000;
const VERY_LONG: usize = 3 << 20;

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default() % limit.max(1)
    }

    fn piece<'b>(&mut self, bytes: &'b [u8], longest: usize) -> &'b [u8] {
        let start = self.below(bytes.len());
        let end = (start + 1 + self.below(longest)).min(bytes.len());
        &bytes[start..end]
    }
}

/// What opens something in one of the languages that are read, and so can be nested.
const OPENERS: [&str; 20] = [
    "(",
    "[",
    "{",
    "((",
    "$((",
    "$(",
    "`",
    "\"",
    "'",
    "${x:-",
    "if x; then ",
    "case x in (",
    "f(",
    "[[",
    "/*",
    "<<E\n",
    "a.",
    "!",
    "-",
    "function() ",
];

fn mutant(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let seed = random.below(seeds.len());
    let mut bytes = seeds[seed].clone();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len());
        match random.below(12) {
            0 => bytes.truncate(at),
            1 => {
                let end = (at + random.below(30)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 | 3 => {
                let piece = random.piece(&bytes, 80).to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = random.below(seeds.len());
                let piece = random.piece(&seeds[other], 200).to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let opener = random.below(OPENERS.len());
                let limit = if random.below(200) == 0 { VERY_LONG } else { LONG };
                let count = random.below(limit / OPENERS[opener].len());
                bytes.splice(at..at, OPENERS[opener].repeat(count).into_bytes());
            }
            6 => {
                let piece = random.piece(&bytes, 40).to_vec();
                let limit = if random.below(200) == 0 { VERY_LONG } else { LONG };
                let count = random.below(limit / piece.len().max(1));
                bytes.splice(at..at, piece.repeat(count));
            }
            7 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = [0, 0xff, b'\n', b'\\', b'"', b'$', b'{', b'(', b'}'][random.below(9)];
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// The processor time of this thread, or of all threads where nothing else runs.
fn processor_time(is_alone: bool) -> Duration {
    let time = clock_gettime(if is_alone {
        ClockId::ProcessCPUTime
    } else {
        ClockId::ThreadCPUTime
    });
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

/// The largest memory that this process has had, in kB (proc_pid_status(5), VmHWM).
fn most_memory() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Reads mutants of seeds. A panic, a long time or much memory fails the test; the mutant is in a file then, whose name is shown.
fn try_mutants(kind: &str, seeds: &[Vec<u8>], read: impl Fn(&[u8])) {
    let asked = std::env::var("LAMBDAR_PRUNE_MUTANTS")
        .ok()
        .and_then(|text| text.parse().ok());
    let count: usize = asked.unwrap_or(FEW);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let kept = std::env::temp_dir().join(format!("lambdar-prune-mutant-{kind}"));
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for number in 0..count {
        let bytes = mutant(seeds, &mut random);
        // Should the process end at once, such as on a stack that is too small, it is known what it read.
        if asked.is_some() {
            fs_err::write(&kept, &bytes).unwrap();
        }
        let before = processor_time(asked.is_some());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&bytes)));
        let took = processor_time(asked.is_some()).saturating_sub(before);
        longest = longest.max(took);
        let memory = asked.and_then(|_| most_memory()).filter(|memory| *memory > MOST_MEMORY);
        if result.is_err() || took > LONGEST || memory.is_some() {
            fs_err::write(&kept, &bytes).unwrap();
            let what = match memory {
                _ if result.is_err() => "a panic".to_owned(),
                Some(memory) => format!("{memory} kB"),
                None => format!("{took:?}"),
            };
            panic!("{kind} {number}, {}: {what}", kept.display());
        }
    }
    let _ = fs_err::remove_file(&kept);
    let memory = most_memory();
    println!(
        "{kind}: {count} mutants in {:?}, {longest:?} at most, {memory:?} kB",
        began.elapsed()
    );
}

/// A tree of these files.
fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::default();
    for (path, bytes) in files {
        let path = TreePath::new(path).unwrap();
        let content = inspect(path.file_name(), bytes);
        let bytes = Bytes(bytes.len() as u64);
        tree.insert(
            path,
            Entry::File(File {
                bytes,
                mode: Mode::new(0o755),
                content,
            }),
        );
    }
    tree
}

/// Of so many mutants of a text one is planned and checked; the others are read, and scripts carried out.
const PLANNED: usize = 16;

/// Reads a file with these bytes in a tree, which is planned and checked now and then: all that is ever done with a text.
fn as_file(path: &str, others: &[(&str, &[u8])]) -> impl Fn(&[u8]) {
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let rules = RuleSet::built_in().unwrap();
    let number = Cell::new(0_usize);
    move |bytes| {
        number.set(number.get() + 1);
        let files: Vec<(&str, &[u8])> = others.iter().copied().chain([(path, bytes)]).collect();
        let tree = tree(&files);
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        let loaded = LoadedTree::of(root);
        if !number.get().is_multiple_of(PLANNED) {
            return;
        }
        let context = Context {
            runtime: &runtime,
            rules: &Matcher::new(&rules, &[], &loaded).unwrap(),
            libraries: &HostDirectories::new(&[]),
            contents: &|path, buffer| {
                buffer.clear();
                let (_, bytes) = files.iter().find(|(name, _)| *name == path.as_str())?;
                buffer.extend_from_slice(bytes);
                Some(())
            },
            copies: &|_, _| Vec::new(),
        };
        plan(&loaded, &context, &Options::default()).unwrap();
        drop(loaded);
        judge(
            vec![Layer {
                tree,
                ..Layer::default()
            }],
            &runtime,
            Bytes(0),
        );
    }
}

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Files of the repository, by a pattern of the last part of their names.
fn files_of(directory: &str, suffix: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs_err::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(suffix))
        .collect();
    paths.sort();
    let contents = paths.iter().map(|path| fs_err::read(path).unwrap());
    contents.filter(|content| content.len() < 40_000).collect()
}

#[derive(Deserialize)]
struct Data {
    texts: Vec<Text>,
}

/// A kind of text.
#[derive(Deserialize)]
struct Text {
    kind: String,
    /// Where it is in a tree.
    path: String,
    /// What else is in that tree.
    others: BTreeMap<String, String>,
    seeds: Vec<String>,
}

/// Tries mutants of one kind of text.
fn try_text(kind: &str) {
    let data: Data = toml::from_str(include_str!("../testdata/mutants.toml")).unwrap();
    let text = data.texts.into_iter().find(|text| text.kind == kind).unwrap();
    let texts: Vec<&str> = text.seeds.iter().map(String::as_str).collect();
    let others: Vec<(&str, &[u8])> = text
        .others
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_bytes()))
        .collect();
    try_mutants(kind, &seeds(&texts), as_file(&text.path, &others));
}

#[test]
fn scripts() {
    try_text("script");
}

#[test]
fn python() {
    try_text("python");
}

#[test]
fn node() {
    try_text("node");
    try_text("package.json");
}

#[test]
fn r() {
    try_text("r");
    try_text("description");
}

#[test]
fn ruby() {
    try_text("ruby");
}

#[test]
fn recordings() {
    let text = r#"{"schema_version": 1, "runtime": "provided.al2023", "arch": "x86_64", "handler": "a.b", "task": null, "environment": ["A"],
        "timeout_seconds": 3.5, "memory_mb": 128, "events": [
        {"name": "a.json", "request_id": "0-1", "payload": {"text": "{}"}, "response": {"base64": "AAEC"}, "error": null},
        {"name": "b", "request_id": "0-2", "payload": {"text": "[1]"}, "response": null,
         "error": {"error_type": "E", "error_message": "m", "stack_trace": ["a", "b"]}}],
        "paths": [{"path": "/opt/lib/x.so", "found": true, "uses": ["opened", "asked"]},
                  {"path": "/var/task/app.py", "found": false, "uses": ["executed"]}]}"#;
    assert!(Recording::parse(text.as_bytes()).is_ok());
    let texts = [text];
    try_mutants("recording", &seeds(&texts), |bytes| drop(Recording::parse(bytes)));
}

#[test]
fn manifests() {
    let layer = r#"{"file": "layer-1.zip", "sha256": "00", "code_sha256": "AA==", "contents": [{"path": "lib/x.so", "component": "x", "zipped_bytes": 100, "unzipped_bytes": 200, "crc32": "0000abcd"}], "components": ["x"]}"#;
    let text = format!(
        r#"{{"schema_version": 1, "runtime": "provided.al2023", "arch": "x86_64", "via": "s3", "effort": "max", "max_bytes": 50000000, "layers": [{layer}], "dropped": [{{"rule": "docs", "files": 1, "bytes": 5, "paths": ["share/doc/"]}}], "rest": {{"directory": "rest", "layers": [{layer}]}}, "variables": {{"A": "b"}}}}"#
    );
    assert!(Manifest::parse(text.as_bytes()).is_ok());
    try_mutants("layers.json", &seeds(&[&text]), |bytes| drop(Manifest::parse(bytes)));
}

#[test]
fn configurations() {
    let texts = [
        "tree = \"opt\"\nruntime = \"python3.12\"\nmax = \"50MB\"\nkeep = [\"lib/*.so*\", \"{a,b}/**\"]\ndisable = [\"docs\"]\n[env]\nA = \"b\"\n[[layer]]\nname = \"R\"\npaths = [\"R/**\"]\n",
        "[[rules]]\nid = \"mine\"\ntitle = \"x\"\ncategory = \"mine\"\npaths = [\"share/[!a]*\", \"**/*.{md,txt}\"]\nexcept = [\"share/keep\"]\nbreaks = \"y\"\nsource = \"z\"\n",
        "arch = \"arm64\"\nlibrary-dir = [\"libs\"]\ndrop = [\"share/**\"]\nr-packages = [\"mgcv\"]\n[licenses]\ndeny = ['AGPL-*', \"GPL-3.0-only\"]\n",
        "[check]\ndeny = [\"zip-near-limit\"]\n[[check.allow-path]]\ncode = \"dangling-link\"\npath = \"etc/**\"\nreason = \"r\"\n[[budget]]\nlayer = \"layer-*.zip\"\nmax-zipped = \"45MB\"\nmax-growth = { percent = 5, bytes = \"256kB\" }\n",
    ];
    let mut all = seeds(&texts);
    all.extend(files_of("rules", ".toml"));
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let tree = tree(&[("share/a.md", b"x"), ("lib/libx.so.1", b"")]);
    let loaded = LoadedTree::of(Root {
        tree: &tree,
        runtime: &runtime,
    });
    let read = |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let _ = Config::is_meant("x.toml", text);
        let Ok(config) = Config::parse("x.toml", text) else {
            return;
        };
        // Globs that take long to match are as bad as those that take long to read.
        let choices = [config.selection];
        if let Ok(rules) = RuleSet::chosen(&choices)
            && let Ok(matcher) = Matcher::new(&rules, &choices, &loaded)
        {
            let context = Context {
                runtime: &runtime,
                rules: &matcher,
                libraries: &HostDirectories::new(&[]),
                contents: &|_, _| None,
                copies: &|_, _| Vec::new(),
            };
            plan(&loaded, &context, &Options::default()).unwrap();
        }
    };
    for text in texts {
        assert!(
            Config::parse("x.toml", text).is_ok(),
            "{:?}",
            Config::parse("x.toml", text).err()
        );
    }
    try_mutants("configuration", &all, read);
}

#[test]
fn objects() {
    let objects: Vec<Vec<u8>> = ["bin", "lib"]
        .iter()
        .flat_map(|directory| files_of(&format!("testdata/opt/{directory}"), ""))
        .collect();
    assert!(!objects.is_empty());
    try_mutants("elf", &objects, as_file("lib/libx.so.1", &[("bin/x", b"#!/bin/sh\n")]));
}

/// A zip of files, written by another program than this one; as to a pipe, that is with data descriptors, if `is_streamed`.
fn zip_of(files: &[(&str, &[u8])], is_streamed: bool) -> Vec<u8> {
    fn fill<W: Write + Seek>(mut zip: ZipWriter<W>, files: &[(&str, &[u8])]) -> W {
        let options = SimpleFileOptions::default();
        zip.add_directory("lib", options).unwrap();
        for (name, content) in files {
            zip.start_file(*name, options.unix_permissions(0o755)).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.add_symlink("lib/link", "libx.so.1", options).unwrap();
        zip.finish().unwrap()
    }
    if is_streamed {
        fill(ZipWriter::new_stream(Vec::new()), files).into_inner()
    } else {
        fill(ZipWriter::new(Cursor::new(Vec::new())), files).into_inner()
    }
}

/// A tar archive of files.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// What a small layer may have.
fn members() -> [(&'static str, &'static [u8]); 4] {
    [
        ("bootstrap", b"#!/bin/sh\nexec /opt/bin/x\n"),
        ("lib/libx.so.1", include_bytes!("../testdata/opt/lib/libz.so.1")),
        ("share/doc/x", b"some text that is not short enough to be stored\n"),
        ("größe", "ü".as_bytes()),
    ]
}

#[test]
fn zips() {
    let members = members();
    let seeds = [
        zip_of(&members, false),
        zip_of(&members, true),
        zip_of(&members[2..], false),
    ];
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layer-1.zip");
    try_mutants("zip", &seeds, |bytes| {
        fs_err::write(&path, bytes).unwrap();
        let layers = read_zips(std::slice::from_ref(&path), MAX_UNZIPPED, &Silent).unwrap();
        judge(layers, &runtime, Bytes(0));
    });
    try_mutants("jar", &seeds, as_file("java/lib/x.jar", &[("lib/libx.so.1", b"")]));
}

#[test]
fn images() {
    let first = members().map(|(name, content)| (format!("opt/{name}"), content));
    let layer = [
        tar_of(&first.each_ref().map(|(name, content)| (name.as_str(), *content))),
        tar_of(&[("opt/R/.wh..wh..opq", b""), ("opt/.wh.bootstrap", b""), ("opt/c", b"c")]),
    ];
    let mut gzipped = GzEncoder::new(Vec::new(), Compression::fast());
    gzipped.write_all(&layer[1]).unwrap();
    let manifest =
        br#"[{"Config": "config.json", "RepoTags": ["x:latest"], "Layers": ["0/layer.tar", "1/layer.tar"]}]"#;
    let saved = |second: &[u8]| {
        tar_of(&[
            ("0/layer.tar", &layer[0]),
            ("1/layer.tar", second),
            ("manifest.json", manifest),
        ])
    };
    let seeds = [saved(&layer[1]), saved(&gzipped.finish().unwrap())];
    let directory = tempfile::tempdir().unwrap();
    let location = Location {
        image: directory.path().join("image.tar"),
        subtree: None,
    };
    try_mutants("image", &seeds, |bytes| {
        fs_err::write(&location.image, bytes).unwrap();
        if let Ok(extracted) = location.open("/opt", Arch::X86_64, &Silent) {
            scan(extracted.path(), &Silent).unwrap();
        }
    });
}

/// R's databases, the index of one and the data of the other being damaged.
#[test]
fn databases() {
    let data: &[u8] = include_bytes!("../testdata/r/zlib.rdb");
    let index: &[u8] = include_bytes!("../testdata/r/zlib.rdx");
    let tree = tree(&[("R/library/x/R/x.rdb", data), ("R/library/x/R/x.rdx", index)]);
    let [(language, _)] = languages::recompressible(&tree).try_into().ok().unwrap();
    let read = |data: &[u8], index: &[u8]| {
        let contents = [data.to_vec(), index.to_vec()];
        language.recompressed_lengths(&contents);
        language.recompressed(&contents, Thoroughness::Quick, &|| false);
    };
    let mut plain = Vec::new();
    MultiGzDecoder::new(index).read_to_end(&mut plain).unwrap();
    try_mutants("rdx", &[plain, index.to_vec()], |bytes| read(data, bytes));
    try_mutants("rdb", &[data.to_vec()], |bytes| read(bytes, index));
}
