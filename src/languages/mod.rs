//! What is known of languages: a room for each, and the processes that they start.

pub mod process;
pub mod r;
