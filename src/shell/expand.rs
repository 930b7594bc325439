//! Words: quotes, parameters, substitutions, fields (POSIX.1-2017, Shell Command Language, section 2.6, and bash's manual).

use brush_parser::ParserOptions;
use brush_parser::ast::{ArithmeticExpr, ArithmeticTarget, BinaryOperator, UnaryAssignmentOperator, UnaryOperator};
use brush_parser::word::{
    BraceExpressionMember, BraceExpressionOrText, Parameter, ParameterExpr, ParameterTestType, SpecialParameter,
    SubstringMatchKind, TildeExpr, WordPiece, WordPieceWithSource,
};

use super::FileKind;
use super::parse;
use super::pattern::{self, Character};
use super::run::{MOST_GLOBS, Shell};
use super::state::Patterns;
use super::value::Value;

/// What a word with braces stands for at most.
const MOST_WORDS: usize = 64;
/// Longer arithmetic expressions are not evaluated, in bytes.
const LONGEST_EXPRESSION: usize = 200;
/// What taking a pattern off a value or replacing it may cost, as the product of lengths.
const MOST_MATCHING: usize = 10_000_000;
/// Variables that the shell itself sets and that depend on the run.
const SET_BY_SHELL: [&str; 12] = [
    "RANDOM",
    "SECONDS",
    "LINENO",
    "PPID",
    "UID",
    "EUID",
    "HOSTNAME",
    "SHLVL",
    "BASH_VERSION",
    "EPOCHSECONDS",
    "BASHPID",
    "OPTIND",
];

/// Part of an expanded word.
enum Segment {
    Text {
        value: Value,
        is_quoted: bool,
        /// Whether it becomes several fields where it has blanks.
        splits: bool,
    },
    /// A boundary between two elements of `"$@"`.
    Break,
}

/// A field of a command, and what of it may be a pattern of paths.
#[derive(Default)]
struct Field {
    value: Value,
    pattern: Vec<Character>,
}

impl Field {
    fn push(&mut self, value: &Value, is_quoted: bool) {
        self.value.push(value);
        self.pattern
            .extend(value.text.chars().map(|character| (character, is_quoted)));
    }
}

/// Where a word stands.
#[derive(Clone, Copy)]
struct Context {
    is_quoted: bool,
    splits: bool,
}

