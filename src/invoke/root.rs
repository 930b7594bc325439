//! Lays out a root file system that has what the runtime has, by name, from the files of this machine.
//!
//! What this machine's builds need beyond the runtime's libraries (Debian's libcurl wants librtmp) is there under another
//! name, and the copies of these builds alone ask for it by that name: a library of a layer that needs librtmp.so.1 fails
//! as it does on Lambda. [`plan`] decides, [`write()`] carries it out.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::data::DATA;
use super::interpreter::Interpreter;
use super::sandbox::Mount;
use crate::elf::{Names, Object, RenameError, directories_in, private_name, rename_libraries};
use crate::host::Libraries;
use crate::languages::ManagedRuntime;
use crate::languages::inspector;
use crate::runtime::Runtime;
use crate::tree::{Content, Entry};

/// The directory of commands that a machine has besides those of `PATH`.
const COMMAND_DIRECTORIES: [&str; 6] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
];

/// The directory of a standard library that holds native modules.
const NATIVE_MODULES: &str = "lib-dynload";

/// What is at one place of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RootEntry {
    /// A program or library of this machine, in which these libraries have their hidden names.
    Program {
        /// Where it is.
        from: PathBuf,
        /// The names that are hidden in it.
        hidden: BTreeSet<String>,
    },
    /// A file or directory of this machine, as it is.
    Machine(PathBuf),
    /// A file with this text.
    Text(String),
    /// A file with this text that can be started.
    Script(String),
    /// A link.
    Link(String),
}

/// A root to be, by absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is where.
    pub(super) entries: BTreeMap<String, RootEntry>,
    /// What the runtime has and this machine could not supply: sonames, commands and other files, sorted.
    pub(super) missing: Vec<String>,
    /// The highest version of glibc's symbols here.
    pub(super) glibc: Option<String>,
}

/// This machine, as far as a root is made from it.
pub(super) trait Machine {
    /// A library by its soname.
    fn library(&self, soname: &str) -> Option<(PathBuf, Object)>;
    /// An ELF object by its path.
    fn object(&self, path: &Path) -> Option<Object>;
    /// A command by its name, with every link followed.
    fn command(&self, name: &str) -> Option<(PathBuf, Content)>;
    /// Where a path leads with every link followed; `None` where nothing is.
    fn resolved(&self, path: &str) -> Option<PathBuf>;
    /// The names in a directory, none if it is none.
    fn names(&self, directory: &Path) -> Vec<String>;
    /// The directories that a loader of this machine searches by default.
    fn default_directories(&self, loader: &Path) -> Vec<String>;
}

/// Decides what goes where.
pub(super) fn plan(runtime: &Runtime, language: Option<&(ManagedRuntime, Interpreter)>, machine: &dyn Machine) -> Plan {
    let mut planning = Planning {
        machine,
        listed: listed_libraries(runtime),
        plan: Plan::default(),
        hidden: BTreeMap::new(),
        libraries: BTreeMap::new(),
    };
    let mut missing = BTreeSet::new();
    for (path, entry) in runtime.entries() {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let there = match entry {
            Entry::Directory(_) => continue,
            Entry::Symlink(target) => {
                planning.plan.entries.insert(path, RootEntry::Link(target.clone()));
                continue;
            }
            Entry::File(file) if file.content.object().is_some() => planning.library(&path, &name),
            Entry::File(_) => planning.command(&path, &name),
        };
        if !there {
            missing.insert(name);
        }
    }
    if let Some((managed, interpreter)) = language {
        planning.language(managed, interpreter, &mut missing);
    }
    planning.supply_hidden(runtime);
    planning.supply_data(runtime, &mut missing);
    planning.plan.missing = without_full_versions(missing, &planning.listed);
    planning.plan
}

/// The names of the runtime's libraries.
fn listed_libraries(runtime: &Runtime) -> BTreeSet<String> {
    runtime
        .entries()
        .filter(|(_, entry)| matches!(entry, Entry::File(file) if file.content.object().is_some()))
        .filter_map(|(path, _)| Some(path.rsplit('/').next()?.to_owned()))
        .collect()
}

