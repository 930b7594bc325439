//! The command `lambdar-prune`: its command line is in the library, next to what it runs.

fn main() -> std::process::ExitCode {
    lambdar_prune::cli::run()
}