impl Shell<'_> {
    fn options(&self) -> ParserOptions {
        ParserOptions {
            posix_mode: self.is_posix,
            tilde_expansion_after_colon: true,
            ..ParserOptions::default()
        }
    }

    /// A word where no fields are made of it, as in an assignment.
    pub(super) fn value(&mut self, word: &str) -> Value {
        let segments = self.segments(word);
        joined(segments)
    }

    /// The fields that a word of a command becomes.
    pub(super) fn fields(&mut self, word: &str) -> Vec<Value> {
        let words = self.braces(word);
        let mut fields = Vec::new();
        for word in words {
            let segments = self.segments(&word);
            for field in self.split(segments) {
                self.paths(field, &mut fields);
            }
        }
        fields
    }

    pub(super) fn here_document(&mut self, text: &str) -> Value {
        let context = Context {
            is_quoted: true,
            splits: false,
        };
        let mut segments = Vec::new();
        match parse::here_document(text, &self.options()) {
            Some(pieces) => self.pieces(pieces, context, &mut segments),
            None => return Value::unknown(),
        }
        joined(segments)
    }

    /// Whether a value matches a pattern, if that can be known.
    pub(super) fn matches_pattern(&mut self, value: &Value, pattern: &str) -> Option<bool> {
        let pattern = self.pattern(pattern)?;
        if !pattern.is_empty() && pattern.iter().all(|character| *character == ('*', false)) {
            return Some(true);
        }
        let text: Vec<char> = value.complete()?.chars().collect();
        (text.len() * pattern.len() <= MOST_MATCHING).then(|| pattern::matches(&pattern, &text))
    }

    fn pattern(&mut self, word: &str) -> Option<Vec<Character>> {
        let mut pattern = Vec::new();
        for segment in self.segments(word) {
            if let Segment::Text { value, is_quoted, .. } = segment {
                pattern.extend(value.complete()?.chars().map(|character| (character, is_quoted)));
            }
        }
        Some(pattern)
    }

    fn segments(&mut self, word: &str) -> Vec<Segment> {
        let context = Context {
            is_quoted: false,
            splits: false,
        };
        let mut segments = Vec::new();
        self.word(word, context, &mut segments);
        segments
    }

    fn word(&mut self, word: &str, context: Context, out: &mut Vec<Segment>) {
        // Between double quotes, single ones and most backslashes are characters like others.
        let in_quotes = (context.is_quoted && !word.contains('"')).then(|| format!("\"{word}\""));
        let word = in_quotes.as_deref().unwrap_or(word);
        match parse::word(word, &self.options()) {
            Some(pieces) => {
                let mut nested = std::mem::take(out);
                let mut is_done = false;
                self.nested(|shell| {
                    shell.pieces(pieces, context, &mut nested);
                    is_done = true;
                });
                *out = nested;
                if !is_done {
                    push(out, Value::unknown(), context);
                }
            }
            None => push(out, Value::unknown(), context),
        }
    }

    fn pieces(&mut self, pieces: Vec<WordPieceWithSource>, context: Context, out: &mut Vec<Segment>) {
        let quoted = Context {
            is_quoted: true,
            splits: false,
        };
        for piece in pieces {
            match piece.piece {
                WordPiece::Text(text) => push(out, Value::known(text), context),
                WordPiece::SingleQuotedText(text) if context.is_quoted => {
                    // Between double quotes, single ones are characters like others.
                    push(out, Value::known(format!("'{text}'")), context);
                }
                WordPiece::SingleQuotedText(text) => push(out, Value::known(text), quoted),
                WordPiece::AnsiCQuotedText(text) => push(out, ansi_c(&text), quoted),
                WordPiece::EscapeSequence(text) => {
                    let character = text.strip_prefix('\\').unwrap_or(&text);
                    push(out, Value::known(character.trim_end_matches('\n')), quoted);
                }
                WordPiece::DoubleQuotedSequence(pieces) | WordPiece::GettextDoubleQuotedSequence(pieces) => {
                    // Quotes make a field even of nothing, but for `"$@"`.
                    if !matches!(pieces.as_slice(), [only] if is_list(&only.piece)) {
                        push(out, Value::default(), quoted);
                    }
                    self.pieces(pieces, quoted, out);
                }
                WordPiece::TildeExpansion(tilde) => {
                    let value = self.tilde(&tilde);
                    push(out, value, quoted);
                }
                WordPiece::ParameterExpansion(expression) => self.parameter(expression, context, out),
                WordPiece::CommandSubstitution(text) | WordPiece::BackquotedCommandSubstitution(text) => {
                    let value = self.substitution(&text);
                    push(
                        out,
                        value,
                        Context {
                            splits: true,
                            ..context
                        },
                    );
                }
                WordPiece::ArithmeticExpression(expression) => {
                    let value = self.arithmetic(&expression.value);
                    let value = value.map_or_else(Value::unknown, |value| Value::known(value.to_string()));
                    push(
                        out,
                        value,
                        Context {
                            splits: true,
                            ..context
                        },
                    );
                }
            }
        }
    }

    fn tilde(&self, tilde: &TildeExpr) -> Value {
        match tilde {
            TildeExpr::Home => match self.state.variables.get("HOME") {
                Some(home) => home.value.clone(),
                None => Value::unknown(),
            },
            TildeExpr::WorkingDir => self.state.directory.clone(),
            _ => Value::unknown(),
        }
    }

    /// What a command prints, without the newlines at its end.
    fn substitution(&mut self, text: &str) -> Value {
        let outer = self.output.replace(Value::default());
        let input = self.input.take();
        self.subshell(|shell| shell.text(text));
        let printed = std::mem::replace(&mut self.output, outer);
        self.input = input;
        self.substituted = Some(self.state.status);
        let mut value = printed.unwrap_or_else(Value::unknown);
        value.text.truncate(value.text.trim_end_matches('\n').len());
        value
    }

    /// The value of a parameter; `None` if it is not set.
    fn lookup(&mut self, parameter: &Parameter) -> Option<Value> {
        match parameter {
            Parameter::Positional(0) | Parameter::Special(SpecialParameter::ShellName) => Some(self.state.name.clone()),
            Parameter::Positional(number) => {
                let argument = self.state.arguments.get(*number as usize - 1).cloned();
                argument.or_else(|| self.follows_all_ways().then(Value::unknown))
            }
            Parameter::Special(special) => self.special(special),
            Parameter::Named(name) => self.variable(name),
            Parameter::NamedWithIndex { name, index } => {
                let number: Option<usize> = index.parse().ok();
                match (self.state.arrays.get(name), number) {
                    (Some(array), Some(number)) => array.get(number).cloned(),
                    (None, Some(0)) => self.variable(name),
                    (None, Some(_)) if self.state.variables.contains_key(name) => None,
                    _ => Some(Value::unknown()),
                }
            }
            Parameter::NamedWithAllIndices { name, concatenate } => match self.state.arrays.get(name) {
                Some(array) => Some(self.words(array, *concatenate)),
                None => self.variable(name),
            },
        }
    }

    fn special(&self, special: &SpecialParameter) -> Option<Value> {
        let arguments = &self.state.arguments;
        Some(match special {
            SpecialParameter::AllPositionalParameters { .. } if arguments.is_empty() => return None,
            SpecialParameter::AllPositionalParameters { concatenate } => self.words(arguments, *concatenate),
            SpecialParameter::PositionalParameterCount => {
                if arguments.iter().all(|argument| argument.is_complete) {
                    Value::known(arguments.len().to_string())
                } else {
                    Value::unknown()
                }
            }
            SpecialParameter::LastExitStatus if self.state.status == Some(true) => Value::known("0"),
            _ => Value::unknown(),
        })
    }

    pub(super) fn variable(&self, name: &str) -> Option<Value> {
        if let Some(array) = self.state.arrays.get(name) {
            return array.first().cloned();
        }
        if name == "BASH_SOURCE" {
            return (!self.is_posix).then(|| self.state.source.clone());
        }
        let variable = self.plain(name);
        let may_be_set = SET_BY_SHELL.contains(&name) || self.state.is_clouded || self.follows_all_ways();
        if variable.is_none() && may_be_set {
            return Some(Value::unknown());
        }
        if self.state.is_clouded {
            return variable.map(|value| Value {
                is_complete: false,
                ..value
            });
        }
        variable
    }

    /// The value that an expansion is about: that of the parameter, or of the variable that it names.
    fn subject(&mut self, parameter: &Parameter, is_indirect: bool) -> Option<Value> {
        let value = self.lookup(parameter);
        if !is_indirect {
            return value;
        }
        let value = value.unwrap_or_default();
        match value.complete() {
            Some(name) if super::is_name(name) => self.variable(name),
            Some(_) => {
                // The shell gives up the line.
                self.state.is_clouded = true;
                Some(Value::unknown())
            }
            None => Some(Value::unknown()),
        }
    }

    // Long: one arm for each form of expansion.
    fn parameter(&mut self, expression: ParameterExpr, context: Context, out: &mut Vec<Segment>) {
        let split = Context {
            splits: true,
            ..context
        };
        match expression {
            ParameterExpr::Parameter {
                parameter,
                indirect: false,
            } if self.elements(&parameter, context, out) => {}
            ParameterExpr::Parameter { parameter, indirect } => {
                let value = self.subject(&parameter, indirect).unwrap_or_default();
                push(out, value, split);
            }
            ParameterExpr::UseDefaultValues {
                parameter,
                indirect,
                test_type,
                default_value,
            } => {
                let value = self.subject(&parameter, indirect);
                let word = default_value.unwrap_or_default();
                match is_present(value.as_ref(), &test_type) {
                    Some(true) if self.elements(&parameter, context, out) => {}
                    Some(true) => push(out, value.unwrap_or_default(), split),
                    Some(false) => self.word(&word, split, out),
                    None => {
                        let other = self.value(&word);
                        push(out, value.unwrap_or_default().either(other), split);
                    }
                }
            }
            ParameterExpr::AssignDefaultValues {
                parameter,
                indirect,
                test_type,
                default_value,
            } => {
                let value = self.subject(&parameter, indirect);
                let present = is_present(value.as_ref(), &test_type);
                let value = value.unwrap_or_default();
                let value = match present {
                    Some(true) => value,
                    _ => self.assign_default(&parameter, value, present, &default_value.unwrap_or_default()),
                };
                push(out, value, split);
            }
            ParameterExpr::UseAlternativeValue {
                parameter,
                indirect,
                test_type,
                alternative_value,
            } => {
                let value = self.subject(&parameter, indirect);
                let word = alternative_value.unwrap_or_default();
                match is_present(value.as_ref(), &test_type) {
                    Some(true) => self.word(&word, split, out),
                    Some(false) => {}
                    None => {
                        let mut other = self.value(&word);
                        other.is_complete = false;
                        push(out, other, split);
                    }
                }
            }
            ParameterExpr::IndicateErrorIfNullOrUnset {
                parameter,
                indirect,
                test_type,
                ..
            } => {
                let value = self.subject(&parameter, indirect);
                if is_present(value.as_ref(), &test_type) == Some(false) {
                    self.state.flow = super::state::Flow::Exit;
                    self.state.status = Some(false);
                }
                push(out, value.unwrap_or_default(), split);
            }
            ParameterExpr::VariableNames { prefix, concatenate } if !self.state.is_clouded => {
                let names = self.state.variables.keys().filter(|name| name.starts_with(&prefix));
                let names: Vec<Value> = names.map(Value::known).collect();
                self.several(names, concatenate, context, out);
            }
            other => {
                let value = self.transformed(other).unwrap_or_else(Value::unknown);
                push(out, value, split);
            }
        }
    }

    /// What `${NAME:=WORD}` leaves in a variable that is not set, or of which that is not known.
    fn assign_default(&mut self, parameter: &Parameter, value: Value, present: Option<bool>, word: &str) -> Value {
        let mut other = self.value(word);
        if present.is_none() {
            other = value.either(other);
        }
        if let Parameter::Named(name) = parameter {
            self.set(name, other.clone(), false);
        }
        other
    }

    /// `$@`, `$*` and all elements of an array: a field for each. Whether it was one of these.
    fn elements(&mut self, parameter: &Parameter, context: Context, out: &mut Vec<Segment>) -> bool {
        let (values, is_one) = match parameter {
            Parameter::Special(SpecialParameter::AllPositionalParameters { concatenate }) => {
                (self.state.arguments.clone(), *concatenate)
            }
            Parameter::NamedWithAllIndices { name, concatenate } => match self.state.arrays.get(name) {
                Some(array) => (array.clone(), *concatenate),
                None => return false,
            },
            _ => return false,
        };
        self.several(values, is_one, context, out);
        true
    }

    /// A field for each value, or one of all where they are quoted and to be one.
    fn several(&self, values: Vec<Value>, is_one: bool, context: Context, out: &mut Vec<Segment>) {
        if is_one && context.is_quoted {
            push(out, self.words(&values, true), context);
            return;
        }
        for (number, value) in values.into_iter().enumerate() {
            if number > 0 {
                out.push(Segment::Break);
            }
            push(
                out,
                value,
                Context {
                    splits: !context.is_quoted,
                    ..context
                },
            );
        }
    }

    /// The expansions that make another text of a value.
    fn transformed(&mut self, expression: ParameterExpr) -> Option<Value> {
        let (parameter, indirect) = subject_of(&expression)?;
        let value = self.subject(&parameter, indirect).unwrap_or_default();
        let text: Vec<char> = value.complete()?.chars().collect();
        let known = |text: String| Some(Value::known(text));
        let without_suffix = |shell: &mut Self, pattern, is_longest| {
            let pattern = shell.affordable(pattern, &text)?;
            Some(pattern::without_suffix(&pattern, &text, is_longest))
        };
        let without_prefix = |shell: &mut Self, pattern, is_longest| {
            let pattern = shell.affordable(pattern, &text)?;
            Some(pattern::without_prefix(&pattern, &text, is_longest))
        };
        match expression {
            ParameterExpr::ParameterLength { .. } => known(text.len().to_string()),
            ParameterExpr::RemoveSmallestSuffixPattern { pattern, .. } => known(without_suffix(self, pattern, false)?),
            ParameterExpr::RemoveLargestSuffixPattern { pattern, .. } => known(without_suffix(self, pattern, true)?),
            ParameterExpr::RemoveSmallestPrefixPattern { pattern, .. } => known(without_prefix(self, pattern, false)?),
            ParameterExpr::RemoveLargestPrefixPattern { pattern, .. } => known(without_prefix(self, pattern, true)?),
            ParameterExpr::ReplaceSubstring {
                pattern,
                replacement,
                match_kind,
                ..
            } => {
                let pattern = self.affordable(Some(pattern), &text)?;
                let with = self.value(&replacement.unwrap_or_default());
                let with = with.complete()?;
                match match_kind {
                    SubstringMatchKind::FirstOccurrence => known(pattern::replaced(&pattern, &text, with, false)),
                    SubstringMatchKind::Anywhere => known(pattern::replaced(&pattern, &text, with, true)),
                    SubstringMatchKind::Prefix | SubstringMatchKind::Suffix => None,
                }
            }
            ParameterExpr::Substring { offset, length, .. } => {
                let offset = usize::try_from(self.arithmetic(&offset.value)?).ok()?;
                let length = match length {
                    Some(length) => usize::try_from(self.arithmetic(&length.value)?).ok()?,
                    None => text.len(),
                };
                known(text.iter().skip(offset).take(length).collect())
            }
            ParameterExpr::UppercasePattern { pattern: None, .. } => {
                known(text.iter().collect::<String>().to_uppercase())
            }
            ParameterExpr::LowercasePattern { pattern: None, .. } => {
                known(text.iter().collect::<String>().to_lowercase())
            }
            _ => None,
        }
    }

    /// A pattern, if applying it at every place of a text is not too much work.
    fn affordable(&mut self, pattern: Option<String>, text: &[char]) -> Option<Vec<Character>> {
        let pattern = self.pattern(&pattern.unwrap_or_default())?;
        let work = text
            .len()
            .saturating_mul(text.len())
            .saturating_mul(pattern.len().max(1));
        (work <= MOST_MATCHING).then_some(pattern)
    }

    /// Several words as one: with a space between them or, where it says so, the first character of `IFS`.
    fn words(&self, values: &[Value], by_separator: bool) -> Value {
        let separator = match self.state.variables.get("IFS") {
            Some(variable) if by_separator => {
                let first = variable.value.text.chars().next();
                Value {
                    text: first.map(String::from).unwrap_or_default(),
                    is_complete: first.is_some() || variable.value.is_complete,
                }
            }
            _ => Value::known(" "),
        };
        let mut result = Value::default();
        for (number, value) in values.iter().enumerate() {
            if number > 0 {
                result.push(&separator);
            }
            result.push(value);
        }
        result
    }

    /// The fields that segments become.
    fn split(&self, segments: Vec<Segment>) -> Vec<Field> {
        let separators = self.separators();
        let mut fields = Vec::new();
        let mut current: Option<Field> = None;
        for segment in segments {
            let Segment::Text {
                value,
                is_quoted,
                splits,
            } = segment
            else {
                fields.extend(current.take());
                continue;
            };
            if is_quoted || !splits {
                current.get_or_insert_default().push(&value, is_quoted);
                continue;
            }
            for character in value.text.chars() {
                if !separators.contains(character) {
                    let one = Value::known(character.encode_utf8(&mut [0; 4]).to_owned());
                    current.get_or_insert_default().push(&one, false);
                } else if character.is_whitespace() {
                    fields.extend(current.take());
                } else {
                    fields.push(current.take().unwrap_or_default());
                }
            }
            if !value.is_complete {
                current.get_or_insert_default().value.is_complete = false;
            }
        }
        fields.extend(current);
        fields
    }

    /// Adds a field, or the paths that it matches (POSIX.1-2017, section 2.6.6): the field itself where there are none.
    fn paths(&mut self, field: Field, fields: &mut Vec<Value>) {
        if self.state.patterns == Patterns::Kept || !is_pattern(&field.pattern) {
            fields.push(field.value);
            return;
        }
        self.globs += 1;
        let patterns = self.state.patterns;
        let is_known = field.value.is_complete && self.globs <= MOST_GLOBS && patterns != Patterns::Unknown;
        match is_known.then(|| self.matching(&field.pattern)).flatten() {
            Some(paths) if paths.is_empty() && patterns == Patterns::Dropped => {}
            Some(paths) if paths.is_empty() => fields.push(field.value),
            Some(paths) => fields.extend(paths.into_iter().map(Value::known)),
            None => fields.push(Value {
                is_complete: false,
                ..field.value
            }),
        }
    }

    /// The paths that a pattern matches, sorted; `None` if that is not known.
    fn matching(&self, pattern: &[Character]) -> Option<Vec<String>> {
        let mut paths = vec![String::new()];
        for (number, name) in pattern.split(|(character, _)| *character == '/').enumerate() {
            let literal: String = name.iter().map(|(character, _)| character).collect();
            let mut longer = Vec::new();
            for path in paths {
                let before = if number == 0 { path } else { path + "/" };
                if !is_pattern(name) {
                    longer.push(before + &literal);
                    continue;
                }
                let directory = if before.is_empty() { "." } else { before.as_str() };
                let directory = self.absolute(&Value::known(directory))?;
                let is_hidden_wanted = literal.starts_with('.');
                for entry in self.files.names(&directory)? {
                    let text: Vec<char> = entry.chars().collect();
                    let fits = (!entry.starts_with('.') || is_hidden_wanted) && pattern::matches(name, &text);
                    if fits && longer.len() < MOST_WORDS {
                        longer.push(format!("{before}{entry}"));
                    } else if fits {
                        return None;
                    }
                }
            }
            paths = longer;
        }
        // What follows a pattern may be missing there.
        let mut there = Vec::new();
        for path in paths {
            if self.files.kind(&self.absolute(&Value::known(&*path))?)? != FileKind::Missing {
                there.push(path);
            }
        }
        there.sort_unstable();
        Some(there)
    }

    pub(super) fn braces(&self, word: &str) -> Vec<String> {
        if self.is_posix || !word.contains('{') || !(word.contains(',') || word.contains("..")) {
            return vec![word.to_owned()];
        }
        parse::brace_expansions(word, &self.options())
            .and_then(|parts| brace_words(&parts))
            .unwrap_or_else(|| vec![word.to_owned()])
    }

    /// The value of an arithmetic expression. Assignments in it are carried out.
    pub(super) fn arithmetic(&mut self, expression: &str) -> Option<i64> {
        let expanded = self.here_document(expression);
        let result = expanded
            .complete()
            .filter(|text| text.len() <= LONGEST_EXPRESSION)
            .and_then(|text| brush_parser::arithmetic::parse(text.trim()).ok())
            .and_then(|expression| self.evaluated(&expression));
        if result.is_none() {
            self.forget_assigned(expression);
        }
        result
    }

    fn evaluated(&mut self, expression: &ArithmeticExpr) -> Option<i64> {
        match expression {
            ArithmeticExpr::Literal(value) => Some(*value),
            ArithmeticExpr::Reference(ArithmeticTarget::Variable(name)) => match self.variable(name) {
                None => Some(0),
                Some(value) => match value.complete()?.trim() {
                    "" => Some(0),
                    text => text.parse().ok(),
                },
            },
            ArithmeticExpr::UnaryOp(operator, operand) => {
                let operand = self.evaluated(operand)?;
                match operator {
                    UnaryOperator::UnaryPlus => Some(operand),
                    UnaryOperator::UnaryMinus => operand.checked_neg(),
                    UnaryOperator::BitwiseNot => Some(!operand),
                    UnaryOperator::LogicalNot => Some(i64::from(operand == 0)),
                }
            }
            ArithmeticExpr::BinaryOp(operator, left, right) => {
                let left = self.evaluated(left)?;
                let right = self.evaluated(right)?;
                binary(*operator, left, right)
            }
            ArithmeticExpr::Assignment(ArithmeticTarget::Variable(name), value) => {
                let value = self.evaluated(value)?;
                self.set(name, Value::known(value.to_string()), false);
                Some(value)
            }
            ArithmeticExpr::BinaryAssignment(operator, target @ ArithmeticTarget::Variable(name), value) => {
                let before = self.evaluated(&ArithmeticExpr::Reference(target.clone()))?;
                let value = self.evaluated(value)?;
                let value = binary(*operator, before, value)?;
                self.set(name, Value::known(value.to_string()), false);
                Some(value)
            }
            ArithmeticExpr::UnaryAssignment(operator, target @ ArithmeticTarget::Variable(name)) => {
                let before = self.evaluated(&ArithmeticExpr::Reference(target.clone()))?;
                let after = match operator {
                    UnaryAssignmentOperator::PrefixIncrement | UnaryAssignmentOperator::PostfixIncrement => {
                        before.checked_add(1)?
                    }
                    UnaryAssignmentOperator::PrefixDecrement | UnaryAssignmentOperator::PostfixDecrement => {
                        before.checked_sub(1)?
                    }
                };
                self.set(name, Value::known(after.to_string()), false);
                let is_prefix = matches!(
                    operator,
                    UnaryAssignmentOperator::PrefixIncrement | UnaryAssignmentOperator::PrefixDecrement
                );
                Some(if is_prefix { after } else { before })
            }
            _ => None,
        }
    }
}