/// Leaves out the files behind sonames: where libcap.so.2 is listed, libcap.so.2.73 is nothing that is asked for.
fn without_full_versions(missing: BTreeSet<String>, listed: &BTreeSet<String>) -> Vec<String> {
    missing
        .into_iter()
        .filter(|name| {
            let has_shorter = listed.iter().any(|other| {
                let rest = name.strip_prefix(other.as_str()).unwrap_or_default();
                other.contains(".so.") && rest.starts_with('.')
            });
            !has_shorter
        })
        .collect()
}

struct Planning<'a> {
    machine: &'a dyn Machine,
    listed: BTreeSet<String>,
    plan: Plan,
    /// Libraries that the runtime does not have, by their own name, with what they need and where they are.
    hidden: BTreeMap<String, (PathBuf, Object)>,
    /// The libraries of the runtime that are there, by name, with their path in the root.
    libraries: BTreeMap<String, String>,
}

impl Planning<'_> {
    fn library(&mut self, path: &str, name: &str) -> bool {
        let Some((from, object)) = self.machine.library(name) else {
            return false;
        };
        if name == "libc.so.6" {
            self.plan.glibc = highest_glibc(&object);
        }
        let hidden = self.needs(&object);
        self.libraries.entry(name.to_owned()).or_insert_with(|| path.to_owned());
        self.plan
            .entries
            .insert(path.to_owned(), RootEntry::Program { from, hidden });
        true
    }

    fn command(&mut self, path: &str, name: &str) -> bool {
        let preferred = DATA.commands.get(name).into_iter().flatten().map(String::as_str);
        let found = preferred.chain([name]).find_map(|name| self.machine.command(name));
        let Some((from, content)) = found else {
            return false;
        };
        let hidden = match &content {
            Content::Object(object) => self.needs(object),
            _ => BTreeSet::new(),
        };
        self.plan
            .entries
            .insert(path.to_owned(), RootEntry::Program { from, hidden });
        true
    }

    /// Lays an interpreter out as the runtime has it, with the client that starts handlers.
    fn language(&mut self, managed: &ManagedRuntime, interpreter: &Interpreter, missing: &mut BTreeSet<String>) {
        for name in managed.programs.iter().rev() {
            if self.object(&format!("/var/lang/bin/{name}"), &interpreter.program) {
                missing.remove(name);
            }
        }
        if let (Some(from), Some(to)) = (&interpreter.library, &managed.library) {
            self.standard_library(from, &format!("/var/lang/{to}"), managed.left_out, 0);
        }
        let (client, text) = managed.client;
        let program = managed.programs.first().map_or("", String::as_str);
        let start = format!("#!/bin/sh\nexec /var/lang/bin/{program} /var/runtime/{client} \"$@\"\n");
        let entries = [
            ("/var/runtime/bootstrap".to_owned(), RootEntry::Script(start)),
            (format!("/var/runtime/{client}"), RootEntry::Text(text.to_owned())),
        ];
        self.plan.entries.extend(entries);
        if let (Some(library), Some((name, text))) = (&managed.library, managed.module_if_traced) {
            let module = RootEntry::Text(text.to_owned());
            self.plan.entries.insert(format!("/var/lang/{library}/{name}"), module);
        }
    }

    /// An object of this machine at a place of the root; whether it is one.
    fn object(&mut self, path: &str, from: &Path) -> bool {
        let Some(object) = self.machine.object(from) else {
            return false;
        };
        // An interpreter outside of the system's directories may have its core as a library next to it, under a soname that the
        // system's interpreter has, too.
        let prefix = from.parent().and_then(Path::parent);
        let libraries = prefix
            .filter(|prefix| ![Path::new("/usr"), Path::new("/")].contains(prefix))
            .map(|prefix| prefix.join("lib"));
        for soname in &object.needed {
            let own = libraries.as_ref().map(|directory| directory.join(soname));
            if let Some(own) = own.and_then(|own| self.machine.resolved(own.to_str()?)) {
                self.plan
                    .entries
                    .insert(format!("/var/lang/lib/{soname}"), RootEntry::Machine(own));
                self.listed.insert(soname.clone());
            }
        }
        let hidden = self.needs(&object);
        let from = from.to_owned();
        self.plan
            .entries
            .insert(path.to_owned(), RootEntry::Program { from, hidden });
        true
    }

    /// Directories are bound as they are, but for the one with native modules, which may need what the runtime does not have.
    fn standard_library(&mut self, from: &Path, to: &str, left_out: &[&str], depth: usize) {
        for name in self.machine.names(from) {
            let path = from.join(&name);
            let place = format!("{to}/{name}");
            if left_out.contains(&name.as_str()) {
                continue;
            }
            if name == NATIVE_MODULES && depth == 0 {
                self.standard_library(&path, &place, left_out, depth + 1);
            } else if !(name.contains(".so") && self.object(&place, &path)) {
                self.plan.entries.insert(place, RootEntry::Machine(path));
            }
        }
    }

    /// Which of the libraries that an object needs to hide; all that these need in turn is noted, too.
    fn needs(&mut self, object: &Object) -> BTreeSet<String> {
        let mut hidden = BTreeSet::new();
        for soname in &object.needed {
            if self.listed.contains(soname) || soname.contains('/') {
                continue;
            }
            if !self.hidden.contains_key(soname) {
                let Some(found) = self.machine.library(soname) else {
                    continue;
                };
                self.hidden.insert(soname.clone(), found.clone());
                self.needs(&found.1);
            }
            hidden.insert(soname.clone());
        }
        hidden
    }

    /// Puts the hidden libraries where this machine's loader looks whatever the environment says, and the others there, too:
    /// for the loader is this machine's own, and its default directories are not those of the runtime.
    fn supply_hidden(&mut self, runtime: &Runtime) {
        let loader = runtime.interpreter.rsplit('/').next().unwrap_or_default();
        let directories = match self.libraries.get(loader).and_then(|path| self.plan.entries.get(path)) {
            Some(RootEntry::Program { from, .. }) => self.machine.default_directories(from),
            _ => Vec::new(),
        };
        let own = |directory: &String| runtime.default_directories.contains(directory);
        let directory = match directories.first().filter(|_| !directories.iter().any(own)) {
            Some(directory) => {
                let directory = self.without_links(directory);
                for (name, path) in &self.libraries {
                    let link = format!("{directory}/{name}");
                    self.plan
                        .entries
                        .entry(link)
                        .or_insert_with(|| RootEntry::Link(path.clone()));
                }
                directory
            }
            None => self.without_links(runtime.default_directories.last().map_or("/usr/lib64", String::as_str)),
        };
        for (name, (from, object)) in std::mem::take(&mut self.hidden) {
            let mut hidden = self.needs(&object);
            hidden.insert(name.clone());
            let path = format!("{directory}/{}", hidden_name(&name).unwrap_or(&name));
            self.plan.entries.insert(path, RootEntry::Program { from, hidden });
        }
        // What was noted again on the way is there already.
        self.hidden.clear();
    }

    /// A path with the links of the root's own in its first name followed: /lib/x is /usr/lib/x where /lib is a link.
    fn without_links(&self, path: &str) -> String {
        let rest = path.trim_start_matches('/');
        let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
        match self.plan.entries.get(&format!("/{first}")) {
            Some(RootEntry::Link(target)) => {
                let target = target.trim_start_matches('/');
                format!("/{target}/{below}").trim_end_matches('/').to_owned()
            }
            _ => path.to_owned(),
        }
    }

    fn supply_data(&mut self, runtime: &Runtime, missing: &mut BTreeSet<String>) {
        for (path, text) in &DATA.files {
            self.plan
                .entries
                .insert(path.clone(), RootEntry::Text(text.trim_start().to_owned()));
        }
        for file in &DATA.from_machine {
            let found = file
                .places
                .iter()
                .find_map(|place| Some((place, self.machine.resolved(place)?)));
            match found {
                Some((place, from)) => {
                    self.plan.entries.insert(file.path.clone(), RootEntry::Machine(from));
                    // The place of another locale is better than none, and not the same.
                    if file.path.contains("/locale/en_US") && !place.contains("/en_US") {
                        missing.insert("locale en_US.UTF-8 (C.UTF-8 is in its place)".to_owned());
                    }
                }
                None => {
                    missing.insert(file.path.clone());
                }
            }
        }
        self.supply_character_sets(runtime, missing);
    }

    /// The modules of iconv are where this machine's libc looks for them.
    fn supply_character_sets(&mut self, runtime: &Runtime, missing: &mut BTreeSet<String>) {
        let Some(RootEntry::Program { from, .. }) = self
            .libraries
            .get("libc.so.6")
            .and_then(|path| self.plan.entries.get(path))
        else {
            return;
        };
        let directory = from.with_file_name("gconv");
        let Some(directory) = directory
            .to_str()
            .and_then(|directory| self.machine.resolved(directory))
        else {
            return;
        };
        let wanted = runtime
            .highest_versions
            .get("GLIBC")
            .and_then(|version| DATA.character_sets.get(version));
        let names = self.machine.names(&directory);
        for name in &names {
            let stem = name.strip_suffix(".so");
            if let (Some(stem), Some(wanted)) = (stem, wanted)
                && !wanted.iter().any(|wanted| wanted == stem)
            {
                continue;
            }
            let path = directory.join(name);
            if let Some(text) = path.to_str() {
                self.plan.entries.insert(text.to_owned(), RootEntry::Machine(path));
            }
        }
        for wanted in wanted.into_iter().flatten() {
            if !names.contains(&format!("{wanted}.so")) {
                missing.insert(format!("character set {wanted}"));
            }
        }
    }
}

