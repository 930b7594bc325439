//! Which files are code by the ends of their names (`rules/code-files.toml`).

use std::sync::LazyLock;

use serde::Deserialize;

use super::LANGUAGES;
use crate::tree::TreePath;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    kinds: Vec<Kind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    #[serde(rename = "what")]
    _what: String,
    endings: Vec<String>,
    /// Whether these files are loaded as modules, but hold no code.
    #[serde(default)]
    is_data: bool,
    #[serde(rename = "source")]
    _source: String,
}

static KINDS: LazyLock<Result<Vec<Kind>, toml::de::Error>> = LazyLock::new(|| {
    let data: Data = toml::from_str(include_str!("../../rules/code-files.toml"))?;
    Ok(data.kinds)
});

/// Whether a file is code by its name: something runs it or loads it.
pub fn is_code(path: &TreePath) -> bool {
    is_of(path, |kind| !kind.is_data) || is_source(path)
}

/// Whether something loads a file by its name as a module, be it code or data, and may know it by its real path.
pub fn is_module(path: &TreePath) -> bool {
    is_of(path, |_| true) || is_source(path)
}

/// Whether one of the languages with a module of their own reads a file as source code.
fn is_source(path: &TreePath) -> bool {
    let kinds = LANGUAGES.iter().filter_map(|language| language.code());
    kinds
        .flat_map(|kind| kind.endings)
        .any(|ending| path.file_name().ends_with(ending))
}

fn is_of(path: &TreePath, wanted: impl Fn(&Kind) -> bool) -> bool {
    let kinds = KINDS.iter().flatten().filter(|kind| wanted(kind));
    let mut endings = kinds.flat_map(|kind| &kind.endings);
    endings.any(|ending| path.file_name().ends_with(ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_code_from_data() {
        KINDS.as_ref().unwrap();
        for (path, code, module) in [
            ("lib/init.lua", true, true),
            ("lib/a/App.dll", true, true),
            ("lib/x.mjs", true, true),
            ("R/zzz.r", true, true),
            ("lib/package.json", false, true),
            ("lib/data.csv", false, false),
            ("lib/lua", false, false),
            ("lib/py", false, false),
        ] {
            let path = TreePath::new(path).unwrap();
            assert_eq!((is_code(&path), is_module(&path)), (code, module), "{path}");
        }
    }
}