fn binary(operator: BinaryOperator, left: i64, right: i64) -> Option<i64> {
    match operator {
        BinaryOperator::Add => left.checked_add(right),
        BinaryOperator::Subtract => left.checked_sub(right),
        BinaryOperator::Multiply => left.checked_mul(right),
        BinaryOperator::Divide => left.checked_div(right),
        BinaryOperator::Modulo => left.checked_rem(right),
        BinaryOperator::LessThan => Some(i64::from(left < right)),
        BinaryOperator::LessThanOrEqualTo => Some(i64::from(left <= right)),
        BinaryOperator::GreaterThan => Some(i64::from(left > right)),
        BinaryOperator::GreaterThanOrEqualTo => Some(i64::from(left >= right)),
        BinaryOperator::Equals => Some(i64::from(left == right)),
        BinaryOperator::NotEquals => Some(i64::from(left != right)),
        _ => None,
    }
}

/// Whether a piece stands for any number of fields.
fn is_list(piece: &WordPiece) -> bool {
    let WordPiece::ParameterExpansion(ParameterExpr::Parameter { parameter, .. }) = piece else {
        return false;
    };
    matches!(
        parameter,
        Parameter::Special(SpecialParameter::AllPositionalParameters { concatenate: false })
            | Parameter::NamedWithAllIndices { concatenate: false, .. }
    )
}

