//! Lets an object ask for older symbol versions, without moving a byte.
//!
//! An object that was linked against a newer glibc asks for the versions that this release gave to its symbols, and an older
//! loader refuses it for the version alone: "version `GLIBC_2.35' not found". Where the older glibc has a function of the
//! same calling convention that does the same ([`OlderSymbols`]), three kinds of fields decide which one is asked for:
//!
//! ```text
//! .gnu.version    one index for each symbol         → the index of an older version of the same library
//! .dynsym         the offset of a symbol's name     → that of the older name, which often is the end of the newer one
//! .gnu.version_r  hash and name of each version     → those of a version that is there, where nothing asks for it any more
//! ```
//!
//! A name that is nowhere in `.dynstr` is written over the one that it replaces, if it is no longer and nothing else refers
//! to these bytes. No section moves, and no other byte changes: [`verify`](verify::verify) reads both files with another
//! ELF library and compares them field by field.
//!
//! * A symbol that is weak and has no older one is asked for without a version. The loader leaves it at zero then, which
//!   is what a weak symbol is for.
//! * A symbol is renamed only if nobody finds it by its name: one that `DT_GNU_HASH` holds stays where its hash puts it.
//! * Data is never replaced: where a program has copied it (`R_*_COPY`), its size counts.
//!
//! Sources: LSB Core, "Symbol Versioning"; glibc, elf/dl-version.c (which versions are checked) and elf/dl-lookup.c
//! (`check_match`: how a symbol without a version is found).

mod data;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use memchr::memmem;
use object::elf;

use super::image::ElfError;
use super::object::Object;
use super::tables::{Need, Symbol, Tables, VER_NDX_GLOBAL, VERSYM_HIDDEN, Version};
use super::view::VerifyError;

pub use data::{Older, OlderSymbols};

/// `VER_FLG_WEAK`: the loader does not fail where the version is missing.
const VER_FLG_WEAK: u16 = 2;

/// An object that asks for older versions than before, which has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// The new contents of the file, as long as before.
    pub bytes: Vec<u8>,
    /// What is asked for otherwise, in the order of the symbol table.
    pub rebound: Vec<Rebound>,
}

/// One symbol that is bound to another function than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebound {
    /// Its name before.
    pub symbol: String,
    /// The library that it is asked of.
    pub library: String,
    /// The version that it was asked for in.
    pub version: String,
    /// The older function; `None` for a weak symbol that nothing defines now.
    pub to: Option<Older>,
}

/// A symbol that cannot be asked for in an older version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocked {
    /// Its name; empty where the version itself is meant.
    pub symbol: String,
    /// The version.
    pub version: String,
    /// Why not.
    pub reason: String,
}

/// Why an object stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// Every version that it asks for is there.
    #[error("every version that it asks for is there")]
    Nothing,
    /// These symbols stand in the way, sorted.
    #[error("{}", blocked_text(.0))]
    Blocked(Vec<Blocked>),
    /// It is not laid out as linkers do it.
    #[error(transparent)]
    Object(#[from] ElfError),
    /// The result differs from the file in more than it may, and was thrown away.
    #[error("the change could not be verified: {0}")]
    Verification(#[from] VerifyError),
}

fn blocked_text(blocked: &[Blocked]) -> String {
    blocked.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            symbol,
            version,
            reason,
        } = self;
        match symbol.as_str() {
            "" => write!(f, "{version}: {reason}"),
            symbol => write!(f, "{symbol}@{version}: {reason}"),
        }
    }
}

/// Lets an object ask for older versions wherever `is_there` says that a library does not have the version asked of it.
///
/// All of them or none: an object of which one symbol stands in the way would be refused all the same.
///
/// # Errors
///
/// Why the object stays as it is. The bytes are not trusted: no input makes it panic or change what is not to be changed.
pub fn lower(
    bytes: &[u8],
    symbols: &OlderSymbols,
    is_there: &dyn Fn(&str, &str) -> bool,
) -> Result<Lowered, LowerError> {
    let tables = Tables::read(bytes)?.ok_or(LowerError::Nothing)?;
    let lowering = Lowering {
        tables: &tables,
        symbols,
        is_there,
    };
    let changes = lowering.changes()?;
    let mut edit = Edit::new(&tables, bytes, &lowering.given_up(&changes)?);
    for (number, need) in tables.needs.iter().enumerate() {
        let of_need: Vec<&Change> = changes.iter().filter(|change| change.need == number).collect();
        lowering.assign_versions(need, &of_need, &mut edit)?;
    }
    for change in &changes {
        edit.rename(change)?;
    }
    verify::verify(bytes, &edit.bytes, &edit.expected)?;
    let rebound = |change: Change| Rebound {
        symbol: change.name,
        library: change.library,
        version: change.version,
        to: change.older,
    };
    Ok(Lowered {
        bytes: edit.bytes,
        rebound: changes.into_iter().map(rebound).collect(),
    })
}

