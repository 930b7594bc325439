//! What variables and words hold, as far as it can be known without running anything.

use std::collections::BTreeMap;

/// What a value holds at most, in bytes: a few lines of a hostile script can double one again and again.
const LONGEST: usize = 32 << 10;

/// The variables that a function has of its own, with what they were outside.
pub(super) type Locals = BTreeMap<String, Outside>;

/// What a name stands for outside a function that has a variable of this name.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) variable: Option<Variable>,
    /// Whether the variable is exported as soon as it is set.
    pub(super) exported_later: Export,
}

/// A text of which parts may be unknown, such as the output of a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// What is known of it, in order.
    pub text: String,
    /// Whether the text is all of it.
    pub is_complete: bool,
}

impl Default for Value {
    fn default() -> Self {
        Self::known("")
    }
}

impl Value {
    /// A value that is known as a whole.
    pub fn known(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_complete: true,
        }
    }

    /// A value of which nothing is known.
    pub fn unknown() -> Self {
        Self {
            text: String::new(),
            is_complete: false,
        }
    }

    /// The text, if it is all of the value.
    pub fn complete(&self) -> Option<&str> {
        self.is_complete.then_some(self.text.as_str())
    }

    /// What the value may be, as far as it is known: the text or, where it is one of several, each of them.
    pub fn alternatives(&self) -> impl Iterator<Item = &str> {
        let (whole, several) = if self.is_complete {
            (Some(self.text.as_str()), None)
        } else {
            (None, Some(self.text.split(':')))
        };
        whole.into_iter().chain(several.into_iter().flatten())
    }

    pub(super) fn push(&mut self, other: &Self) {
        self.push_str(&other.text);
        self.is_complete &= other.is_complete;
    }

    pub(super) fn push_str(&mut self, text: &str) {
        if self.text.len() + text.len() > LONGEST {
            self.is_complete = false;
        } else {
            self.text.push_str(text);
        }
    }

    /// What is known where it is one of two values.
    pub(super) fn either(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let (long, short) = if self.text.len() >= other.text.len() {
            (self.text, other.text)
        } else {
            (other.text, self.text)
        };
        let mut text = Self {
            is_complete: false,
            text: long,
        };
        // Of search paths, the parts of both count.
        if !text.text.contains(&short) {
            text.push_str(":");
            text.push_str(&short);
        }
        text
    }
}

/// A shell variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// What it holds.
    pub value: Value,
    /// Whether processes that are started get it.
    pub export: Export,
}

/// Whether processes that are started get a variable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Export {
    /// They do not.
    #[default]
    Never,
    /// That depends on a condition that is not known.
    Perhaps,
    /// They do.
    Always,
}

impl Export {
    /// What is known where it is one of two.
    pub(super) fn either(self, other: Self) -> Self {
        if self == other { self } else { Self::Perhaps }
    }
}

/// A variable that is set: its name, what it is set to, and whether that is put behind what it has.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: Option<Value>,
    pub(super) is_appended: bool,
}
