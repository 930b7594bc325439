//! A survey of all that a script may do, and not only of what it does: both ways of every condition are followed, what is not set may
//! be anything, and functions that nothing calls are carried out at the end.

use std::collections::BTreeSet;
use std::rc::Rc;

use brush_parser::ast::FunctionBody;

use super::NamedWord;
use super::value::Value;

/// Commands carried out in a survey, of which each way has more.
pub(super) const MOST_STEPS_OF_SURVEY: usize = 4_000;
/// Words of commands that are kept of one script.
const MOST_NAMED: usize = 10_000;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The words of commands.
    pub(super) named: BTreeSet<NamedWord>,
    /// What `trap` puts off.
    trapped: Vec<String>,
    /// The functions that were called, each with the directory and the arguments.
    called: Vec<(Rc<FunctionBody>, Value, Vec<Value>)>,
}

impl Survey {
    /// A survey that goes on from words that were found before.
    pub(super) fn from(named: BTreeSet<NamedWord>) -> Self {
        Self {
            named,
            ..Self::default()
        }
    }

    /// Keeps the words of a command.
    pub(super) fn note(&mut self, directory: &Value, words: &[Value]) {
        for word in words.iter().filter(|word| !word.text.is_empty()) {
            if self.named.len() < MOST_NAMED {
                self.named.insert(NamedWord {
                    directory: directory.clone(),
                    word: word.text.clone(),
                });
            }
        }
    }

    /// Keeps what a trap carries out.
    pub(super) fn trap(&mut self, action: &Value) {
        self.trapped.push(action.text.clone());
    }

    /// What traps carry out.
    pub(super) fn take_trapped(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trapped)
    }

    /// Notes a call of a function. Whether the same was called before, which would do the same again.
    pub(super) fn is_known_call(
        &mut self,
        function: &Rc<FunctionBody>,
        directory: &Value,
        arguments: &[Value],
    ) -> bool {
        let mut called = self.called.iter();
        let is_known =
            called.any(|(body, before, given)| Rc::ptr_eq(body, function) && before == directory && given == arguments);
        if !is_known {
            self.called
                .push((Rc::clone(function), directory.clone(), arguments.to_vec()));
        }
        is_known
    }

    /// Whether a function was called at all.
    pub(super) fn was_called(&self, function: &Rc<FunctionBody>) -> bool {
        self.called.iter().any(|(body, ..)| Rc::ptr_eq(body, function))
    }
}