/// Whether the shell would look for file names that a word matches.
fn is_pattern(text: &[Character]) -> bool {
    let place = |wanted: char| text.iter().position(|character| *character == (wanted, false));
    let has = |wanted: char| place(wanted).is_some();
    has('*') || has('?') || place('[').is_some_and(|at| text[at..].contains(&(']', false)))
}

fn push(out: &mut Vec<Segment>, value: Value, context: Context) {
    out.push(Segment::Text {
        value,
        is_quoted: context.is_quoted,
        splits: context.splits && !context.is_quoted,
    });
}

fn joined(segments: Vec<Segment>) -> Value {
    let mut result = Value::default();
    for segment in segments {
        match segment {
            Segment::Text { value, .. } => result.push(&value),
            Segment::Break => result.push_str(" "),
        }
    }
    result
}

/// Whether a value counts as set, if that can be known.
fn is_present(value: Option<&Value>, test: &ParameterTestType) -> Option<bool> {
    match (value, test) {
        (None, _) => Some(false),
        (Some(value), _) if !value.is_complete => None,
        (Some(value), ParameterTestType::UnsetOrNull) => Some(!value.text.is_empty()),
        (Some(_), ParameterTestType::Unset) => Some(true),
    }
}

fn subject_of(expression: &ParameterExpr) -> Option<(Parameter, bool)> {
    match expression {
        ParameterExpr::ParameterLength { parameter, indirect }
        | ParameterExpr::RemoveSmallestSuffixPattern {
            parameter, indirect, ..
        }
        | ParameterExpr::RemoveLargestSuffixPattern {
            parameter, indirect, ..
        }
        | ParameterExpr::RemoveSmallestPrefixPattern {
            parameter, indirect, ..
        }
        | ParameterExpr::RemoveLargestPrefixPattern {
            parameter, indirect, ..
        }
        | ParameterExpr::Substring {
            parameter, indirect, ..
        }
        | ParameterExpr::UppercasePattern {
            parameter, indirect, ..
        }
        | ParameterExpr::LowercasePattern {
            parameter, indirect, ..
        }
        | ParameterExpr::ReplaceSubstring {
            parameter, indirect, ..
        } => Some((parameter.clone(), *indirect)),
        _ => None,
    }
}