/// Result of [`rebind_plan`]: the symbols that would be bound otherwise, each with its older function or, for a weak one that has
/// none, without; or what stands in the way.
pub type RebindPlan = Result<Vec<(String, Option<Older>)>, Vec<Blocked>>;

/// Predicts what [`lower`] would do, from the names alone. `lower` may still refuse: only the file shows whether a name fits.
pub fn rebind_plan(object: &Object, symbols: &OlderSymbols, is_there: &dyn Fn(&str, &str) -> bool) -> RebindPlan {
    let (mut rebound, mut blocked) = (Vec::new(), Vec::new());
    for need in &object.version_needs {
        if need.weak || is_there(&need.library, &need.version) {
            continue;
        }
        let block = |symbol: &str, reason: String| Blocked {
            symbol: symbol.to_owned(),
            version: need.version.clone(),
            reason,
        };
        let undefined = object.symbols.iter().flat_map(|symbols| &symbols.undefined);
        let asking = undefined.filter(|symbol| symbol.version.as_deref() == Some(need.version.as_str()));
        let weak: BTreeSet<&str> = asking
            .filter(|symbol| symbol.weak)
            .map(|symbol| &*symbol.name)
            .collect();
        for symbol in &need.symbols {
            match symbols.older(&need.library, &need.version, symbol) {
                Ok(older) if is_there(&need.library, &older.version) => {
                    rebound.push((symbol.clone(), Some(older.clone())));
                }
                _ if weak.contains(symbol.as_str()) => rebound.push((symbol.clone(), None)),
                Ok(older) => blocked.push(block(symbol, format!("{} is too new as well", older.version))),
                Err(reason) => blocked.push(block(symbol, reason)),
            }
        }
        if need.symbols.is_empty() {
            let reason = symbols.refusal_of_version(&need.version);
            blocked.extend(reason.map(|reason| block("", reason)));
        }
    }
    if blocked.is_empty() { Ok(rebound) } else { Err(blocked) }
}

/// What is to become of one symbol.
struct Change {
    symbol: Symbol,
    name: String,
    need: usize,
    library: String,
    version: String,
    older: Option<Older>,
}

impl Change {
    /// The name of the older function, if it has another one.
    fn new_name(&self) -> Option<&str> {
        let older = self.older.as_ref()?;
        (older.symbol != self.name).then_some(&older.symbol)
    }
}

/// What is decided on.
struct Lowering<'a> {
    tables: &'a Tables<'a>,
    symbols: &'a OlderSymbols,
    is_there: &'a dyn Fn(&str, &str) -> bool,
}

