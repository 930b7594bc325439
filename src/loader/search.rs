//! One process: the objects that the loader maps for it, in order, and how it finds each (ld.so(8); glibc
//! `elf/dl-load.c`, `_dl_map_object`).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::elf::Object;
use crate::root::{Location, Root};

use crate::languages::process::Process;

/// The part of the search that a directory belongs to, in the loader's own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchSource {
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

impl SearchSource {
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
pub struct Resolved {
    /// The file, links followed.
    pub place: Location,
    /// The path by which it was found: what the loader prints, and where `$ORIGIN` is.
    pub path: String,
    /// Where it was found.
    pub source: SearchSource,
}

/// A directory that was searched without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchStep {
    /// The directory, or the whole path for [`SearchSource::Direct`].
    pub directory: String,
    /// Why it was searched.
    pub source: SearchSource,
    /// What was there.
    pub rejection: Rejection,
}

/// Why the loader does not take a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// There is no such file.
    NoSuchFile,
    /// It is 32-bit where 64-bit is wanted, or the other way round; the search goes on.
    WrongClass,
    /// It is for another processor; the search goes on.
    WrongMachine,
    /// It is not a library that the loader maps: no ELF file, of another ABI, or a program; the loader gives up.
    NotALibrary,
}

/// Result of the search for one needed library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The loader maps this file, or has mapped it already.
    Found(Resolved),
    /// The loader fails with "cannot open shared object file".
    Missing(Vec<SearchStep>),
}

/// One object of a process, in the order in which the loader maps them.
#[derive(Debug, Clone)]
pub struct Loaded<'a> {
    /// The file and how it was found.
    pub found: Resolved,
    /// What the loader reads of it.
    pub object: &'a Object,
    /// The object that asked for it first; `None` for the program.
    pub requested_by: Option<usize>,
    /// What it needs, in order, and what becomes of it.
    pub needs: Vec<(&'a str, Provided)>,
}

/// What provides a needed library within a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provided {
    /// The object of this number.
    ByObject(usize),
    /// The loader itself, which is there before it looks for anything.
    ByLoader(Resolved),
    /// Nothing: these directories were searched without success.
    Missing(Vec<SearchStep>),
}

/// Looks for libraries in a root, and remembers what is where: the same names are asked for in the same directories by one
/// process after the other.
pub struct Finder<'a> {
    root: Root<'a>,
    directories: RefCell<Vec<SearchDirectory<'a>>>,
    numbers: RefCell<HashMap<String, Rc<[usize]>>>,
    /// The directories of whole search paths, by their text.
    lists: RefCell<HashMap<String, Rc<[usize]>>>,
    /// The loaders of the processes, by the path of the interpreter; the runtime's own under the empty path.
    loaders: RefCell<HashMap<String, Rc<ProcessLoader>>>,
    /// The loaders of musl in the tree, by the name under which libraries need them.
    musl: HashMap<&'a str, String>,
}

/// The program that loads all objects of one process.
#[derive(Debug)]
struct ProcessLoader {
    found: Resolved,
    /// The names under which objects need it.
    names: Vec<String>,
    /// Its default directories.
    defaults: Rc<[usize]>,
    is_musl: bool,
}

impl ProcessLoader {
    /// Whether it is there before it looks for anything. musl's holds the whole C library.
    fn provides(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name) || self.is_musl && is_in_musl(name)
    }
}

/// Names of libraries that musl's loader takes for itself (ldso/dynlink.c, `load_library`).
fn is_in_musl(name: &str) -> bool {
    const RESERVED: [&str; 7] = ["c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."];
    name.strip_prefix("lib")
        .is_some_and(|rest| RESERVED.iter().any(|reserved| rest.starts_with(reserved)))
}

/// A directory that is searched.
struct SearchDirectory<'a> {
    path: String,
    /// The directory itself, links followed; `None` if there is none.
    place: Option<Location>,
    /// What was asked for in it: the file, and the object if it is one.
    names: HashMap<String, Option<(Location, Option<&'a Object>)>>,
}

impl<'a> Finder<'a> {
    /// A finder that has not looked for anything yet.
    pub fn new(root: Root<'a>) -> Self {
        let musl = root.tree.objects().filter(|(path, _)| is_musl_loader(path.file_name()));
        let musl = musl.filter_map(|(path, object)| Some((object.soname.as_deref()?, path.on_lambda())));
        Self {
            root,
            directories: RefCell::new(Vec::new()),
            numbers: RefCell::new(HashMap::new()),
            lists: RefCell::new(HashMap::new()),
            loaders: RefCell::new(HashMap::new()),
            musl: musl.collect(),
        }
    }

