//! Which commands of the system a script calls by a plain name or path, wherever in it.

use std::collections::BTreeSet;

use brush_parser::ParserOptions;
use brush_parser::ast::{
    AssignmentValue, Command, CommandPrefixOrSuffixItem, CompoundCommand, CompoundList, IoFileRedirectTarget,
    IoRedirect, Pipeline, RedirectList, SimpleCommand,
};
use brush_parser::word::{ParameterExpr, WordPiece, WordPieceWithSource};

use super::{is_name, parse};

/// What every shell has built in (POSIX.1-2017, section 1.6 and 2.14; bash's manual, "Shell Builtin Commands").
pub(super) const BUILTIN_COMMANDS: [&str; 61] = [
    ":",
    ".",
    "[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "[[",
];
/// Commands of which the next word is a command, too.
const PREFIXES: [&str; 4] = ["exec", "command", "builtin", "eval"];
/// Lists, substitutions and compound commands nest no deeper in any script that a person wrote.
const DEEPEST: usize = 100;

#[derive(Default)]
pub(super) struct Commands {
    pub(super) found: BTreeSet<String>,
    pub(super) functions: BTreeSet<String>,
    depth: usize,
}

impl Commands {
    pub(super) fn text(&mut self, text: &str) {
        if let Some((program, _)) = parse::program(text, false) {
            for list in &program.complete_commands {
                self.list(list);
                if leaves(list) {
                    break;
                }
            }
        }
    }

    fn nested(&mut self, work: impl FnOnce(&mut Self)) {
        if self.depth < DEEPEST {
            self.depth += 1;
            work(self);
            self.depth -= 1;
        }
    }

    fn list(&mut self, list: &CompoundList) {
        self.nested(|this| {
            for item in &list.0 {
                this.pipeline(&item.0.first);
                for next in &item.0.additional {
                    let (brush_parser::ast::AndOr::And(pipeline) | brush_parser::ast::AndOr::Or(pipeline)) = next;
                    this.pipeline(pipeline);
                }
            }
        });
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        for command in &pipeline.seq {
            match command {
                Command::Simple(command) => self.simple(command),
                Command::Compound(command, redirects) => {
                    self.compound(command);
                    self.redirects(redirects.as_ref());
                }
                Command::Function(function) => {
                    self.functions.insert(function.fname.value.clone());
                    self.compound(&function.body.0);
                }
                Command::ExtendedTest(test, _) => self.word(&test.expr.to_string()),
            }
        }
    }

    fn compound(&mut self, command: &CompoundCommand) {
        match command {
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(shell) => self.list(&shell.list),
            CompoundCommand::ForClause(clause) => {
                clause.values.iter().flatten().for_each(|word| self.word(&word.value));
                self.list(&clause.body.list);
            }
            CompoundCommand::CaseClause(clause) => {
                self.word(&clause.value.value);
                clause
                    .cases
                    .iter()
                    .filter_map(|item| item.cmd.as_ref())
                    .for_each(|list| self.list(list));
            }
            CompoundCommand::IfClause(clause) => {
                self.list(&clause.condition);
                self.list(&clause.then);
                for next in clause.elses.iter().flatten() {
                    next.condition.iter().for_each(|condition| self.list(condition));
                    self.list(&next.body);
                }
            }
            CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => {
                self.list(&clause.0);
                self.list(&clause.1.list);
            }
            CompoundCommand::ArithmeticForClause(clause) => self.list(&clause.body.list),
            CompoundCommand::Coprocess(command) => {
                self.nested(|this| {
                    this.pipeline(&Pipeline {
                        timed: None,
                        bang: false,
                        seq: vec![(*command.body).clone()],
                    });
                });
            }
            CompoundCommand::Arithmetic(_) => {}
        }
    }

    fn simple(&mut self, command: &SimpleCommand) {
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        let suffix: Vec<&CommandPrefixOrSuffixItem> = command.suffix.iter().flat_map(|suffix| &suffix.0).collect();
        for item in prefix.chain(suffix.iter().copied()) {
            match item {
                CommandPrefixOrSuffixItem::Word(word) => self.word(&word.value),
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => match &assignment.value {
                    AssignmentValue::Scalar(word) => self.word(&word.value),
                    AssignmentValue::Array(words) => words.iter().for_each(|(_, word)| self.word(&word.value)),
                },
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect),
                CommandPrefixOrSuffixItem::ProcessSubstitution(_, shell) => self.list(&shell.list),
            }
        }
        let Some(name) = &command.word_or_name else { return };
        self.word(&name.value);
        let mut words = suffix.into_iter().filter_map(|item| match item {
            CommandPrefixOrSuffixItem::Word(word) | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                Some(plain(&word.value))
            }
            _ => None,
        });
        let mut name = plain(&name.value);
        while let Some(prefix) = name.as_deref()
            && (PREFIXES.contains(&prefix) || is_assignment(prefix))
        {
            let next = words.next().flatten();
            // `command -v` asks, and starts nothing.
            if next.as_deref().is_some_and(|option| option.starts_with('-')) {
                return;
            }
            name = next;
        }
        if let Some(name) = name
            && !BUILTIN_COMMANDS.contains(&name.as_str())
            && is_command_name(&name)
        {
            self.found.insert(name);
        }
    }

    fn redirects(&mut self, redirects: Option<&RedirectList>) {
        redirects
            .iter()
            .flat_map(|list| &list.0)
            .for_each(|redirect| self.redirect(redirect));
    }

    fn redirect(&mut self, redirect: &IoRedirect) {
        match redirect {
            IoRedirect::File(_, _, IoFileRedirectTarget::Filename(word)) | IoRedirect::HereString(_, word) => {
                self.word(&word.value);
            }
            IoRedirect::File(_, _, IoFileRedirectTarget::ProcessSubstitution(_, shell)) => self.list(&shell.list),
            IoRedirect::HereDocument(_, document) if document.requires_expansion => {
                let pieces = parse::here_document(&document.doc.value, &ParserOptions::default());
                let pieces = pieces.unwrap_or_default();
                self.pieces(pieces);
            }
            _ => {}
        }
    }

    /// The commands in the substitutions of a word.
    fn word(&mut self, text: &str) {
        if text.contains(['$', '`']) {
            let pieces = parse::word(text, &ParserOptions::default()).unwrap_or_default();
            self.nested(|this| this.pieces(pieces));
        }
    }

    fn pieces(&mut self, pieces: Vec<WordPieceWithSource>) {
        for piece in pieces {
            match piece.piece {
                WordPiece::CommandSubstitution(text) | WordPiece::BackquotedCommandSubstitution(text) => {
                    self.nested(|this| this.text(&text));
                }
                WordPiece::DoubleQuotedSequence(pieces) | WordPiece::GettextDoubleQuotedSequence(pieces) => {
                    self.pieces(pieces);
                }
                WordPiece::ParameterExpansion(
                    ParameterExpr::UseDefaultValues {
                        default_value: other, ..
                    }
                    | ParameterExpr::AssignDefaultValues {
                        default_value: other, ..
                    }
                    | ParameterExpr::UseAlternativeValue {
                        alternative_value: other,
                        ..
                    },
                ) => other.iter().for_each(|text| self.word(text)),
                _ => {}
            }
        }
    }
}