/// The highest GLIBC_x.y that a libc defines.
fn highest_glibc(libc: &Object) -> Option<String> {
    let number = |version: &str| -> Option<Vec<u32>> { version.split('.').map(|part| part.parse().ok()).collect() };
    libc.versions
        .iter()
        .flatten()
        .filter_map(|version| {
            let version = version.strip_prefix("GLIBC_")?;
            Some((number(version)?, version.to_owned()))
        })
        .max()
        .map(|(_, version)| version)
}

/// Writes a planned root into an empty directory. What cannot be renamed is added to what is missing. Gives the directories of this
/// machine that are to be bound into the root as they are.
pub(super) fn write(plan: &mut Plan, root: &Path) -> std::io::Result<Vec<(String, Mount)>> {
    let mut failed = Vec::new();
    let mut mounts = Vec::new();
    let is_link = |path: &Path| {
        matches!(
            path.to_str().map(|path| plan.entries.get(path)),
            Some(Some(RootEntry::Link(_)))
        )
    };
    for (path, entry) in &plan.entries {
        // Nothing is written through a link, which may lead out of the root.
        if Path::new(path).ancestors().skip(1).any(is_link) {
            continue;
        }
        let to = root.join(path.trim_start_matches('/'));
        if let Some(directory) = to.parent() {
            fs_err::create_dir_all(directory)?;
        }
        match entry {
            RootEntry::Program { from, hidden } if hidden.is_empty() => {
                fs_err::copy(from, &to)?;
            }
            RootEntry::Program { from, hidden } => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let bytes = fs_err::read(from)?;
                match hide_libraries(&bytes, name, hidden) {
                    Ok(bytes) => {
                        fs_err::write(&to, bytes)?;
                        fs_err::set_permissions(&to, fs_err::metadata(from)?.permissions())?;
                    }
                    Err(_) => failed.push(name.to_owned()),
                }
            }
            RootEntry::Machine(from) if from.is_dir() => {
                fs_err::create_dir_all(&to)?;
                mounts.push((path.clone(), Mount::Path(from.clone())));
            }
            RootEntry::Machine(from) => {
                fs_err::copy(from, &to)?;
            }
            RootEntry::Text(text) => {
                fs_err::write(&to, text)?;
                fs_err::set_permissions(&to, PermissionsExt::from_mode(0o644))?;
            }
            RootEntry::Script(text) => {
                fs_err::write(&to, text)?;
                fs_err::set_permissions(&to, PermissionsExt::from_mode(0o755))?;
            }
            RootEntry::Link(target) => symlink(target, &to)?,
        }
    }
    let_others_enter(root)?;
    plan.missing.extend(failed);
    plan.missing.sort();
    plan.missing.dedup();
    Ok(mounts)
}

