//! What Ruby code refers to.

use tree_sitter::Language;

use super::Opening;
use super::opens::Opens;

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: Opens = Opens::new(
        || Language::from(tree_sitter_ruby::LANGUAGE),
        include_str!("../../rules/source/opens-ruby.scm"),
        &["ffi_lib", "dlopen", "dlload", "Handle", "DynamicLibrary"],
    );
    OPENS.read(text)
}
