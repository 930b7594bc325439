//! Tests of the whole program, as a user runs it. Every test makes its own folder and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what cannot be unwrapped in a test is a failure of the test"
)]

mod analyze;
mod bootstrap;
mod check;
mod dedupe;
mod diff;
mod docs;
mod errors;
mod findings;
mod foreign;
mod formats;
mod gate;
mod github;
mod handmade;
mod hostile;
mod html;
mod image;
mod invoke;
mod layout;
mod lifecycle;
mod loader;
mod named_layers;
mod opened;
mod pack;
mod provenance;
mod prune;
mod publish;
mod record;
mod repack;
mod repair;
mod robust;
mod rules;
mod sbom;
mod schemas;
mod shadowed;
mod support;
mod uses;
mod why;
mod zips;