/// Lets others enter every directory, whatever this process's umask is.
fn let_others_enter(root: &Path) -> std::io::Result<()> {
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            fs_err::set_permissions(entry.path(), PermissionsExt::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// The machine that this program runs on.
pub(super) struct ThisMachine<'a> {
    /// Finds its libraries.
    pub(super) libraries: &'a dyn Libraries,
    /// The architecture.
    pub(super) runtime: &'a Runtime,
}

impl Machine for ThisMachine<'_> {
    fn library(&self, soname: &str) -> Option<(PathBuf, Object)> {
        let found = self.libraries.find(soname, self.runtime.arch)?;
        Some((found.path, found.object))
    }

    fn object(&self, path: &Path) -> Option<Object> {
        match inspector().inspect("", &fs_err::read(path).ok()?) {
            Content::Object(object) => Some((*object).clone()),
            _ => None,
        }
    }

    fn command(&self, name: &str) -> Option<(PathBuf, Content)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = COMMAND_DIRECTORIES
            .map(PathBuf::from)
            .into_iter()
            .chain(std::env::split_paths(&path));
        for directory in directories {
            let Ok(file) = fs_err::canonicalize(directory.join(name)) else {
                continue;
            };
            if !file.is_file() {
                continue;
            }
            let Ok(bytes) = fs_err::read(&file) else {
                continue;
            };
            let content = inspector().inspect("", &bytes);
            let runs = match &content {
                // Another loader than the runtime's is not in the root.
                Content::Object(object) => {
                    object.machine == self.runtime.arch.machine()
                        && object
                            .interpreter
                            .as_ref()
                            .is_none_or(|loader| *loader == self.runtime.interpreter)
                }
                Content::Text(_) => true,
                _ => false,
            };
            if runs {
                return Some((file, content));
            }
        }
        None
    }

    fn resolved(&self, path: &str) -> Option<PathBuf> {
        fs_err::canonicalize(path).ok()
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let Ok(entries) = fs_err::read_dir(directory) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn default_directories(&self, loader: &Path) -> Vec<String> {
        fs_err::read(loader)
            .map(|bytes| directories_in(&bytes))
            .unwrap_or_default()
    }
}