    /// Follows one process: its program breadth first, then its plugins one after the other.
    ///
    /// A program or plugin that is not in the tree is left out; the result then has fewer objects.
    pub fn load(&self, process: &Process) -> Vec<Loaded<'a>> {
        self.follow(process)
            .loaded
            .into_iter()
            .map(|mapped| mapped.loaded)
            .collect()
    }

    /// Whether the program of a process would find a library of that name with dlopen.
    pub fn finds(&self, process: &Process, name: &str) -> bool {
        let state = self.follow(process);
        state.names.contains_key(name) || (!state.loaded.is_empty() && state.search(0, name).is_ok())
    }

    /// What each object of a process would get for each name if it asked for it with dlopen; one that gets nothing is not
    /// told of.
    pub fn opens(&self, process: &Process, names: &BTreeSet<&str>, tell: &mut dyn FnMut(&Resolved, &Location)) {
        let state = self.follow(process);
        for (number, mapped) in state.loaded.iter().enumerate() {
            // What needs nothing was not asked for its directories before.
            let directories = state.directories(number);
            for name in names {
                if let Ok((found, _)) = state.search_in(&directories, number, name) {
                    tell(&mapped.loaded.found, &found.place);
                }
            }
        }
    }

    fn follow<'f>(&'f self, process: &'f Process) -> State<'a, 'f> {
        let mut state = State {
            finder: self,
            process,
            main: None,
            loader: self.runtime_loader(),
            loaded: Vec::new(),
            names: HashMap::new(),
            places: HashMap::new(),
        };
        for path in process.program.iter().chain(&process.plugins) {
            let Ok(place) = self.root.resolve(path) else { continue };
            let Some(object) = self.root.object(&place) else {
                continue;
            };
            if state.places.contains_key(&place) {
                continue;
            }
            let first = state.loaded.len();
            // The program finds itself through /proc/self/exe, with links followed; a plugin by the path it was given, and so
            // does a program that a loader is called with.
            let is_found_by_itself = first == 0 && process.called_loader.is_none();
            let path = if is_found_by_itself {
                place.on_lambda()
            } else {
                path.clone()
            };
            let caller = (first > 0).then(|| state.caller());
            if first == 0 {
                state.main = Some(object);
                state.loader = self.loader_of(process, object);
            }
            let source = SearchSource::Direct;
            state.map(Resolved { place, path, source }, object, caller);
            if first == 0 {
                state.preload(&process.preloads);
            }
            state.follow_from(first);
        }
        state
    }

    /// The directories to search where a search path names one: those for this hardware below it that exist, then itself.
    fn numbers(&self, path: String) -> Rc<[usize]> {
        if let Some(numbers) = self.numbers.borrow().get(&path) {
            return Rc::clone(numbers);
        }
        let mut directories = self.directories.borrow_mut();
        let mut numbers = Vec::new();
        let special = self.root.runtime.hardware_directories.iter();
        let special = special.map(|below| format!("{}/{below}", path.trim_end_matches('/')));
        for directory in special
            .filter(|directory| self.root.directory(directory).is_some())
            .chain([path.clone()])
        {
            numbers.push(directories.len());
            directories.push(SearchDirectory {
                place: self.root.directory(&directory),
                path: directory,
                names: HashMap::new(),
            });
        }
        let numbers: Rc<[usize]> = numbers.into();
        self.numbers.borrow_mut().insert(path, Rc::clone(&numbers));
        numbers
    }

    /// The directories of a search path in which no token stands for something else.
    fn list(&self, list: &str) -> Rc<[usize]> {
        if let Some(numbers) = self.lists.borrow().get(list) {
            return Rc::clone(numbers);
        }
        let directories = elements(list).flat_map(|element| self.numbers(self.absolute(element)).to_vec());
        let numbers: Rc<[usize]> = directories.collect();
        self.lists.borrow_mut().insert(list.to_owned(), Rc::clone(&numbers));
        numbers
    }

    /// The loader that starts a program. A library that is looked at on its own is loaded by the runtime's, or by the musl of
    /// the tree that it needs.
    fn loader_of(&self, process: &Process, main: &Object) -> Rc<ProcessLoader> {
        let needed = || main.needed.iter().find_map(|name| self.musl.get(name.as_str()));
        let Some(path) = process.loader(main).or_else(needed) else {
            return self.runtime_loader();
        };
        if let Some(known) = self.loaders.borrow().get(path) {
            return Rc::clone(known);
        }
        let own = match self.root.resolve(path) {
            Ok(place @ Location::Tree(_)) => self.root.object(&place).map(|object| (place, object)),
            _ => None,
        };
        let loader = match own {
            None => self.runtime_loader(),
            Some((place, object)) => {
                let is_musl = is_musl_loader(path.rsplit('/').next().unwrap_or_default());
                let directories = match object.system_directories.as_slice() {
                    [] if is_musl => MUSL_DIRECTORIES.map(ToOwned::to_owned).to_vec(),
                    [] => self.root.runtime.default_directories.clone(),
                    own => own.to_vec(),
                };
                Rc::new(ProcessLoader {
                    found: Resolved {
                        place,
                        path: path.clone(),
                        source: SearchSource::Direct,
                    },
                    names: object.soname.iter().chain([path]).cloned().collect(),
                    defaults: self.directories(&directories),
                    is_musl,
                })
            }
        };
        self.loaders.borrow_mut().insert(path.clone(), Rc::clone(&loader));
        loader
    }

    fn runtime_loader(&self) -> Rc<ProcessLoader> {
        if let Some(known) = self.loaders.borrow().get("") {
            return Rc::clone(known);
        }
        let path = self.root.runtime.interpreter.clone();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let loader = Rc::new(ProcessLoader {
            found: Resolved {
                place: self.root.resolve(&path).unwrap_or(Location::Runtime(path.clone())),
                path: path.clone(),
                source: SearchSource::Direct,
            },
            names: vec![path, name],
            defaults: self.directories(&self.root.runtime.default_directories),
            is_musl: false,
        });
        self.loaders.borrow_mut().insert(String::new(), Rc::clone(&loader));
        loader
    }

    fn directories(&self, paths: &[String]) -> Rc<[usize]> {
        paths
            .iter()
            .flat_map(|path| self.numbers(path.clone()).to_vec())
            .collect()
    }

    /// An empty or relative element is taken from the working directory.
    fn absolute(&self, path: &str) -> String {
        let trimmed = path.trim_end_matches('/');
        let working_directory = &self.root.runtime.working_directory;
        match (path.starts_with('/'), trimmed.is_empty()) {
            (true, true) => "/".to_owned(),
            (true, false) => trimmed.to_owned(),
            (false, true) => working_directory.clone(),
            (false, false) => format!("{working_directory}/{trimmed}"),
        }
    }

    fn path(&self, directory: usize) -> String {
        self.directories
            .borrow()
            .get(directory)
            .map(|directory| directory.path.clone())
            .unwrap_or_default()
    }

    /// What is in a directory under a name, links followed.
    fn lookup(&self, directory: usize, name: &str) -> Option<(Location, Option<&'a Object>)> {
        let mut directories = self.directories.borrow_mut();
        let directory = directories.get_mut(directory)?;
        let place = directory.place.as_ref()?;
        if let Some(known) = directory.names.get(name) {
            return known.clone();
        }
        let found = self.root.entry_in(place, name).map(|place| {
            let object = self.root.object(&place);
            (place, object)
        });
        directory.names.insert(name.to_owned(), found.clone());
        found
    }

    /// The runtime's library that an ordinary process gets when it asks for the name.
    pub fn served_by_runtime(&self, soname: &str) -> Option<String> {
        let library_path = self.root.runtime.environment.get("LD_LIBRARY_PATH");
        let library_path = self.list(library_path.map_or("", String::as_str));
        let loader = self.runtime_loader();
        let mut ordinary = library_path.iter().chain(loader.defaults.iter());
        match ordinary.find_map(|directory| self.lookup(*directory, soname))? {
            (Location::Runtime(path), _) => Some(path),
            (Location::Tree(_), _) => None,
        }
    }
}

