//! Globs for paths of a tree.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::RuleError;

/// Why a text is not a glob that could match a path; `None` if it is one.
pub(super) fn glob_error(text: &str) -> Option<String> {
    let name_error = text.split('/').find_map(|name| match name {
        "" => Some("it begins with '/' or has an empty name; paths are relative".to_owned()),
        "." | ".." => Some(format!("no path has the name '{name}'; paths are relative and plain")),
        _ => None,
    });
    match text.trim_end_matches('/') {
        "" => Some("it is empty".to_owned()),
        trimmed if trimmed.len() == text.len() => name_error.or_else(|| built_glob(text).err()),
        trimmed => glob_error(trimmed),
    }
}

fn built_glob(text: &str) -> Result<Glob, String> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| error.kind().to_string())
}

/// How many globs a [`set_of`] has for each text.
pub(super) const GLOBS_OF_TEXT: usize = 2;

/// The glob for what a text matches itself. `from` is the option or file that has it.
pub(super) fn glob_of(text: &str, from: &str) -> Result<Glob, RuleError> {
    let error = |reason| RuleError::Glob {
        from: from.to_owned(),
        glob: text.to_owned(),
        reason,
    };
    match glob_error(text) {
        Some(reason) => Err(error(reason)),
        None => built_glob(text.trim_end_matches('/')).map_err(error),
    }
}

/// What globs for paths match: each stands for what it matches and, if that is a directory, for all that is below.
pub(crate) fn set_of(texts: &[String], from: &str) -> Result<GlobSet, RuleError> {
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        builder.add(glob_of(text, from)?);
        builder.add(glob_of(&format!("{}/**", text.trim_end_matches('/')), from)?);
    }
    built(&builder)
}

pub(super) fn built(builder: &GlobSetBuilder) -> Result<GlobSet, RuleError> {
    builder.build().map_err(|error| RuleError::Glob {
        from: "all globs together".to_owned(),
        glob: error.glob().unwrap_or_default().to_owned(),
        reason: error.kind().to_string(),
    })
}
