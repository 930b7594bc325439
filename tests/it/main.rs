//! Tests of the whole program, as a user runs it. Every test makes its own folder and leaves nothing behind.

mod analyze;
mod check;
mod errors;
mod pack;
mod support;
mod zips;
