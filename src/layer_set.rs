//! An output directory as one set of layers: a new set is put in the place of the earlier one, and what a killed run has left
//! of that is brought to its end.
//!
//! Names in a directory cannot be exchanged all at once, so the steps are written down first. In its directory of unfinished
//! work a run has the new layers, hard links to all that they replace, and at last the new manifest, the journal. Once the
//! journal has its name, the layers are renamed into place, then the manifest, and then what only the earlier manifest lists
//! is removed. [`settle`] does the same again from whatever was reached: it completes the new set if all of it is there, and
//! puts the earlier one back if it is not. Every step can be repeated, and the journal goes before anything else of the
//! unfinished work. Zips that no manifest lists are never touched.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::manifest::directory::{BEFORE, UNFINISHED, is_half_in_place, is_layer_file, unfinished};
use crate::manifest::{MANIFEST_NAME, Manifest, Outline, file_hash};

/// The manifest in the unfinished work that is renamed into place. The journal beside it has the same content.
const NEW_MANIFEST: &str = "layers.json.new";
/// The journal before it is whole.
const UNFINISHED_JOURNAL: &str = "layers.json.journal";
/// A second name for what is put back, which is then renamed.
const PUT_BACK: &str = "layers.json.back";

/// How long another run may take to put its layers in place, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Why layers are not put in place. The earlier set is whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    /// Something of someone else has the name of a layer or of the manifest.
    #[error("{path} is {what}", path = .path.display())]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What [`settle`] has made of a pack that was killed while it put its layers in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// All layers are those of that pack.
    Completed,
    /// All layers are those that were there before it.
    PutBack,
}

impl Settled {
    /// What the layers are now.
    pub fn words(self) -> &'static str {
        match self {
            Self::Completed => "all layers are those of that pack now",
            Self::PutBack => "all layers are those from before it now",
        }
    }
}

