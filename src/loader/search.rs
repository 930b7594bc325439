//! One process: the objects that the loader maps for it, in order, and how it finds each (ld.so(8); glibc
//! `elf/dl-load.c`, `_dl_map_object`).

use crate::elf::{Kind, Object};
use crate::root::{Place, Root};

use super::process::Process;

/// Where a library was looked for, in the loader's own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The name has a slash: it is a path.
    Direct,
    /// `DT_RPATH` of the object that needs it, or of one that loaded that.
    Rpath,
    /// `LD_LIBRARY_PATH`
    LibraryPath,
    /// `DT_RUNPATH` of the object that needs it.
    Runpath,
    /// The loader's default directories.
    Default,
}

impl How {
    /// The name that the loader's manual has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "path",
            Self::Rpath => "RPATH",
            Self::LibraryPath => "LD_LIBRARY_PATH",
            Self::Runpath => "RUNPATH",
            Self::Default => "default",
        }
    }
}

/// The file that the loader takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, links followed.
    pub place: Place,
    /// The path by which it was found: what the loader prints, and where `$ORIGIN` is.
    pub path: String,
    /// Where it was found.
    pub how: How,
}

/// A directory that was searched in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// The directory, or the whole path for [`How::Direct`].
    pub directory: String,
    /// Why it was searched.
    pub how: How,
    /// What was there.
    pub outcome: Outcome,
}

/// Why a candidate was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is no such file.
    NoSuchFile,
    /// It is 32-bit where 64-bit is wanted, or the other way round; the search goes on.
    WrongClass,
    /// It is for another processor; the search goes on.
    WrongMachine,
    /// It is not an ELF library; the loader gives up.
    NotALibrary,
}

/// What became of one needed library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The loader maps this file, or has mapped it already.
    Found(Found),
    /// The loader fails with "cannot open shared object file".
    Missing(Vec<Searched>),
}

/// One object of a process, in the order in which the loader maps them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file and how it was found.
    pub found: Found,
    /// The object that asked for it first; `None` for the program.
    pub loader: Option<usize>,
    /// What it needs: the name, the answer and the number of the object that serves it.
    pub needs: Vec<(String, Answer, Option<usize>)>,
}

/// Follows one process: its program breadth first, then its plugins one after the other.
///
/// An object whose plugin or program is not in the tree is left out; the answer then has fewer objects.
pub fn load(root: Root<'_>, process: &Process) -> Vec<Loaded> {
    follow(root, process)
        .loaded
        .into_iter()
        .map(|mapped| mapped.loaded)
        .collect()
}

fn follow<'a>(root: Root<'a>, process: &'a Process) -> State<'a> {
    let mut state = State {
        root,
        process,
        main: None,
        loaded: Vec::new(),
    };
    for path in process.program.iter().chain(&process.plugins) {
        let Ok(place) = root.resolve(path) else {
            continue;
        };
        let Some(object) = root.object(&place) else {
            continue;
        };
        if state.loaded.iter().any(|other| other.loaded.found.place == place) {
            continue;
        }
        let first = state.loaded.len();
        // The program finds itself through /proc/self/exe, with links followed; a plugin by the path it was given.
        let path = if first == 0 { place.on_lambda() } else { path.clone() };
        let caller = (first > 0).then(|| state.caller());
        if first == 0 {
            state.main = Some(object);
        }
        state.map(
            Found {
                place,
                path,
                how: How::Direct,
            },
            object,
            caller,
        );
        state.follow_from(first);
    }
    state
}

/// A process that has been followed, to ask what more its program would find.
pub struct Searching<'a>(State<'a>);

impl<'a> Searching<'a> {
    /// Follows the process.
    pub fn from(root: Root<'a>, process: &'a Process) -> Self {
        Self(follow(root, process))
    }

    /// Whether the program would find a library of that name with dlopen.
    pub fn finds(&self, name: &str) -> bool {
        let known = self
            .0
            .loaded
            .iter()
            .any(|mapped| mapped.names.iter().any(|known| known == name));
        known || (!self.0.loaded.is_empty() && self.0.search(0, name).is_ok())
    }
}

