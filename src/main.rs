//! The command `lambdar-prune`; everything but the command line is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