/// The name under which the sandbox has a library of this machine that the runtime does not have. Private names in layers
/// leave out one letter, these leave out more.
fn hidden_name(name: &str) -> Option<&str> {
    private_name(name, |end| end.len() + 1 >= name.len())
}

/// The object with the hidden names of these libraries: where it asks for them, and its own if it is one of them.
fn hide_libraries(bytes: &[u8], file_name: &str, hidden: &BTreeSet<String>) -> Result<Vec<u8>, RenameError> {
    let pair = |name: &String| Some((name.clone(), hidden_name(name)?.to_owned()));
    let asked = hidden.iter().filter_map(pair).collect();
    let names = Names {
        asked: &asked,
        own: asked.values().map(String::as_str).find(|name| *name == file_name),
    };
    match rename_libraries(bytes, names) {
        Err(RenameError::Nothing) => Ok(bytes.to_vec()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::elf::{Class, Kind};
    use crate::runtime::Arch;

    /// A machine with a few libraries and commands, its loader's defaults as Debian has them.
    struct SmallMachine(BTreeMap<&'static str, Vec<&'static str>>);

    impl SmallMachine {
        fn library_named(&self, name: &str) -> Option<Object> {
            Some(Object {
                soname: Some(name.to_owned()),
                needed: self.0.get(name)?.iter().map(|name| (*name).to_owned()).collect(),
                versions: Some(vec!["GLIBC_2.4".into(), "GLIBC_2.36".into(), "GLIBC_PRIVATE".into()]),
                ..Object::bare(Class::Elf64, Arch::X86_64.machine(), Kind::SharedLibrary)
            })
        }
    }

    impl Machine for SmallMachine {
        fn library(&self, soname: &str) -> Option<(PathBuf, Object)> {
            Some((
                Path::new("/lib/x86_64-linux-gnu").join(soname),
                self.library_named(soname)?,
            ))
        }

        fn object(&self, _: &Path) -> Option<Object> {
            None
        }

        fn command(&self, name: &str) -> Option<(PathBuf, Content)> {
            let object = self.library_named(name)?;
            Some((Path::new("/usr/bin").join(name), Content::Object(Arc::new(object))))
        }

        fn resolved(&self, path: &str) -> Option<PathBuf> {
            path.starts_with("/usr/lib/locale/C.").then(|| PathBuf::from(path))
        }

        fn names(&self, _: &Path) -> Vec<String> {
            Vec::new()
        }

        fn default_directories(&self, _: &Path) -> Vec<String> {
            vec!["/lib/x86_64-linux-gnu".to_owned(), "/lib".to_owned()]
        }
    }

    fn planned() -> Plan {
        let machine = SmallMachine(BTreeMap::from([
            ("ld-linux-x86-64.so.2", vec![]),
            ("libc.so.6", vec!["ld-linux-x86-64.so.2"]),
            ("libcap.so.2", vec!["libc.so.6"]),
            ("libcurl.so.4", vec!["librtmp.so.1", "libc.so.6"]),
            ("librtmp.so.1", vec!["libgnutls.so.30", "libc.so.6"]),
            ("libgnutls.so.30", vec!["libc.so.6"]),
            ("libgfortran.so.5", vec!["libc.so.6"]),
            ("bash", vec!["libc.so.6"]),
            ("dash", vec![]),
            ("curl", vec!["libcurl.so.4", "libgnutls.so.30"]),
            ("which", vec![]),
        ]));
        plan(&Runtime::load("provided.al2023", Arch::X86_64).unwrap(), None, &machine)
    }

    #[test]
    fn what_this_machine_needs_beyond_the_runtime_has_another_name() {
        let plan = planned();
        let hidden = |path: &str| match &plan.entries[path] {
            RootEntry::Program { hidden, .. } => hidden.iter().map(String::as_str).collect::<Vec<_>>(),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(hidden("/usr/lib64/libcurl.so.4"), ["librtmp.so.1"]);
        assert_eq!(hidden("/usr/lib64/libcap.so.2"), [""; 0]);
        assert_eq!(hidden("/usr/bin/curl"), ["libgnutls.so.30"]);
        let directory = "/usr/lib/x86_64-linux-gnu";
        assert_eq!(
            hidden(&format!("{directory}/brtmp.so.1")),
            ["libgnutls.so.30", "librtmp.so.1"]
        );
        assert_eq!(hidden(&format!("{directory}/bgnutls.so.30")), ["libgnutls.so.30"]);
        let names: Vec<&str> = plan.entries.keys().filter_map(|path| path.rsplit('/').next()).collect();
        for absent in ["librtmp.so.1", "libgnutls.so.30", "libgfortran.so.5", "which", "dash"] {
            assert!(!names.contains(&absent), "{absent}");
        }
    }

    #[test]
    fn the_loader_of_this_machine_finds_what_the_runtime_has() {
        let plan = planned();
        let link = &plan.entries["/usr/lib/x86_64-linux-gnu/libcap.so.2"];
        assert_eq!(*link, RootEntry::Link("/usr/lib64/libcap.so.2".to_owned()));
        assert_eq!(plan.glibc.as_deref(), Some("2.36"));
        assert!(matches!(&plan.entries["/usr/bin/sh"], RootEntry::Program { from, .. } if from.ends_with("bash")));
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs_err::create_dir_all(&outside).unwrap();
        let mut plan = Plan {
            entries: BTreeMap::from([
                ("/a".to_owned(), RootEntry::Link(outside.to_str().unwrap().to_owned())),
                ("/a/x".to_owned(), RootEntry::Text("x".to_owned())),
                ("/b/y".to_owned(), RootEntry::Text("y".to_owned())),
            ]),
            ..Plan::default()
        };
        let root = directory.path().join("root");
        write(&mut plan, &root).unwrap();
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(fs_err::read_to_string(root.join("b/y")).unwrap(), "y");
    }

    #[test]
    fn what_is_missing_is_told_without_noise() {
        let plan = planned();
        for name in [
            "libssl.so.3",
            "gpg",
            "/usr/share/zoneinfo",
            "locale en_US.UTF-8 (C.UTF-8 is in its place)",
        ] {
            assert!(
                plan.missing.iter().any(|missing| missing == name),
                "{name}: {:?}",
                plan.missing
            );
        }
        for name in ["libcap.so.2.73", "libcap.so.2", "curl", "sh"] {
            assert!(!plan.missing.iter().any(|missing| missing == name), "{name}");
        }
    }
}