struct Mapped<'a> {
    loaded: Loaded,
    object: &'a Object,
    /// The names under which later needs are served by it without a search.
    names: Vec<String>,
}

struct State<'a> {
    root: Root<'a>,
    process: &'a Process,
    main: Option<&'a Object>,
    loaded: Vec<Mapped<'a>>,
}

impl<'a> State<'a> {
    fn map(&mut self, found: Found, object: &'a Object, loader: Option<usize>) -> usize {
        let mut names = vec![found.path.clone()];
        names.extend(object.soname.clone());
        self.loaded.push(Mapped {
            loaded: Loaded {
                found,
                loader,
                needs: Vec::new(),
            },
            object,
            names,
        });
        self.loaded.len() - 1
    }

    /// The object that calls dlopen: the library that the process names for it if it is mapped, else the program.
    fn caller(&self) -> usize {
        let Some(name) = &self.process.plugin_loader else {
            return 0;
        };
        self.loaded
            .iter()
            .position(|mapped| mapped.loaded.found.place.on_lambda() == *name)
            .unwrap_or(0)
    }

    /// Maps what the objects from this number on need, breadth first.
    fn follow_from(&mut self, first: usize) {
        let mut current = first;
        while current < self.loaded.len() {
            for name in self.loaded[current].object.needed.clone() {
                let (answer, server) = self.need(current, &name);
                self.loaded[current].loaded.needs.push((name, answer, server));
            }
            current += 1;
        }
    }

    fn need(&mut self, needing: usize, name: &str) -> (Answer, Option<usize>) {
        if let Some(number) = self
            .loaded
            .iter()
            .position(|mapped| mapped.names.iter().any(|known| known == name))
        {
            return (Answer::Found(self.loaded[number].loaded.found.clone()), Some(number));
        }
        if self.is_loader(name) {
            let path = self.root.runtime.interpreter.clone();
            let place = self.root.resolve(&path).unwrap_or(Place::Runtime(path.clone()));
            let found = Found {
                place,
                path,
                how: How::Direct,
            };
            return (Answer::Found(found), None);
        }
        match self.search(needing, name) {
            Err(searched) => (Answer::Missing(searched), None),
            Ok((found, object)) => {
                // The same file under another name is not mapped twice (glibc compares device and inode).
                let same = self
                    .loaded
                    .iter()
                    .position(|mapped| mapped.loaded.found.place == found.place);
                let number = same.unwrap_or_else(|| self.map(found, object, Some(needing)));
                let mapped = &mut self.loaded[number];
                mapped.names.push(name.to_owned());
                (Answer::Found(mapped.loaded.found.clone()), Some(number))
            }
        }
    }

    /// The loader is itself an object of every process that it starts, known by its soname.
    fn is_loader(&self, name: &str) -> bool {
        let interpreter = &self.root.runtime.interpreter;
        interpreter == name || interpreter.rsplit('/').next() == Some(name)
    }

    fn search(&self, needing: usize, name: &str) -> Result<(Found, &'a Object), Vec<Searched>> {
        let mut searched = Vec::new();
        if name.contains('/') {
            let path = self.absolute(&self.expand(name, needing));
            return match self.candidate(&path) {
                Ok((place, object)) => Ok((
                    Found {
                        place,
                        path,
                        how: How::Direct,
                    },
                    object,
                )),
                Err(outcome) => {
                    searched.push(Searched {
                        directory: path,
                        how: How::Direct,
                        outcome,
                    });
                    Err(searched)
                }
            };
        }
        for (how, directory) in self.directories(needing) {
            let special = self.root.runtime.hardware_directories.iter();
            let candidates = special.map(|below| format!("{directory}/{below}/{name}"));
            if let Some((path, (place, object))) = candidates
                .map(|path| (self.candidate(&path), path))
                .find_map(|(found, path)| Some((path, found.ok()?)))
            {
                return Ok((Found { place, path, how }, object));
            }
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            match self.candidate(&path) {
                Ok((place, object)) => return Ok((Found { place, path, how }, object)),
                Err(outcome) => {
                    searched.push(Searched {
                        directory,
                        how,
                        outcome,
                    });
                    if outcome == Outcome::NotALibrary {
                        break;
                    }
                }
            }
        }
        Err(searched)
    }