/// Brings to its end what a killed run has begun to put in place in a directory, for whoever reads the layers. `None` if there
/// is nothing of that kind. A run that is putting its layers in place is waited for.
///
/// Fails if the directory cannot be written; its layers may be of two packs then.
pub fn settle(directory: &Path) -> io::Result<Option<Settled>> {
    let began = Instant::now();
    // A directory that cannot be read is for its reader to tell of.
    while let Ok(Some(left)) = half_in_place(directory) {
        match lock(directory)? {
            Some(_lock) => return settle_locked(directory),
            None if began.elapsed() > PATIENCE => {
                let left = left.file_name().unwrap_or_default().display();
                let message = format!("another lambdar-prune is at work on {left}");
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            None => std::thread::sleep(PAUSE),
        }
    }
    Ok(None)
}

/// Reads the layers of directories. Where a pack puts others in their place meanwhile, they are read again: what is read is of
/// one pack.
pub fn read_unmixed<T>(directories: &[PathBuf], mut read: impl FnMut() -> T) -> T {
    let began = Instant::now();
    loop {
        let before: Vec<_> = directories.iter().map(|directory| identity(directory)).collect();
        let value = read();
        let mut after = directories.iter().zip(before);
        let is_unmixed =
            after.all(|(directory, before)| identity(directory) == before && !is_being_replaced(directory));
        if is_unmixed || began.elapsed() > PATIENCE {
            return value;
        }
        std::thread::sleep(PAUSE);
    }
}

/// What tells the manifest of a directory from any other that has its name at another time: whatever replaces or puts it back
/// changes this. `None` without a manifest.
fn identity(directory: &Path) -> Option<(u64, u64, i64, i64)> {
    let metadata = directory.join(MANIFEST_NAME).symlink_metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// Whether another run is putting layers in place right now.
fn is_being_replaced(directory: &Path) -> bool {
    let is_begun = matches!(half_in_place(directory), Ok(Some(_)));
    is_begun && matches!(lock(directory), Ok(None))
}

/// Changes what the manifest in a directory says of its layers, which are those of `packed`. `false` if they are no longer, or
/// another run is at work on them.
pub(crate) fn revise(directory: &Path, packed: &Manifest, change: impl FnOnce(&mut Manifest)) -> io::Result<bool> {
    let Some(_lock) = lock(directory)? else {
        return Ok(false);
    };
    let path = directory.join(MANIFEST_NAME);
    let hashes = |manifest: &Manifest| -> Vec<String> {
        let layers = manifest.layers.iter();
        layers.map(|layer| layer.sha256.clone()).collect()
    };
    let Ok(mut manifest) = Manifest::read(&path) else {
        return Ok(false);
    };
    if hashes(&manifest) != hashes(packed) {
        return Ok(false);
    }
    change(&mut manifest);
    let staging = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(directory)?;
    let new = staging.path().join(NEW_MANIFEST);
    let mut file = fs_err::File::create_new(&new)?;
    manifest.write_json(&mut file)?;
    file.sync_all()?;
    fs_err::rename(new, path)?;
    sync(directory)?;
    Ok(true)
}

/// As [`settle`], by a run that has locked the directory. All unfinished work is removed.
pub(crate) fn settle_locked(directory: &Path) -> io::Result<Option<Settled>> {
    let mut settled = None;
    for left in unfinished(directory)? {
        if is_half_in_place(&left) {
            settled = Some(finish(&left, directory)?);
        }
        remove_own(&left)?;
    }
    Ok(settled)
}

fn half_in_place(directory: &Path) -> io::Result<Option<PathBuf>> {
    Ok(unfinished(directory)?.into_iter().find(|left| is_half_in_place(left)))
}

/// Puts finished layers and their manifest in the place of an earlier set. If that fails, the earlier set is put back; `false`
/// if not even that is possible, and the unfinished work has to stay for the next run.
pub(crate) fn replace(staging: &Path, output: &Path, manifest: &Manifest) -> (Result<(), ReplaceError>, bool) {
    let prepared = nothing_in_the_way(staging, output, manifest)
        .and_then(|()| Ok(keep_before(staging, output, manifest)?))
        .and_then(|()| Ok(write_journal(manifest, staging)?));
    if let Err(error) = prepared {
        return (Err(error), true);
    }
    if let Err(error) = put_in_place(staging, output, manifest) {
        let is_back = put_back(staging, output, Some(manifest)).is_ok();
        return (Err(error.into()), is_back);
    }
    let removed = remove_surplus(staging, output, manifest).and_then(|()| close_journal(staging));
    let is_done = removed.is_ok();
    (removed.map_err(Into::into), is_done)
}

/// Fails where something has the name of a layer or of the manifest that is not of an earlier set.
fn nothing_in_the_way(staging: &Path, output: &Path, manifest: &Manifest) -> Result<(), ReplaceError> {
    let earlier = Outline::read(&output.join(MANIFEST_NAME)).ok();
    let listed: BTreeSet<&str> = earlier
        .iter()
        .flat_map(|earlier| &earlier.layers)
        .map(|layer| layer.file.as_str())
        .collect();
    let in_the_way = |path: PathBuf, what| Err(ReplaceError::InTheWay { path, what });
    for name in names(manifest) {
        let path = output.join(name);
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            return in_the_way(path, "a directory");
        }
        let is_own = name == MANIFEST_NAME || listed.contains(name);
        if !is_own && file_hash(&path).ok() != Some(file_hash(&staging.join(name))?) {
            return in_the_way(path, "not listed in a layers.json next to it");
        }
    }
    Ok(())
}

/// What a set consists of: its layers, and last its manifest.
fn names(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let layers = manifest.layers.iter().map(|layer| layer.file.as_str());
    layers.chain([MANIFEST_NAME])
}

/// Gives what will be replaced a second name. Where there are no hard links, it is copied.
fn keep_before(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    let before = staging.join(BEFORE);
    fs_err::create_dir(&before)?;
    for name in names(manifest) {
        match link_or_copy(&output.join(name), &before.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    sync(&before)
}

/// Gives a file a second name. Where there are no hard links, or none to files of others, a regular file is copied.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs_err::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) if from.symlink_metadata()?.is_file() => {
            // Over a network a link may be there although the error says otherwise.
            remove_if_there(to)?;
            fs_err::copy(from, to)?;
            fs_err::File::open(to)?.sync_all()
        }
        result => result,
    }
}

/// Writes the new manifest and the journal to the unfinished work. When the journal has its name, all layers are whole and on
/// disk.
fn write_journal(manifest: &Manifest, staging: &Path) -> io::Result<()> {
    for name in [NEW_MANIFEST, UNFINISHED_JOURNAL] {
        let mut file = fs_err::File::create_new(staging.join(name))?;
        manifest.write_json(&mut file)?;
        file.sync_all()?;
    }
    sync(staging)?;
    fs_err::rename(staging.join(UNFINISHED_JOURNAL), staging.join(MANIFEST_NAME))?;
    sync(staging)
}

/// Removes the journal: what is left of the unfinished work then only has to be removed.
fn close_journal(staging: &Path) -> io::Result<()> {
    remove_if_there(&staging.join(MANIFEST_NAME))?;
    sync(staging)
}