impl Lowering<'_> {
    /// Whether the loader fails for want of this version.
    fn is_refused(&self, library: &str, version: &Version) -> Result<bool, ElfError> {
        Ok(version.flags & VER_FLG_WEAK == 0 && !(self.is_there)(library, self.tables.text(version.name)?))
    }

    /// The versions that are not there, by the index by which symbols refer to them, with the number of their library.
    fn refused(&self) -> Result<BTreeMap<u16, (usize, &Version)>, ElfError> {
        let mut refused = BTreeMap::new();
        let mut indices = BTreeSet::new();
        for (number, need) in self.tables.needs.iter().enumerate() {
            let library = self.tables.text(need.library)?;
            for version in &need.versions {
                if version.index <= VER_NDX_GLOBAL || !indices.insert(version.index) {
                    return Err(ElfError("its version table contradicts itself".to_owned()));
                }
                if self.is_refused(library, version)? {
                    refused.insert(version.index, (number, version));
                }
            }
        }
        Ok(refused)
    }

    /// What becomes of each symbol that asks for a version that is not there.
    fn changes(&self) -> Result<Vec<Change>, LowerError> {
        let refused = self.refused()?;
        if refused.is_empty() {
            return Err(LowerError::Nothing);
        }
        let (mut changes, mut blocked) = (Vec::new(), BTreeSet::new());
        let mut unused: BTreeSet<u16> = refused.keys().copied().collect();
        for symbol in self.tables.symbols() {
            let index = symbol.versym & !VERSYM_HIDDEN;
            let Some((need, version)) = refused.get(&index) else {
                continue;
            };
            unused.remove(&index);
            let mut change = Change {
                symbol,
                name: self.tables.text(symbol.name)?.to_owned(),
                need: *need,
                library: self.tables.text(self.tables.needs[*need].library)?.to_owned(),
                version: self.tables.text(version.name)?.to_owned(),
                older: None,
            };
            match self.older(&change) {
                Ok(older) => {
                    change.older = older;
                    changes.push(change);
                }
                Err(reason) => {
                    blocked.insert(Blocked {
                        symbol: change.name,
                        version: change.version,
                        reason,
                    });
                }
            }
        }
        for (_, version) in unused.iter().filter_map(|index| refused.get(index)) {
            let version = self.tables.text(version.name)?;
            blocked.extend(self.symbols.refusal_of_version(version).map(|reason| Blocked {
                symbol: String::new(),
                version: version.to_owned(),
                reason,
            }));
        }
        if blocked.is_empty() {
            Ok(changes)
        } else {
            Err(LowerError::Blocked(blocked.into_iter().collect()))
        }
    }

    /// The names that are not referred to any more: those of refused versions and of renamed symbols.
    fn given_up(&self, changes: &[Change]) -> Result<Vec<usize>, ElfError> {
        let renamed = changes.iter().filter(|change| change.new_name().is_some());
        let mut names: Vec<usize> = renamed.map(|change| change.symbol.name).collect();
        for need in &self.tables.needs {
            let library = self.tables.text(need.library)?;
            for version in &need.versions {
                if self.is_refused(library, version)? {
                    names.push(version.name);
                }
            }
        }
        Ok(names)
    }

    /// The older function for a symbol; `None` for a weak one that may stay undefined.
    fn older(&self, change: &Change) -> Result<Option<Older>, String> {
        let symbol = change.symbol;
        if !symbol.is_undefined || symbol.is_data {
            return Err("it is data, of which the size may differ".to_owned());
        }
        let older = self.symbols.older(&change.library, &change.version, &change.name);
        let older = older.and_then(|older| {
            if (self.is_there)(&change.library, &older.version) {
                Ok(older)
            } else {
                Err(format!(
                    "the older {}@{} is too new as well",
                    older.symbol, older.version
                ))
            }
        });
        match older {
            Ok(older) if older.symbol != change.name && !self.can_be_renamed(symbol) => Err(format!(
                "other objects find it by this name, so that it cannot become {}",
                older.symbol
            )),
            Ok(older) => Ok(Some(older.clone())),
            Err(_) if symbol.is_weak && symbol.value == 0 => Ok(None),
            Err(reason) => Err(reason),
        }
    }

    fn can_be_renamed(&self, symbol: Symbol) -> bool {
        symbol.value == 0 && symbol.number < self.tables.first_hashed
    }

    /// Gives each changed symbol the index of the version that it is to have, and every version of the library that is not
    /// there the name of one that is.
    fn assign_versions(&self, need: &Need, changes: &[&Change], edit: &mut Edit<'_>) -> Result<(), LowerError> {
        let library = self.tables.text(need.library)?;
        let (mut refused, mut there) = (Vec::new(), BTreeMap::new());
        for version in &need.versions {
            if self.is_refused(library, version)? {
                refused.push(*version);
            } else if version.flags & VER_FLG_WEAK == 0 {
                there
                    .entry(self.tables.text(version.name)?.to_owned())
                    .or_insert((version.index, version.name));
            }
        }
        refused.reverse();
        let wanted: BTreeSet<&str> = changes
            .iter()
            .filter_map(|change| change.older.as_ref())
            .map(|older| older.version.as_str())
            .filter(|version| !there.contains_key(*version))
            .collect();
        for wanted in wanted {
            let Some(free) = refused.last() else { break };
            if let Some(name) = edit.place(wanted, free.name) {
                edit.point_version(free, name, wanted);
                there.insert(wanted.to_owned(), (free.index, name));
                refused.pop();
            }
        }
        for change in changes {
            let index = change.older.as_ref().and_then(|older| there.get(&older.version));
            let index = index.map_or(VER_NDX_GLOBAL, |(index, _)| *index);
            edit.set_version(change, index);
        }
        if refused.is_empty() {
            return Ok(());
        }
        let there = there.into_iter().map(|(version, (_, name))| (version, name)).next();
        let Some((version, name)) = there.or_else(|| self.version_of_others(library)) else {
            let blocked = |version: &Version| {
                Ok(Blocked {
                    symbol: String::new(),
                    version: self.tables.text(version.name)?.to_owned(),
                    reason: format!("the object names no version that {library} has"),
                })
            };
            let blocked = refused.iter().map(blocked).collect::<Result<_, ElfError>>()?;
            return Err(LowerError::Blocked(blocked));
        };
        for unused in &refused {
            edit.point_version(unused, name, &version);
        }
        Ok(())
    }

    /// A version that the object asks of another library, and that this one is known to have, too.
    fn version_of_others(&self, library: &str) -> Option<(String, usize)> {
        let versions = self.tables.needs.iter().flat_map(|need| &need.versions);
        let mut named =
            versions.filter_map(|version| Some((self.tables.text(version.name).ok()?.to_owned(), version.name)));
        named.find(|(version, _)| self.symbols.is_older(library, version) && (self.is_there)(library, version))
    }
}