/// The text of `$'…'` (bash's manual, "ANSI-C Quoting").
fn ansi_c(text: &str) -> Value {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        result.push(match characters.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('e' | 'E') => '\u{1b}',
            Some(other @ ('\\' | '\'' | '"' | '?')) => other,
            _ => return Value::unknown(),
        });
    }
    Value::known(result)
}

/// All words that braces stand for; `None` if there are too many.
fn brace_words(parts: &[BraceExpressionOrText]) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    for part in parts {
        let choices = match part {
            BraceExpressionOrText::Text(text) => vec![text.clone()],
            BraceExpressionOrText::Expr(members) => {
                let mut choices = Vec::new();
                for member in members {
                    match member {
                        BraceExpressionMember::Child(parts) => choices.extend(brace_words(parts)?),
                        BraceExpressionMember::NumberSequence { start, end, increment } => {
                            let step = usize::try_from(increment.unsigned_abs().max(1)).ok()?;
                            let range = (*start).min(*end)..=(*start).max(*end);
                            let mut numbers: Vec<String> = range
                                .step_by(step)
                                .take(MOST_WORDS + 1)
                                .map(|number| number.to_string())
                                .collect();
                            if start > end {
                                numbers.reverse();
                            }
                            choices.extend(numbers);
                        }
                        BraceExpressionMember::CharSequence { .. } => return None,
                    }
                }
                choices
            }
        };
        if words.len().checked_mul(choices.len())? > MOST_WORDS {
            return None;
        }
        words = words
            .iter()
            .flat_map(|word| choices.iter().map(move |choice| format!("{word}{choice}")))
            .collect();
    }
    Some(words)
}
