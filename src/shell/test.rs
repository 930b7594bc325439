//! `test`, `[` and `[[` (POSIX.1-2017, test; bash's manual, "Bash Conditional Expressions").

use brush_parser::ast::{BinaryPredicate, ExtendedTestExpr, UnaryPredicate};

use super::FileKind;
use super::run::Shell;
use super::value::Value;

/// How deep parentheses and negations of a test nest.
const DEEPEST: usize = 32;

impl Shell<'_> {
    /// Whether the words of a test hold, if that can be known.
    pub(super) fn test(&mut self, words: &[Value]) -> Option<bool> {
        let mut reader = Reader { words, at: 0, depth: 0 };
        let result = self.either(&mut reader);
        if reader.at == words.len() { result } else { None }
    }

    fn either(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        let mut result = self.both(reader);
        while reader.takes("-o") {
            let other = self.both(reader);
            result = or(result, other);
        }
        result
    }

    fn both(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        let mut result = self.one(reader);
        while reader.takes("-a") {
            let other = self.one(reader);
            result = and(result, other);
        }
        result
    }

    fn one(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        reader.depth += 1;
        if reader.depth > DEEPEST {
            reader.at = reader.words.len();
            return None;
        }
        let rest = &reader.words[reader.at..];
        let (Some(first), second, third) = (rest.first(), rest.get(1), rest.get(2)) else {
            return Some(false);
        };
        if let (Some(operator), Some(right)) = (second, third)
            && is_binary(&operator.text)
        {
            reader.at += 3;
            return binary(&operator.text, first, right);
        }
        if first.text == "!" && second.is_some() {
            reader.at += 1;
            return self.one(reader).map(|holds| !holds);
        }
        if first.text == "(" && second.is_some() {
            reader.at += 1;
            let result = self.either(reader);
            return if reader.takes(")") { result } else { None };
        }
        if let (Some(operand), Some(letter)) = (second, operator_letter(&first.text)) {
            reader.at += 2;
            return self.unary(letter, operand);
        }
        reader.at += 1;
        first.complete().map(|text| !text.is_empty())
    }

    fn unary(&mut self, letter: char, operand: &Value) -> Option<bool> {
        match letter {
            'n' => operand.complete().map(|text| !text.is_empty()),
            'z' => operand.complete().map(str::is_empty),
            'v' => {
                let value = self.variable(operand.complete()?);
                // One that is known in part may be that of another branch.
                value.map_or(Some(false), |value| value.is_complete.then_some(true))
            }
            'e' | 'f' | 'd' | 'x' | 'r' | 's' => {
                if operand.complete() == Some("") {
                    return Some(false);
                }
                let path = self.absolute(operand)?;
                let kind = self.files.kind(&path)?;
                Some(match (letter, kind) {
                    (_, FileKind::Missing) => false,
                    ('f', kind) => matches!(kind, FileKind::File { .. }),
                    ('d', kind) => kind == FileKind::Directory,
                    ('x', FileKind::File { is_executable }) => is_executable,
                    _ => true,
                })
            }
            _ => None,
        }
    }

    /// Whether what is between `[[` and `]]` holds, if that can be known.
    pub(super) fn extended_test(&mut self, test: &ExtendedTestExpr) -> Option<bool> {
        let mut result = None;
        self.nested(|shell| result = shell.extended(test));
        result
    }

    fn extended(&mut self, test: &ExtendedTestExpr) -> Option<bool> {
        match test {
            ExtendedTestExpr::And(left, right) => match self.extended_test(left) {
                Some(false) => Some(false),
                left => and(left, self.extended_test(right)),
            },
            ExtendedTestExpr::Or(left, right) => match self.extended_test(left) {
                Some(true) => Some(true),
                left => or(left, self.extended_test(right)),
            },
            ExtendedTestExpr::Not(inner) => self.extended_test(inner).map(|holds| !holds),
            ExtendedTestExpr::Parenthesized(inner) => self.extended_test(inner),
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let operand = self.value(&word.value);
                self.unary(letter_of(predicate)?, &operand)
            }
            ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                let value = self.value(&left.value);
                let operator = match predicate {
                    BinaryPredicate::StringExactlyMatchesPattern | BinaryPredicate::StringExactlyMatchesString => {
                        return self.matches_pattern(&value, &right.value);
                    }
                    BinaryPredicate::StringDoesNotExactlyMatchPattern
                    | BinaryPredicate::StringDoesNotExactlyMatchString => {
                        return self.matches_pattern(&value, &right.value).map(|matches| !matches);
                    }
                    BinaryPredicate::LeftSortsBeforeRight => "<",
                    BinaryPredicate::LeftSortsAfterRight => ">",
                    BinaryPredicate::ArithmeticEqualTo => "-eq",
                    BinaryPredicate::ArithmeticNotEqualTo => "-ne",
                    BinaryPredicate::ArithmeticLessThan => "-lt",
                    BinaryPredicate::ArithmeticLessThanOrEqualTo => "-le",
                    BinaryPredicate::ArithmeticGreaterThan => "-gt",
                    BinaryPredicate::ArithmeticGreaterThanOrEqualTo => "-ge",
                    BinaryPredicate::FilesReferToSameDeviceAndInodeNumbers
                    | BinaryPredicate::LeftFileIsNewerOrExistsWhenRightDoesNot
                    | BinaryPredicate::LeftFileIsOlderOrDoesNotExistWhenRightDoes
                    | BinaryPredicate::StringMatchesRegex
                    | BinaryPredicate::StringContainsSubstring => return None,
                };
                let right = self.value(&right.value);
                binary(operator, &value, &right)
            }
        }
    }
}

