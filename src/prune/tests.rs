use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;
use crate::loader::LoadedTree;
use crate::plan::{Context, Options, Plan, plan};
use crate::progress::{Interrupted, Progress, Silent, Stage, Work};
use crate::root::Root;
use crate::rules::{Matcher, RuleSelection, RuleSet};
use crate::runtime::{Arch, DEFAULT, Runtime};
use crate::scan::scan;
use crate::tree::Tree;

/// Stops at one of the moments at which a run asks whether it shall go on: before each step that changes something.
/// What a run leaves behind then is what it would leave behind if it were killed there.
struct StopAt(Mutex<Cell<usize>>);

impl StopAt {
    fn new(moment: usize) -> Self {
        Self(Mutex::new(Cell::new(moment)))
    }
}

impl Progress for StopAt {
    fn start(&self, _: Stage, _: u64) -> Box<dyn Work> {
        Box::new(Silent)
    }

    fn check(&self) -> Result<(), Interrupted> {
        let left = self.0.lock().unwrap();
        match left.get() {
            0 => Err(Interrupted),
            more => {
                left.set(more - 1);
                Ok(())
            }
        }
    }
}

struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for file in [
            "include/a.h",
            "include/deep/b.h",
            "lib/libx.a",
            "lib/libx.so",
            "lib/pkgconfig/x.pc",
            "share/doc/x/README",
            "share/doc/x/copyright",
            "share/man/man1/x.1",
            "share/data",
        ] {
            let path = fixture.root().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, file).unwrap();
        }
        symlink("a.h", fixture.root().join("include/link.h")).unwrap();
        symlink("nowhere", fixture.root().join("share/man/man1/dangling.1")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o4750);
        fs_err::set_permissions(fixture.root().join("include/a.h"), mode).unwrap();
        let mode = std::fs::Permissions::from_mode(0o2711);
        fs_err::set_permissions(fixture.root().join("share/man"), mode).unwrap();
        // Times that no run of a test could give by chance, the directories' last.
        let mut paths = fixture.paths();
        paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        for (number, path) in paths.iter().enumerate() {
            let seconds = 1_000_000_000 + i64::try_from(number).unwrap();
            let time = rustix::fs::Timespec {
                tv_sec: seconds,
                tv_nsec: 123_456_789,
            };
            let times = rustix::fs::Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        fixture
    }

    fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("opt")
    }

    fn trash(&self) -> PathBuf {
        self.directory.path().join("opt.lambdar-prune-trash")
    }

    fn paths(&self) -> Vec<PathBuf> {
        walkdir::WalkDir::new(self.root())
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .collect()
    }

    /// Paths with modes, times, targets and contents.
    fn manifest(&self) -> BTreeMap<PathBuf, String> {
        manifest_of(&self.root())
    }

    fn plan(&self, choices: &RuleSelection) -> (Tree, Plan) {
        let tree = scan(&self.root(), &Silent).unwrap().tree;
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let choices = [choices.clone()];
        let rules = RuleSet::chosen(&choices).unwrap();
        let loaded = LoadedTree::of(Root {
            tree: &tree,
            runtime: &runtime,
        });
        let matcher = Matcher::new(&rules, &choices, &loaded).unwrap();
        let plan = plan(
            &loaded,
            &Context::without_files(&runtime, &matcher),
            &Options::default(),
        )
        .unwrap();
        (tree, plan)
    }

    fn apply(&self, progress: &dyn Progress) -> Result<Done, PruneError> {
        let (tree, plan) = self.plan(&RuleSelection::default());
        apply(&self.root(), &tree, &plan, progress)
    }
}

fn manifest_of(root: &Path) -> BTreeMap<PathBuf, String> {
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| {
            let path = entry.unwrap().into_path();
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let content = if metadata.is_file() {
                fs_err::read_to_string(&path).unwrap()
            } else if metadata.is_symlink() {
                fs_err::read_link(&path).unwrap().display().to_string()
            } else {
                String::new()
            };
            let text = format!(
                "{:o} {}.{} {content}",
                metadata.mode(),
                metadata.mtime(),
                metadata.mtime_nsec()
            );
            (path.strip_prefix(root).unwrap().to_owned(), text)
        })
        .collect()
}

fn names(manifest: &BTreeMap<PathBuf, String>) -> String {
    let names: Vec<_> = manifest.keys().map(|path| path.display().to_string()).collect();
    names.join(" ")
}

const PRUNED: &str = " lib lib/libx.so share share/data share/doc share/doc/x share/doc/x/copyright";

