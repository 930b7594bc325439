//! What Ruby code refers to.

use std::sync::LazyLock;

use tree_sitter::Language;

use super::Opening;
use super::opens::Opens;

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: LazyLock<Option<Opens>> = LazyLock::new(|| {
        let query = include_str!("../../rules/source/opens-ruby.scm");
        Opens::new(
            Language::from(tree_sitter_ruby::LANGUAGE),
            query,
            &["ffi_lib", "dlopen", "dlload", "Handle", "DynamicLibrary"],
        )
    });
    OPENS.as_ref().map(|opens| opens.read(text)).unwrap_or_default()
}