fn put_in_place(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    for layer in &manifest.layers {
        fs_err::rename(staging.join(&layer.file), output.join(&layer.file))?;
    }
    fs_err::rename(staging.join(NEW_MANIFEST), output.join(MANIFEST_NAME))?;
    sync(output)
}

/// Undoes [`put_in_place`], however far it came, and closes the journal. Without the new manifest only that is put back which
/// was there before.
fn put_back(staging: &Path, output: &Path, manifest: Option<&Manifest>) -> io::Result<()> {
    let before = staging.join(BEFORE);
    let again = staging.join(PUT_BACK);
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for entry in entries(&before)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_layer_file(&name) || name == MANIFEST_NAME {
            remove_if_there(&again)?;
            link_or_copy(&entry.path(), &again)?;
            fs_err::rename(&again, output.join(&name))?;
            // Two names of one file are not renamed over one another (rename(2)).
            remove_if_there(&again)?;
            kept.insert(name);
        }
    }
    for layer in manifest.iter().flat_map(|manifest| &manifest.layers) {
        let path = output.join(&layer.file);
        if !kept.contains(&layer.file) && file_hash(&path).is_ok_and(|(_, hash)| layer.has_hash(&hash)) {
            remove_if_there(&path)?;
        }
    }
    let hash = |directory: &Path| file_hash(&directory.join(MANIFEST_NAME)).ok();
    if !kept.contains(MANIFEST_NAME) && hash(staging).is_some_and(|journal| hash(output) == Some(journal)) {
        remove_if_there(&output.join(MANIFEST_NAME))?;
    }
    sync(output)?;
    close_journal(staging)
}

/// Removes the layers that the earlier manifest lists and the new one does not. What has another content than is listed is of
/// someone else.
fn remove_surplus(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    let Ok(earlier) = Outline::read(&staging.join(BEFORE).join(MANIFEST_NAME)) else {
        return Ok(());
    };
    let is_new = |name: &str| manifest.layers.iter().any(|layer| layer.file == name);
    for layer in earlier.layers.iter().filter(|layer| !is_new(&layer.file)) {
        let path = output.join(&layer.file);
        if is_layer_file(&layer.file) && file_hash(&path).is_ok_and(|(_, hash)| layer.has_hash(&hash)) {
            remove_if_there(&path)?;
        }
    }
    sync(output)
}

/// Completes the set of a journal if all of it is there, or puts the earlier one back.
fn finish(left: &Path, output: &Path) -> io::Result<Settled> {
    let journal = Manifest::read(&left.join(MANIFEST_NAME)).ok();
    let journal = journal.filter(|manifest| manifest.layers.iter().all(|layer| is_layer_file(&layer.file)));
    match journal {
        Some(manifest) if is_whole(left, output, &manifest) => {
            put_rest_in_place(left, output, &manifest)?;
            remove_surplus(left, output, &manifest)?;
            close_journal(left)?;
            Ok(Settled::Completed)
        }
        journal => {
            put_back(left, output, journal.as_ref())?;
            Ok(Settled::PutBack)
        }
    }
}

/// Whether each layer of a manifest is in the unfinished work or in its place.
fn is_whole(left: &Path, output: &Path, manifest: &Manifest) -> bool {
    manifest.layers.iter().all(|layer| {
        let is_it = |path: PathBuf| file_hash(&path).is_ok_and(|(_, hash)| layer.has_hash(&hash));
        is_it(left.join(&layer.file)) || is_it(output.join(&layer.file))
    })
}

fn put_rest_in_place(left: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    for layer in &manifest.layers {
        let is_it = file_hash(&left.join(&layer.file)).is_ok_and(|(_, hash)| layer.has_hash(&hash));
        if is_it {
            fs_err::rename(left.join(&layer.file), output.join(&layer.file))?;
        }
    }
    remove_if_there(&left.join(NEW_MANIFEST))?;
    link_or_copy(&left.join(MANIFEST_NAME), &left.join(NEW_MANIFEST))?;
    fs_err::rename(left.join(NEW_MANIFEST), output.join(MANIFEST_NAME))?;
    sync(output)
}

