//! The documentation is true: its samples are what the program prints, its options exist, its configurations are read.

use std::path::{Path, PathBuf};

use crate::support::Sandbox;

/// Whether documents are written anew instead of compared.
fn rewrites() -> bool {
    std::env::var_os("LAMBDAR_PRUNE_REWRITE").is_some()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and every page of the book, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.push(root().join("README.md"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs_err::read_to_string(path).unwrap()))
        .collect()
}

/// The fenced blocks of a language: where each begins and ends in the text.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect()
}

/// A sandbox in which the samples of the documentation run.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.link("testdata", root().join("testdata"));
    sandbox
}

#[test]
fn samples_of_output_are_what_the_program_prints() {
    let mut samples = 0;
    for (path, text) in pages() {
        let mut current = text.clone();
        for block in blocks(&text, "console") {
            let command = block.lines().next().unwrap();
            let run = command.strip_prefix("$ lambdar-prune ").unwrap();
            let (arguments, lines) = run.split_once(" | head -").unwrap_or((run, "1000"));
            let output = sandbox().run(arguments.split(' ')).stdout;
            let output = output
                .lines()
                .take(lines.parse().unwrap())
                .collect::<Vec<_>>()
                .join("\n");
            let expected = format!("{command}\n{}\n", output.trim_end());
            current = current.replace(block, &expected);
            samples += 1;
        }
        if rewrites() {
            fs_err::write(&path, &current).unwrap();
        }
        assert!(
            rewrites() || current == text,
            "{} is out of date: run the tests with LAMBDAR_PRUNE_REWRITE=1",
            path.display()
        );
    }
    assert!(samples > 0);
}

#[test]
fn options_of_examples_exist() {
    let sandbox = sandbox();
    let mut checked = 0;
    for (path, text) in pages() {
        for line in blocks(&text, "sh").into_iter().flat_map(str::lines) {
            let line = line.split(" # ").next().unwrap();
            for command in line.split("lambdar-prune ").skip(1) {
                let command = command.split([')', '&', '|', '>']).next().unwrap();
                let words: Vec<&str> = command.split_whitespace().collect();
                let help = sandbox.run([words[0], "--help"]).expect_status(0).stdout;
                for option in words.iter().filter(|word| word.starts_with("--")) {
                    let option = option.split('=').next().unwrap();
                    // Not the beginning of a longer one.
                    let is_option = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-');
                    let mut found = help.match_indices(option);
                    let exists = found.any(|(at, _)| is_option(&help[at + option.len()..]));
                    assert!(exists, "{}: {line}", path.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn configurations_are_read() {
    let mut read = 0;
    for (path, text) in pages() {
        for block in blocks(&text, "toml") {
            let sandbox = sandbox();
            sandbox.file("lambdar-prune.toml", block);
            let ran = sandbox.run(["rules"]);
            assert_eq!(ran.status, 0, "{}: {ran:#?}", path.display());
            read += 1;
        }
    }
    assert!(read >= 3, "{read}");
}

#[test]
fn links_lead_to_files() {
    let mut followed = 0;
    for (path, text) in pages() {
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                let file = path.parent().unwrap().join(target);
                assert!(file.exists(), "{}: {target}", path.display());
                followed += 1;
            }
        }
    }
    assert!(followed > 5, "{followed}");
}

/// `docs/commands.md` is made from the help of every command.
#[test]
fn the_reference_of_commands_is_current() {
    let sandbox = sandbox();
    let mut text = "# Commands\n\nMade from the help of the program.\n".to_owned();
    let all = sandbox.run(["--help"]).expect_status(0).stdout;
    text += &format!("\n```text\n{}\n```\n", all.trim_end());
    let commands = all
        .split_once("Commands:\n")
        .unwrap()
        .1
        .lines()
        .take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 10, "{all}");
    for command in commands {
        let help = sandbox.run([command, "--help"]).expect_status(0).stdout;
        assert!(help.contains("Exit status"), "{command}");
        assert!(help.contains("Examples:"), "{command}");
        text += &format!("\n## {command}\n\n```text\n{}\n```\n", help.trim_end());
    }
    let path = root().join("docs/commands.md");
    if rewrites() {
        fs_err::write(&path, &text).unwrap();
    }
    assert!(
        fs_err::read_to_string(&path).unwrap_or_default() == text,
        "docs/commands.md is out of date: run the tests with LAMBDAR_PRUNE_REWRITE=1"
    );
}
