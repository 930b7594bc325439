//! Strict reading of the TOML files that people write: a key that nobody reads is an error, with its place and the key
//! that was most likely meant.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::suggestion;

/// The longest text that is read, in bytes: many times what people write. Parsed, it takes some 170 times that in memory.
const LONGEST: usize = 1_000_000;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct TomlError {
    /// The file.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The column in characters, from 1 on.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A file that is TOML; what it says is read in parts.
pub struct TomlFile<'a> {
    name: &'a str,
    text: &'a str,
    table: DeTable<'a>,
}

impl<'a> TomlFile<'a> {
    /// The file with that name and text.
    pub fn parse(name: &'a str, text: &'a str) -> Result<Self, TomlError> {
        if text.len() > LONGEST {
            return Err(TomlError {
                file: name.to_owned(),
                line: 1,
                column: 1,
                message: format!("the file is longer than {LONGEST} bytes"),
            });
        }
        match DeTable::parse(text) {
            Ok(table) => Ok(Self {
                name,
                text,
                table: table.into_inner(),
            }),
            Err(error) => Err(from_toml(name, text, &error)),
        }
    }

    /// Whether the file has the key at its top.
    pub fn has(&self, key: &str) -> bool {
        self.table.keys().any(|known| known.get_ref() == key)
    }

    /// Fails at the first key that `T` does not read, of the tables at a path; an array there stands for all its tables.
    pub fn only_keys_of<'de, T: Deserialize<'de>>(&self, path: &[&str]) -> Result<(), TomlError> {
        let known = keys::<T>();
        let mut tables = vec![&self.table];
        for name in path {
            tables = tables
                .into_iter()
                .filter_map(|table| table.iter().find(|(key, _)| key.get_ref() == name))
                .flat_map(|(_, value)| tables_of(value.get_ref()))
                .collect();
        }
        let unknown = tables
            .into_iter()
            .flat_map(DeTable::keys)
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
            .min_by_key(|key| key.span().start);
        let Some(key) = unknown else {
            return Ok(());
        };
        let name = key.get_ref();
        let near = suggestion(name, known.iter().copied());
        let place = if path.is_empty() {
            String::new()
        } else {
            format!(" in {}", path.join("."))
        };
        let listed = known.join(", ");
        Err(self.error(
            key.span(),
            format!("unknown key '{name}'{place}{near} (known here: {listed})"),
        ))
    }

    /// Reads the file as a whole.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, TomlError> {
        toml::from_str(self.text).map_err(|error| from_toml(self.name, self.text, &error))
    }

    /// A place as errors show it: file and line.
    pub fn place(&self, place: &Range<usize>) -> String {
        let TomlError { file, line, .. } = at(self.name, self.text, place.start, String::new());
        format!("{file}:{line}")
    }

    /// An error at a place in the file.
    pub fn error(&self, place: Range<usize>, message: String) -> TomlError {
        at(self.name, self.text, place.start, message)
    }
}

fn tables_of<'t, 'a>(value: &'t DeValue<'a>) -> Vec<&'t DeTable<'a>> {
    match value {
        DeValue::Table(table) => vec![table],
        DeValue::Array(array) => array
            .iter()
            .map(Spanned::get_ref)
            .filter_map(DeValue::as_table)
            .collect(),
        _ => Vec::new(),
    }
}

fn from_toml(name: &str, text: &str, error: &toml::de::Error) -> TomlError {
    let place = error.span().map_or(0, |span| span.start);
    at(name, text, place, for_people(error.message()))
}

/// What the parser says, in the words of TOML instead of those of its own types.
fn for_people(message: &str) -> String {
    let message = message.replace('`', "'").replace('\n', "; ");
    if let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|types| types.split_once(", expected "))
    {
        return format!("expected {}, found {}", in_toml(expected), in_toml(found));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("the key {key} is missing");
    }
    if let Some((value, known)) = message
        .strip_prefix("unknown variant '")
        .and_then(|value| value.split_once("', expected "))
    {
        let known = known.trim_start_matches("one of ").replace('\'', "");
        let near = suggestion(value, known.split([',', ' ']).filter(|name| !name.is_empty()));
        return format!(
            "'{value}' is not a value of this key{near} (known here: {})",
            known.replace(" or ", ", ")
        );
    }
    message
}

/// The name that TOML has for a type, without the value that follows it.
fn in_toml(kind: &str) -> &str {
    const NAMES: [(&str, &str); 9] = [
        ("sequence", "an array"),
        ("a sequence", "an array"),
        ("map", "a table"),
        ("a map", "a table"),
        ("string", "a string"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("boolean", "true or false"),
        ("a boolean", "true or false"),
    ];
    let is_number = |kind: &str| {
        let digits = kind.strip_prefix(['u', 'i', 'f']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) || kind == "usize"
    };
    if is_number(kind) {
        return "a number";
    }
    let of_struct = kind.starts_with("struct ").then_some("a table");
    let named = NAMES.iter().find(|(name, _)| {
        kind.strip_prefix(name)
            .is_some_and(|value| value.is_empty() || value.starts_with([' ', '-']))
    });
    of_struct.or(named.map(|(_, name)| *name)).unwrap_or(kind)
}

fn at(name: &str, text: &str, place: usize, message: String) -> TomlError {
    let before = text.get(..place).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    TomlError {
        file: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
    }
}

/// The keys that a type reads: what its derived `Deserialize` asks of a deserializer.
pub(crate) fn keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The listener answers every question with an error, after it has heard the names.
    let _ = T::deserialize(Listener(&mut keys));
    keys
}

struct Listener<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(Self::Error::custom("only the names are asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("only structs have names"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "only the keys count")]
    struct Top {
        #[serde(default)]
        some_name: u8,
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the keys count")]
    struct Part {
        id: String,
    }

    fn check(text: &str, expected: &str) {
        let read = || {
            let file = TomlFile::parse("f.toml", text)?;
            file.only_keys_of::<Top>(&[])?;
            file.only_keys_of::<Part>(&["parts"])?;
            file.read::<Top>().map(|_| ())
        };
        assert_eq!(read().unwrap_err().to_string(), expected);
    }

    #[test]
    fn errors_have_their_place_and_the_nearest_key() {
        check(
            "some-nam = 1\n",
            "f.toml:1:1: unknown key 'some-nam'; did you mean 'some-name'? (known here: some-name, parts)",
        );
        check(
            "some-name = 1\n[[parts]]\nid = 'ü'\n[[parts]]\n  idd = 'b'\n",
            "f.toml:5:3: unknown key 'idd' in parts; did you mean 'id'? (known here: id)",
        );
        check("[[parts]]\n", "f.toml:1:1: the key 'id' is missing");
        check(
            "some-name = 'ü' x\n",
            "f.toml:1:17: unexpected key or value, expected newline, '#'",
        );
        check("some-name = 'x'\n", "f.toml:1:13: expected a number, found a string");
    }

    #[test]
    fn what_is_longer_than_people_write_is_not_parsed() {
        let text = format!("# {}\n", "x".repeat(LONGEST));
        check(&text, "f.toml:1:1: the file is longer than 1000000 bytes");
    }
}