/// Whether a shell reads nothing behind a command: an archive or code in another language may follow `exec` and `exit`.
fn leaves(list: &CompoundList) -> bool {
    let [item] = list.0.as_slice() else { return false };
    let [Command::Simple(command)] = item.0.first.seq.as_slice() else {
        return false;
    };
    let name = command.word_or_name.as_ref().and_then(|word| plain(&word.value));
    let has_words = command
        .suffix
        .iter()
        .flat_map(|suffix| &suffix.0)
        .any(|item| !matches!(item, CommandPrefixOrSuffixItem::IoRedirect(_)));
    item.0.additional.is_empty() && (name.as_deref() == Some("exit") || name.as_deref() == Some("exec") && has_words)
}

/// The text of a word that depends on nothing.
fn plain(word: &str) -> Option<String> {
    let mut text = String::new();
    for piece in parse::word(word, &ParserOptions::default())? {
        match piece.piece {
            WordPiece::Text(part) | WordPiece::SingleQuotedText(part) => text.push_str(&part),
            WordPiece::EscapeSequence(part) => text.push_str(part.strip_prefix('\\').unwrap_or(&part)),
            WordPiece::DoubleQuotedSequence(pieces) => {
                for piece in pieces {
                    match piece.piece {
                        WordPiece::Text(part) => text.push_str(&part),
                        WordPiece::EscapeSequence(part) => text.push_str(part.strip_prefix('\\').unwrap_or(&part)),
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
    }
    Some(text)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// A name or path that a file can have on a search path: no patterns, no options.
fn is_command_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c))
}