struct Reader<'a> {
    words: &'a [Value],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let is_there = self.words.get(self.at).is_some_and(|next| next.text == word);
        self.at += usize::from(is_there);
        is_there
    }
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    and(left.map(|holds| !holds), right.map(|holds| !holds)).map(|holds| !holds)
}

fn operator_letter(word: &str) -> Option<char> {
    let letter = word.strip_prefix('-')?;
    let mut letters = letter.chars();
    let first = letters.next()?;
    (letters.next().is_none() && first.is_ascii_alphabetic()).then_some(first)
}

fn is_binary(operator: &str) -> bool {
    let is_of_strings = ["=", "==", "!=", "<", ">"].contains(&operator);
    is_of_strings || ["-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"].contains(&operator)
}

fn binary(operator: &str, left: &Value, right: &Value) -> Option<bool> {
    let (left, right) = (left.complete()?, right.complete()?);
    let numbers = || Some((left.trim().parse::<i64>().ok()?, right.trim().parse::<i64>().ok()?));
    match operator {
        "=" | "==" => Some(left == right),
        "!=" => Some(left != right),
        "<" => Some(left < right),
        ">" => Some(left > right),
        "-eq" => numbers().map(|(left, right)| left == right),
        "-ne" => numbers().map(|(left, right)| left != right),
        "-lt" => numbers().map(|(left, right)| left < right),
        "-le" => numbers().map(|(left, right)| left <= right),
        "-gt" => numbers().map(|(left, right)| left > right),
        "-ge" => numbers().map(|(left, right)| left >= right),
        _ => None,
    }
}

fn letter_of(predicate: &UnaryPredicate) -> Option<char> {
    match predicate {
        UnaryPredicate::FileExists => Some('e'),
        UnaryPredicate::FileExistsAndIsDir => Some('d'),
        UnaryPredicate::FileExistsAndIsRegularFile => Some('f'),
        UnaryPredicate::FileExistsAndIsReadable => Some('r'),
        UnaryPredicate::FileExistsAndIsNotZeroLength => Some('s'),
        UnaryPredicate::FileExistsAndIsExecutable => Some('x'),
        UnaryPredicate::ShellVariableIsSetAndAssigned => Some('v'),
        UnaryPredicate::StringHasZeroLength => Some('z'),
        UnaryPredicate::StringHasNonZeroLength => Some('n'),
        _ => None,
    }
}
