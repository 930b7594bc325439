//! What a shell knows at one moment, and what it knows after one of two ways that it may have taken.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use brush_parser::ast::FunctionBody;

use super::value::{Export, Value, Variable};

/// Functions that one name may stand for where that depends on conditions.
const MOST_BODIES: usize = 8;

/// Exit status 0 (`Some(true)`), another one, or one that is not known.
pub(super) type Status = Option<bool>;

/// Where the script goes on after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// Out of this many loops.
    Break(usize),
    /// To the next turn of the loop that is this many loops further out.
    Continue(usize),
    Return,
    Exit,
}

/// A function, as far as it is known which one that is.
#[derive(Debug, Clone)]
pub(super) struct Function {
    /// The functions that it may be, each once.
    pub(super) bodies: Vec<Rc<FunctionBody>>,
    /// Whether there may be none of this name.
    pub(super) may_be_missing: bool,
}

/// What becomes of a word that is a pattern of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patterns {
    /// The paths that it matches or, if there are none, itself.
    Expanded,
    /// The paths that it matches, if any: bash's `nullglob`.
    Dropped,
    /// Itself: `set -f`.
    Kept,
    /// One of these.
    Unknown,
}

/// What a subshell has a copy of.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) variables: BTreeMap<String, Variable>,
    pub(super) arrays: BTreeMap<String, Vec<Value>>,
    pub(super) functions: BTreeMap<String, Function>,
    /// Variables that `export` named before they were set.
    pub(super) exported_later: BTreeMap<String, Export>,
    pub(super) directory: Value,
    /// The directories that `pushd` left, the last at the end.
    pub(super) left_directories: Vec<Value>,
    /// `$0` and what follows it.
    pub(super) name: Value,
    pub(super) arguments: Vec<Value>,
    /// The file that is being read.
    pub(super) source: Value,
    pub(super) status: Status,
    pub(super) flow: Flow,
    /// `set -a`: whether variables that are set are exported.
    pub(super) exports_all: Export,
    /// `set -e`.
    pub(super) exits_on_error: bool,
    pub(super) patterns: Patterns,
    /// Whether something that cannot be read may have changed variables.
    pub(super) is_clouded: bool,
}

/// What holds after one of two ways.
pub(super) fn joined(one: State, other: State) -> State {
    match (one.flow, other.flow) {
        (Flow::Exit, _) => return other,
        (_, Flow::Exit) => return one,
        _ => {}
    }
    let mut joined = one.clone();
    for name in either(&one.variables, &other.variables) {
        if let Some(variable) = joined_variable(name, &one, &other) {
            joined.variables.insert(name.clone(), variable);
        }
    }
    for name in either(&one.exported_later, &other.exported_later) {
        let export = exported_later(&one, name).either(exported_later(&other, name));
        joined.exported_later.insert(name.clone(), export);
    }
    // A variable that is set says itself whether it is exported.
    joined
        .exported_later
        .retain(|name, _| !joined.variables.contains_key(name));
    for name in either(&one.arrays, &other.arrays) {
        if one.arrays.get(name) != other.arrays.get(name) {
            joined.arrays.insert(name.clone(), vec![Value::unknown()]);
        }
    }
    for name in either(&one.functions, &other.functions) {
        let function = joined_function(one.functions.get(name), other.functions.get(name));
        joined.is_clouded |= function.bodies.len() > MOST_BODIES;
        joined.functions.insert(name.clone(), function);
    }
    joined.directory = one.directory.either(other.directory);
    if one.left_directories != other.left_directories {
        joined.left_directories = vec![Value::unknown()];
    }
    if one.arguments != other.arguments {
        joined.arguments = vec![Value::unknown()];
    }
    if one.status != other.status {
        joined.status = None;
    }
    if one.flow != other.flow {
        joined.flow = Flow::Next;
    }
    joined.exports_all = one.exports_all.either(other.exports_all);
    joined.exits_on_error &= other.exits_on_error;
    if one.patterns != other.patterns {
        joined.patterns = Patterns::Unknown;
    }
    joined.is_clouded |= other.is_clouded;
    joined
}

/// The names of two maps.
fn either<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

fn exported_later(state: &State, name: &str) -> Export {
    state.exported_later.get(name).copied().unwrap_or_default()
}

/// What is known of a variable after one of two ways; `None` if no way sets it.
fn joined_variable(name: &str, one: &State, other: &State) -> Option<Variable> {
    let export = |state: &State, variable: Option<&Variable>| {
        variable.map_or_else(|| exported_later(state, name), |variable| variable.export)
    };
    let (first, second) = (one.variables.get(name), other.variables.get(name));
    let value = match (first, second) {
        (Some(first), Some(second)) => first.value.clone().either(second.value.clone()),
        (Some(only), None) | (None, Some(only)) => Value {
            is_complete: false,
            ..only.value.clone()
        },
        (None, None) => return None,
    };
    let export = export(one, first).either(export(other, second));
    Some(Variable { value, export })
}

/// What is known of a function after one of two ways.
fn joined_function(one: Option<&Function>, other: Option<&Function>) -> Function {
    let mut bodies: Vec<Rc<FunctionBody>> = Vec::new();
    for body in [one, other].into_iter().flatten().flat_map(|function| &function.bodies) {
        if bodies.len() <= MOST_BODIES && !bodies.iter().any(|known| Rc::ptr_eq(known, body)) {
            bodies.push(Rc::clone(body));
        }
    }
    Function {
        bodies,
        may_be_missing: [one, other]
            .iter()
            .any(|one| one.is_none_or(|function| function.may_be_missing)),
    }
}