/// Removes unfinished work, if there is nothing in it but what this program puts there.
fn remove_own(left: &Path) -> io::Result<()> {
    const OWN: [&str; 4] = [MANIFEST_NAME, NEW_MANIFEST, UNFINISHED_JOURNAL, PUT_BACK];
    for directory in [left.join(BEFORE), left.to_owned()] {
        for entry in entries(&directory)? {
            let name = entry.file_name();
            let is_own = name
                .to_str()
                .is_some_and(|name| is_layer_file(name) || OWN.contains(&name));
            if is_own && !entry.file_type()?.is_dir() {
                remove_if_there(&entry.path())?;
            }
        }
        match fs_err::remove_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

/// What is in a directory; nothing if it is not there.
fn entries(directory: &Path) -> io::Result<Vec<fs_err::DirEntry>> {
    match fs_err::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::LayerSummary;
    use crate::size::Bytes;

    type Contents = BTreeMap<String, Vec<u8>>;

    /// Layers of these names and contents, written to a directory, and their manifest.
    fn layers(directory: &Path, contents: &[(&str, &str)]) -> Manifest {
        fs_err::create_dir_all(directory).unwrap();
        let head = r#"{"schema_version": 1, "runtime": "provided.al2023", "arch": "x86_64", "layers": []}"#;
        let mut manifest = Manifest::parse(head.as_bytes()).unwrap();
        for (file, content) in contents {
            fs_err::write(directory.join(file), content).unwrap();
            let (length, hash) = file_hash(&directory.join(file)).unwrap();
            let summary = LayerSummary::new(None, (*file).to_owned(), Bytes(length), &hash, Vec::new());
            manifest.layers.push(summary);
        }
        manifest
    }

    const OLD: [(&str, &str); 3] = [
        ("layer-1.zip", "same"),
        ("layer-2.zip", "old 2"),
        ("layer-3.zip", "old 3"),
    ];
    const NEW: [(&str, &str); 2] = [("layer-1.zip", "same"), ("layer-2.zip", "new 2")];
    const MORE: [(&str, &str); 4] = [
        ("R.zip", "new R"),
        ("layer-1.zip", "new 1"),
        ("layer-2.zip", "new 2"),
        ("layer-3.zip", "new 3"),
    ];

    /// What is in a directory, without its directories.
    fn contents(directory: &Path) -> Contents {
        let files = fs_err::read_dir(directory).unwrap().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().unwrap().is_file());
        let content = |entry: fs_err::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs_err::read(entry.path()).unwrap())
        };
        files.map(content).collect()
    }

    fn copy(from: &Path, to: &Path) {
        fs_err::create_dir(to).unwrap();
        for entry in fs_err::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to.join(entry.file_name()));
            } else {
                fs_err::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    /// An output directory with the old set and foreign files, and a journal to put a new one in its place.
    struct Begun {
        output: PathBuf,
        staging: PathBuf,
        manifest: Manifest,
        old: Contents,
        new: Contents,
    }

    fn begun(work: &Path, name: &str, new: &[(&str, &str)], with_old: bool) -> Begun {
        let output = work.join(name);
        fs_err::create_dir(&output).unwrap();
        if with_old {
            let manifest = layers(&output, &OLD);
            fs_err::write(output.join(MANIFEST_NAME), manifest.to_json()).unwrap();
        }
        let foreign = [("notes.txt", "mine"), ("layer-9.zip", "not listed")];
        for (name, content) in foreign {
            fs_err::write(output.join(name), content).unwrap();
        }
        let staging = output.join(".lambdar-prune-Ab3dE6");
        let manifest = layers(&staging, new);
        let mut expected: Contents = new
            .iter()
            .chain(&foreign)
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect();
        expected.insert(MANIFEST_NAME.to_owned(), manifest.to_json().into_bytes());
        keep_before(&staging, &output, &manifest).unwrap();
        write_journal(&manifest, &staging).unwrap();
        Begun {
            old: contents(&output),
            new: expected,
            output,
            staging,
            manifest,
        }
    }

    /// The steps of putting in place, as far as the first `count` of them.
    fn steps(begun: &Begun, count: usize) {
        let Begun {
            output,
            staging,
            manifest,
            ..
        } = begun;
        let renames = manifest
            .layers
            .iter()
            .map(|layer| (layer.file.as_str(), layer.file.as_str()));
        for (from, to) in renames.chain([(NEW_MANIFEST, MANIFEST_NAME)]).take(count) {
            fs_err::rename(staging.join(from), output.join(to)).unwrap();
        }
    }

    #[test]
    fn a_run_that_is_killed_at_any_step_is_completed() {
        let work = tempfile::tempdir().unwrap();
        for (number, new) in [NEW.as_slice(), MORE.as_slice()].into_iter().enumerate() {
            for with_old in [true, false] {
                for count in 0..=new.len() + 1 {
                    let begun = begun(work.path(), &format!("{number}-{with_old}-{count}"), new, with_old);
                    steps(&begun, count);
                    assert_eq!(settle(&begun.output).unwrap(), Some(Settled::Completed));
                    assert_eq!(contents(&begun.output), begun.new, "{number} {with_old} {count}");
                    assert!(!begun.staging.exists());
                    assert_eq!(settle(&begun.output).unwrap(), None);
                }
            }
        }
    }

    #[test]
    fn what_lost_a_new_layer_is_put_back_however_often_that_is_begun() {
        let work = tempfile::tempdir().unwrap();
        for with_old in [true, false] {
            for count in 0..=MORE.len() + 1 {
                let begun = begun(work.path(), &format!("{with_old}-{count}"), &MORE, with_old);
                steps(&begun, count);
                // The new layer-2.zip is nowhere any more; where there was an old one, as if that had been put back already.
                remove_if_there(&begun.staging.join("layer-2.zip")).unwrap();
                if with_old {
                    fs_err::write(begun.output.join("layer-2.zip"), "old 2").unwrap();
                } else {
                    remove_if_there(&begun.output.join("layer-2.zip")).unwrap();
                }
                let again = work.path().join(format!("{with_old}-{count}-again"));
                copy(&begun.output, &again);
                assert_eq!(settle(&begun.output).unwrap(), Some(Settled::PutBack));
                assert_eq!(contents(&begun.output), begun.old, "{with_old} {count}");
                // Putting back, killed before the journal is closed, and begun again.
                let left = again.join(".lambdar-prune-Ab3dE6");
                let journal = fs_err::read(left.join(MANIFEST_NAME)).unwrap();
                put_back(&left, &again, Some(&begun.manifest)).unwrap();
                fs_err::write(left.join(MANIFEST_NAME), journal).unwrap();
                assert_eq!(settle(&again).unwrap(), Some(Settled::PutBack));
                assert_eq!(contents(&again), begun.old, "{with_old} {count} again");
            }
        }
    }

    #[test]
    fn layers_that_are_replaced_while_they_are_read_are_read_again() {
        let work = tempfile::tempdir().unwrap();
        let begun = begun(work.path(), "out", &MORE, true);
        let mut times = 0;
        let read = read_unmixed(std::slice::from_ref(&begun.output), || {
            times += 1;
            let first = fs_err::read_to_string(begun.output.join("layer-1.zip")).unwrap();
            if times == 1 {
                // Between two files of the first reading, another run puts all in place.
                steps(&begun, MORE.len() + 1);
                close_journal(&begun.staging).unwrap();
            }
            (first, fs_err::read_to_string(begun.output.join("layer-2.zip")).unwrap())
        });
        assert_eq!((read, times), (("new 1".to_owned(), "new 2".to_owned()), 2));
    }

    #[test]
    fn a_journal_that_cannot_be_read_puts_back_what_was_replaced() {
        let work = tempfile::tempdir().unwrap();
        let begun = begun(work.path(), "out", &NEW, true);
        steps(&begun, 2);
        fs_err::write(begun.staging.join(MANIFEST_NAME), "{").unwrap();
        assert_eq!(settle(&begun.output).unwrap(), Some(Settled::PutBack));
        assert_eq!(contents(&begun.output), begun.old);
    }

    #[test]
    fn without_a_journal_nothing_was_put_in_place() {
        let work = tempfile::tempdir().unwrap();
        let begun = begun(work.path(), "out", &NEW, true);
        fs_err::remove_file(begun.staging.join(MANIFEST_NAME)).unwrap();
        assert_eq!(settle(&begun.output).unwrap(), None);
        assert!(begun.staging.exists());
        assert_eq!(settle_locked(&begun.output).unwrap(), None);
        assert!(!begun.staging.exists());
        assert_eq!(contents(&begun.output), begun.old);
    }

    #[test]
    fn links_in_unfinished_work_are_not_followed() {
        let work = tempfile::tempdir().unwrap();
        let begun = begun(work.path(), "out", &NEW, true);
        let victim = work.path().join("victim");
        fs_err::write(&victim, "precious").unwrap();
        remove_if_there(&begun.staging.join(NEW_MANIFEST)).unwrap();
        fs_err::os::unix::fs::symlink(&victim, begun.staging.join(NEW_MANIFEST)).unwrap();
        assert_eq!(settle(&begun.output).unwrap(), Some(Settled::Completed));
        assert_eq!(fs_err::read(&victim).unwrap(), b"precious");
        assert_eq!(contents(&begun.output), begun.new);
    }
}