/// The new file, and what is read in it.
struct Edit<'a> {
    tables: &'a Tables<'a>,
    bytes: Vec<u8>,
    expected: verify::Expected,
    /// Strings that something refers to, by their place in the string table; an end of a string is one of its own.
    referenced: Vec<Range<usize>>,
    /// Bytes of the string table that have been written over.
    written: Vec<Range<usize>>,
}

impl<'a> Edit<'a> {
    fn new(tables: &'a Tables<'a>, bytes: &[u8], given_up: &[usize]) -> Self {
        let mut given_up = given_up.to_vec();
        let mut referenced = tables.referenced();
        // Each reference is given up once: others to the same string stay.
        referenced.retain(|name| match given_up.iter().position(|start| *start == name.start) {
            Some(place) => {
                given_up.swap_remove(place);
                false
            }
            None => true,
        });
        Self {
            tables,
            bytes: bytes.to_vec(),
            expected: verify::Expected::default(),
            referenced,
            written: Vec::new(),
        }
    }

    /// The offset of a text in the string table: where it stands already, else in place of `replaced`, which nothing else may
    /// refer to any more. `None` if there is no room for it.
    fn place(&mut self, text: &str, replaced: usize) -> Option<usize> {
        let terminated = [text.as_bytes(), &[0]].concat();
        let old = self.tables.text(replaced).ok()?;
        let strings = self.tables.strings();
        let own_end = old.ends_with(text).then(|| replaced + old.len() - text.len());
        let anywhere = memmem::find_iter(strings, &terminated);
        let there = own_end
            .into_iter()
            .chain(anywhere)
            .map(|start| start..start + terminated.len());
        let is_whole = |range: &Range<usize>| !self.written.iter().any(|written| overlap(written, range));
        if let Some(range) = there.take(64).find(is_whole) {
            self.referenced.push(range.clone());
            return Some(range.start);
        }
        if text.len() > old.len() {
            return None;
        }
        let old = old.as_bytes();
        let first = old
            .iter()
            .zip(text.as_bytes())
            .take_while(|(old, new)| old == new)
            .count();
        let range = replaced + first..replaced + terminated.len();
        if self.referenced.iter().any(|user| overlap(user, &range)) {
            return None;
        }
        let at = self.tables.string_field(range.start);
        self.bytes
            .get_mut(at..at + range.len())?
            .copy_from_slice(&terminated[first..]);
        self.expected.strings.push(range.clone());
        self.written.push(range);
        self.referenced.push(replaced..replaced + terminated.len());
        Some(replaced)
    }

    /// Gives a symbol the name of its older function.
    fn rename(&mut self, change: &Change) -> Result<(), LowerError> {
        let Some(new_name) = change.new_name() else {
            return Ok(());
        };
        match self.place(new_name, change.symbol.name) {
            Some(name) => {
                self.set_name(change, name);
                Ok(())
            }
            None => Err(LowerError::Blocked(vec![Blocked {
                symbol: change.name.clone(),
                version: change.version.clone(),
                reason: format!("there is no room for the name {new_name}"),
            }])),
        }
    }

    fn point_version(&mut self, version: &Version, name: usize, text: &str) {
        let [hash, offset] = version.fields();
        self.put(hash, &elf::hash(text.as_bytes()).to_le_bytes());
        self.put_offset(offset, name);
        self.expected.versions.insert(version.index, text.to_owned());
    }

    /// Gives a symbol the version of this index, and the name of the older function for the comparison to expect.
    fn set_version(&mut self, change: &Change, index: u16) {
        let number = change.symbol.number;
        let versym = change.symbol.versym & VERSYM_HIDDEN | index;
        self.put(self.tables.versym_field(number), &versym.to_le_bytes());
        let older = change.older.as_ref();
        let has_version = index > VER_NDX_GLOBAL;
        let expected = verify::ExpectedVersion {
            name: older.map_or(&change.name, |older| &older.symbol).clone(),
            version: older
                .filter(|_| has_version)
                .map(|older| (change.library.clone(), older.version.clone())),
        };
        self.expected.symbols.insert(number, expected);
    }

    fn set_name(&mut self, change: &Change, name: usize) {
        self.put_offset(self.tables.name_field(change.symbol.number), name);
        self.expected.names.insert(change.symbol.number);
    }

    fn put_offset(&mut self, at: usize, offset: usize) {
        // Offsets come from 32-bit fields, or are within what they span.
        self.put(at, &u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// Writes over a field that has been read before.
    fn put(&mut self, at: usize, field: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests;
