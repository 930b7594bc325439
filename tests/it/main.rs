//! Tests of the whole program, as a user runs it.

fn main() {}