#[test]
fn what_goes_comes_back_as_it_was() {
    let fixture = Fixture::new();
    let before = fixture.manifest();
    let done = fixture.apply(&Silent).unwrap();
    assert_eq!(done.moved, 5);
    assert_eq!(names(&fixture.manifest()), PRUNED);
    assert_eq!(state(&fixture.root()).unwrap(), State::Pruned(done.trash.clone()));
    // Nothing more goes; what went can be looked at by its name.
    assert_eq!(fixture.apply(&Silent).unwrap().moved, 0);
    assert!(done.trash.join("1/files/include/deep/b.h").exists());
    assert_eq!(undo(&fixture.root(), &Silent).unwrap().moved, 5);
    assert_eq!(fixture.manifest(), before);
    assert!(!fixture.trash().exists());
    assert!(matches!(
        undo(&fixture.root(), &Silent),
        Err(PruneError::NothingToUndo(_))
    ));
}

#[test]
fn several_runs_are_undone_together() {
    let fixture = Fixture::new();
    let before = fixture.manifest();
    fixture.apply(&Silent).unwrap();
    let (tree, plan) = fixture.plan(&RuleSelection {
        drop: vec!["share/data".to_owned(), "lib".to_owned()],
        ..RuleSelection::default()
    });
    apply(&fixture.root(), &tree, &plan, &Silent).unwrap();
    assert_eq!(
        names(&fixture.manifest()),
        " share share/doc share/doc/x share/doc/x/copyright"
    );
    assert!(fixture.trash().join("2/files/share/data").exists());
    undo(&fixture.root(), &Silent).unwrap();
    assert_eq!(fixture.manifest(), before);
}

/// Calls `run` with a stop at the first moment, the second, and so on, each time on a new tree, until it gets through;
/// gives how many moments there were.
fn at_every_moment(run: impl Fn(&Fixture, &StopAt) -> bool) -> usize {
    for moment in 0.. {
        assert!(moment < 500, "there is no end");
        let fixture = Fixture::new();
        let before = fixture.manifest();
        let through = run(&fixture, &StopAt::new(moment));
        // However it was stopped, everything can be put back.
        match undo(&fixture.root(), &Silent) {
            Ok(_) | Err(PruneError::NothingToUndo(_)) => {}
            Err(error) => panic!("{moment}: {error}"),
        }
        assert_eq!(fixture.manifest(), before, "{moment}");
        assert!(!fixture.trash().exists(), "{moment}");
        if through {
            return moment;
        }
    }
    0
}

#[test]
fn a_run_that_stops_anywhere_can_be_undone() {
    let moments = at_every_moment(|fixture, stop| fixture.apply(stop).is_ok());
    assert!(moments > 12, "{moments}");
}

#[test]
fn a_run_that_stops_anywhere_can_be_finished() {
    at_every_moment(|fixture, stop| {
        let through = fixture.apply(stop).is_ok();
        if let State::Unfinished(_) = state(&fixture.root()).unwrap() {
            finish(&fixture.root(), &Silent).unwrap();
        } else if !through {
            assert_eq!(state(&fixture.root()).unwrap(), State::Whole);
            fixture.apply(&Silent).unwrap();
        }
        assert_eq!(names(&fixture.manifest()), PRUNED);
        through
    });
}

#[test]
fn an_undo_that_stops_anywhere_can_be_undone_or_turned_round() {
    for turn in [false, true] {
        at_every_moment(|fixture, stop| {
            fixture.apply(&Silent).unwrap();
            let through = undo(&fixture.root(), stop).is_ok();
            if turn && !through {
                if let State::Unfinished(_) = state(&fixture.root()).unwrap() {
                    finish(&fixture.root(), &Silent).unwrap();
                }
                assert_eq!(names(&fixture.manifest()), PRUNED);
            }
            through
        });
    }
}

#[test]
fn what_is_half_written_is_swept_away() {
    let fixture = Fixture::new();
    let before = fixture.manifest();
    // As a run leaves it that was killed while it wrote its manifest.
    fs_err::create_dir_all(fixture.trash().join("1.new")).unwrap();
    fs_err::write(fixture.trash().join("1.new/manifest.json"), "{ \"sche").unwrap();
    assert_eq!(state(&fixture.root()).unwrap(), State::Whole);
    fixture.apply(&Silent).unwrap();
    undo(&fixture.root(), &Silent).unwrap();
    assert_eq!(fixture.manifest(), before);
    assert!(!fixture.trash().exists());
}