    /// The directories for what one object needs, in the loader's order.
    fn directories(&self, needing: usize) -> Vec<(How, String)> {
        let object = self.loaded[needing].object;
        let mut directories = Vec::new();
        let mut add = |how, list: &str, owner| {
            // An empty element is the working directory; an empty list is none.
            if list.is_empty() {
                return;
            }
            for element in list.split(':') {
                let directory = self.absolute(&self.expand(element, owner));
                directories.push((how, directory));
            }
        };
        if object.runpath.is_none() {
            let mut owner = Some(needing);
            let mut program_seen = false;
            while let Some(number) = owner {
                program_seen |= number == 0;
                if let Some(rpath) = &self.loaded[number].object.rpath {
                    add(How::Rpath, rpath, number);
                }
                owner = self.loaded[number].loaded.loader;
            }
            if !program_seen && let Some(rpath) = &self.loaded[0].object.rpath {
                add(How::Rpath, rpath, 0);
            }
        }
        add(How::LibraryPath, &self.process.library_path, 0);
        if let Some(runpath) = &object.runpath {
            add(How::Runpath, runpath, needing);
        }
        if !object.no_default_libraries {
            for directory in &self.root.runtime.default_directories {
                directories.push((How::Default, directory.clone()));
            }
        }
        directories
    }

    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, with or without braces (ld.so(8), "Dynamic string tokens").
    fn expand(&self, text: &str, owner: usize) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let found = &self.loaded[owner].loaded.found.path;
        let origin = found.rsplit_once('/').map_or("", |(folder, _)| folder);
        let origin = if origin.is_empty() { "/" } else { origin };
        let mut expanded = text.to_owned();
        for (token, value) in [
            ("ORIGIN", origin),
            ("LIB", self.root.runtime.lib.as_str()),
            ("PLATFORM", self.root.runtime.platform.as_str()),
        ] {
            expanded = replace_token(&expanded, token, value);
        }
        expanded
    }

    /// An empty or relative element is taken from the working directory.
    fn absolute(&self, path: &str) -> String {
        let trimmed = path.trim_end_matches('/');
        if path.starts_with('/') {
            if trimmed.is_empty() {
                "/".to_owned()
            } else {
                trimmed.to_owned()
            }
        } else if trimmed.is_empty() {
            self.root.runtime.working_directory.clone()
        } else {
            format!("{}/{trimmed}", self.root.runtime.working_directory)
        }
    }

    fn candidate(&self, path: &str) -> Result<(Place, &'a Object), Outcome> {
        let place = self.root.resolve(path).map_err(|_| Outcome::NoSuchFile)?;
        let object = self.root.object(&place).ok_or(Outcome::NotALibrary)?;
        let main = self.main.unwrap_or(object);
        if object.class != main.class {
            return Err(Outcome::WrongClass);
        }
        if object.machine != main.machine {
            return Err(Outcome::WrongMachine);
        }
        // A position-dependent executable cannot be mapped as a library; a position-independent one is refused, too.
        if object.kind == Kind::Executable && object.soname.is_none() {
            return Err(Outcome::NotALibrary);
        }
        Ok((place, object))
    }
}

fn replace_token(text: &str, token: &str, value: &str) -> String {
    let mut rest = text.replace(&format!("${{{token}}}"), value);
    let bare = format!("${token}");
    let mut result = String::new();
    while let Some(at) = rest.find(&bare) {
        let after = &rest[at + bare.len()..];
        // `$LIBRARY` is not `$LIB`: a token ends where no letter, digit or underscore follows.
        let ends = !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        result.push_str(&rest[..at]);
        result.push_str(if ends { value } else { &bare });
        rest = after.to_owned();
    }
    result + &rest
}
