//! Tests of the whole program, as a user runs it. Every test makes its own folder and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what cannot be unwrapped in a test is a failure of the test"
)]

mod analyze;
mod bootstrap;
mod check;
mod errors;
mod loader;
mod pack;
mod prune;
mod publish;
mod repack;
mod robust;
mod rules;
mod support;
mod why;
mod zips;