#[test]
fn nothing_is_ever_replaced() {
    let fixture = Fixture::new();
    fixture.apply(&Silent).unwrap();
    fs_err::create_dir(fixture.root().join("include")).unwrap();
    let error = undo(&fixture.root(), &Silent).unwrap_err();
    assert!(
        matches!(&error, PruneError::InTheWay(path) if path.ends_with("opt/include")),
        "{error}"
    );
    // It was refused before anything was moved.
    assert!(!fixture.root().join("lib/libx.a").exists());
    fs_err::remove_dir(fixture.root().join("include")).unwrap();
    fs_err::remove_file(fixture.trash().join("1/files/lib/libx.a")).unwrap();
    let error = undo(&fixture.root(), &Silent).unwrap_err();
    assert!(
        matches!(&error, PruneError::Lost { path, .. } if path.ends_with("lib/libx.a")),
        "{error}"
    );
}

#[test]
fn what_the_scan_did_not_see_stays_in_the_tree() {
    let fixture = Fixture::new();
    let (tree, plan) = fixture.plan(&RuleSelection::default());
    fs_err::write(fixture.root().join("include/deep/new.h"), "new").unwrap();
    apply(&fixture.root(), &tree, &plan, &Silent).unwrap();
    assert!(fixture.root().join("include/deep/new.h").exists());
    assert!(!fixture.root().join("include/deep/b.h").exists());
    undo(&fixture.root(), &Silent).unwrap();
    fs_err::remove_dir_all(fixture.root().join("include")).unwrap();
    let error = apply(&fixture.root(), &tree, &plan, &Silent).unwrap_err();
    assert!(
        matches!(&error, PruneError::Changed(path) if path.ends_with("include")),
        "{error}"
    );
    assert!(!fixture.trash().exists());
}

#[test]
fn a_manifest_cannot_lead_out_of_the_tree() {
    let fixture = Fixture::new();
    fixture.apply(&Silent).unwrap();
    let path = fixture.trash().join("1/manifest.json");
    let text = fs_err::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"include\"", "\"../include\""),
        ("\"include\"", "\"/etc/passwd\""),
        ("\"schema_version\": 1", "\"schema_version\": 2"),
        ("{", "["),
    ] {
        fs_err::write(&path, text.replace(from, to)).unwrap();
        let error = undo(&fixture.root(), &Silent).unwrap_err();
        assert!(matches!(error, PruneError::Trash { .. }), "{error}");
    }
    fs_err::write(&path, text).unwrap();
    undo(&fixture.root(), &Silent).unwrap();
}

#[test]
fn one_run_at_a_time() {
    let fixture = Fixture::new();
    fixture.apply(&Silent).unwrap();
    let other = fs_err::File::open(fixture.trash()).unwrap().into_parts().0;
    other.lock().unwrap();
    assert!(matches!(undo(&fixture.root(), &Silent), Err(PruneError::Busy(_))));
    drop(other);
    undo(&fixture.root(), &Silent).unwrap();
}

#[test]
fn a_copy_has_modes_times_and_links() {
    let fixture = Fixture::new();
    let before = fixture.manifest();
    let (_, plan) = fixture.plan(&RuleSelection::default());
    let to = fixture.directory.path().join("copy");
    for how in [CopyMethod::Copy, CopyMethod::HardLink] {
        copy(&fixture.root(), &plan.kept, &to, how, &Silent).unwrap();
        let mut expected = before.clone();
        expected.retain(|path, _| {
            plan.kept.contains(
                &crate::tree::TreePath::new(&path.to_string_lossy()).unwrap_or_else(crate::tree::TreePath::root),
            )
        });
        assert_eq!(manifest_of(&to), expected);
        assert_eq!(fixture.manifest(), before);
        fs_err::remove_dir_all(&to).unwrap();
    }
    let whole = fixture.plan(&RuleSelection {
        keep: vec!["**".to_owned()],
        ..RuleSelection::default()
    });
    copy(&fixture.root(), &whole.1.kept, &to, CopyMethod::Copy, &Silent).unwrap();
    assert_eq!(manifest_of(&to), before);
    for (target, words) in [
        ("copy", "something in it"),
        ("opt/copy", "is inside the tree"),
        ("no/copy", "create that directory first"),
    ] {
        let target = fixture.directory.path().join(target);
        let error = copy(&fixture.root(), &plan.kept, &target, CopyMethod::Copy, &Silent).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let stopped = copy(
        &fixture.root(),
        &plan.kept,
        &fixture.directory.path().join("other"),
        CopyMethod::Copy,
        &StopAt::new(5),
    );
    assert!(matches!(stopped, Err(PruneError::Interrupted(_))));
    let left: Vec<_> = fs_err::read_dir(fixture.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