struct Mapped<'a> {
    loaded: Loaded<'a>,
    /// The directories for what it needs, in the loader's order.
    directories: Vec<(SearchSource, usize)>,
}

struct State<'a, 'f> {
    finder: &'f Finder<'a>,
    process: &'f Process,
    main: Option<&'a Object>,
    loader: Rc<ProcessLoader>,
    loaded: Vec<Mapped<'a>>,
    /// The names under which later needs are provided without a search: sonames, and what was asked for before.
    names: HashMap<&'a str, usize>,
    /// The files that are mapped: one under another name is not mapped twice (glibc compares device and inode).
    places: HashMap<Location, usize>,
}

impl<'a> State<'a, '_> {
    fn map(&mut self, found: Resolved, object: &'a Object, requested_by: Option<usize>) -> usize {
        let number = self.loaded.len();
        if let Some(soname) = &object.soname {
            self.names.entry(soname).or_insert(number);
        }
        self.places.insert(found.place.clone(), number);
        self.loaded.push(Mapped {
            loaded: Loaded {
                found,
                object,
                requested_by,
                needs: Vec::new(),
            },
            directories: Vec::new(),
        });
        let searches = [&object.needed, &object.filters, &object.auxiliaries];
        let directories = if searches.iter().all(|names| names.is_empty()) && number > 0 {
            Vec::new()
        } else {
            self.directories(number)
        };
        if let Some(mapped) = self.loaded.last_mut() {
            mapped.directories = directories;
        }
        number
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

    /// Maps the libraries of `LD_PRELOAD`, as if the program opened them. The loader goes on without one that it does not find.
    fn preload(&mut self, names: &[String]) {
        for name in names {
            if let Ok((found, object)) = self.search(0, name)
                && !self.places.contains_key(&found.place)
            {
                self.map(found, object, Some(0));
            }
        }
    }

    /// Maps what the objects from this number on need, breadth first.
    fn follow_from(&mut self, first: usize) {
        let mut current = first;
        while current < self.loaded.len() {
            let object = self.loaded[current].loaded.object;
            let needed = object.needed.iter().chain(&object.filters).map(|name| (name, true));
            for (name, is_required) in needed.chain(object.auxiliaries.iter().map(|name| (name, false))) {
                let provided = self.need(current, name);
                if is_required || !matches!(provided, Provided::Missing(_)) {
                    self.loaded[current].loaded.needs.push((name, provided));
                }
            }
            current += 1;
        }
    }

    fn need(&mut self, needing: usize, name: &'a str) -> Provided {
        if let Some(number) = self.names.get(name) {
            return Provided::ByObject(*number);
        }
        // The loader is itself an object of every process that it starts, known by its soname.
        if self.loader.provides(name) {
            return Provided::ByLoader(self.loader.found.clone());
        }
        match self.search(needing, name) {
            Err(searched) => Provided::Missing(searched),
            Ok((found, object)) => {
                let same = self.places.get(&found.place).copied();
                let number = same.unwrap_or_else(|| self.map(found, object, Some(needing)));
                self.names.insert(name, number);
                Provided::ByObject(number)
            }
        }
    }

    fn search(&self, needing: usize, name: &str) -> Result<(Resolved, &'a Object), Vec<SearchStep>> {
        self.search_in(&self.loaded[needing].directories, needing, name)
    }

    fn search_in(
        &self,
        directories: &[(SearchSource, usize)],
        needing: usize,
        name: &str,
    ) -> Result<(Resolved, &'a Object), Vec<SearchStep>> {
        if name.contains('/') {
            let path = self.finder.absolute(&self.expand(name, needing));
            let source = SearchSource::Direct;
            let found = self.finder.root.resolve(&path).ok().map(|place| {
                let object = self.finder.root.object(&place);
                (place, object)
            });
            return match self.judge(found) {
                Ok((place, object)) => Ok((Resolved { place, path, source }, object)),
                Err(rejection) => Err(vec![SearchStep {
                    directory: path,
                    source,
                    rejection,
                }]),
            };
        }
        let mut passed = Vec::new();
        for (source, directory) in directories {
            match self.judge(self.finder.lookup(*directory, name)) {
                Ok((place, object)) => {
                    let path = format!("{}/{name}", self.finder.path(*directory).trim_end_matches('/'));
                    return Ok((
                        Resolved {
                            place,
                            path,
                            source: *source,
                        },
                        object,
                    ));
                }
                Err(rejection) => {
                    passed.push((*source, *directory, rejection));
                    if rejection == Rejection::NotALibrary {
                        break;
                    }
                }
            }
        }
        let searched = passed.into_iter().map(|(source, directory, rejection)| SearchStep {
            directory: self.finder.path(directory),
            source,
            rejection,
        });
        Err(searched.collect())
    }

    /// The directories for what one object needs, in the loader's order.
    fn directories(&self, needing: usize) -> Vec<(SearchSource, usize)> {
        let object = self.loaded[needing].loaded.object;
        let mut directories = Vec::new();
        let mut add = |source, list: &str, owner| {
            if list.contains('$') {
                for element in elements(list) {
                    let path = self.finder.absolute(&self.expand(element, owner));
                    directories.extend(self.finder.numbers(path).iter().map(|number| (source, *number)));
                }
            } else {
                directories.extend(self.finder.list(list).iter().map(|number| (source, *number)));
            }
        };
        if self.loader.is_musl {
            // ldso/dynlink.c, `load_library`: one path for both tags, of the object and of those that loaded it.
            add(SearchSource::LibraryPath, &self.process.library_path, 0);
            let mut owner = Some(needing);
            while let Some(number) = owner {
                let own = &self.loaded[number].loaded;
                if let Some(path) = own.object.runpath.as_ref().or(own.object.rpath.as_ref()) {
                    add(SearchSource::Runpath, path, number);
                }
                owner = own.requested_by;
            }
            directories.extend(
                self.loader
                    .defaults
                    .iter()
                    .map(|number| (SearchSource::Default, *number)),
            );
            return directories;
        }
        if object.runpath.is_none() {
            let mut owner = Some(needing);
            let mut program_seen = false;
            while let Some(number) = owner {
                program_seen |= number == 0;
                if let Some(rpath) = &self.loaded[number].loaded.object.rpath {
                    add(SearchSource::Rpath, rpath, number);
                }
                owner = self.loaded[number].loaded.requested_by;
            }
            if !program_seen && let Some(rpath) = &self.loaded[0].loaded.object.rpath {
                add(SearchSource::Rpath, rpath, 0);
            }
        }
        add(SearchSource::LibraryPath, &self.process.library_path, 0);
        if let Some(runpath) = &object.runpath {
            add(SearchSource::Runpath, runpath, needing);
        }
        if !object.no_default_libraries {
            directories.extend(
                self.loader
                    .defaults
                    .iter()
                    .map(|number| (SearchSource::Default, *number)),
            );
        }
        directories
    }

    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, with or without braces (ld.so(8), "Dynamic string tokens").
    fn expand(&self, text: &str, owner: usize) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let found = &self.loaded[owner].loaded.found.path;
        let origin = found.rsplit_once('/').map_or("", |(directory, _)| directory);
        let origin = if origin.is_empty() { "/" } else { origin };
        let runtime = self.finder.root.runtime;
        let tokens = [
            ("ORIGIN", origin),
            ("LIB", &runtime.lib),
            ("PLATFORM", &runtime.platform),
        ];
        tokens.iter().fold(text.to_owned(), |text, (token, value)| {
            replace_token(&text, token, value)
        })
    }

    /// Whether the loader takes what it finds (glibc `elf/dl-load.c`, `open_verify`).
    fn judge(&self, found: Option<(Location, Option<&'a Object>)>) -> Result<(Location, &'a Object), Rejection> {
        let (place, object) = found.ok_or(Rejection::NoSuchFile)?;
        let object = object.ok_or(Rejection::NotALibrary)?;
        let main = self.main.unwrap_or(object);
        if object.class != main.class {
            return Err(Rejection::WrongClass);
        }
        if !object.is_ident_valid {
            return Err(Rejection::NotALibrary);
        }
        if object.machine != main.machine {
            return Err(Rejection::WrongMachine);
        }
        if !object.is_mappable {
            return Err(Rejection::NotALibrary);
        }
        Ok((place, object))
    }
}

/// Where musl's loader looks last unless `/etc/ld-musl-ARCH.path` says otherwise (ldso/dynlink.c).
const MUSL_DIRECTORIES: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];

/// Whether a file has the name of musl's loader, such as `ld-musl-x86_64.so.1`.
fn is_musl_loader(name: &str) -> bool {
    name.starts_with("ld-musl-")
}

/// The elements of a search path. An empty one is the working directory; an empty path has none.
fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(':').filter(move |_| !list.is_empty())
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
