//! Words as a shell reads them.

/// A word of a command that stands for exactly this text (POSIX.1-2017, Shell Command Language, section 2.2).
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(arguments in proptest::collection::vec("[^\0]{0,12}", 1..5)) {
            let words: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
            let output = std::process::Command::new("sh")
                .args(["-c", &format!(r"printf '%s\0' {}", words.join(" "))])
                .output()
                .unwrap();
            let read: Vec<String> = String::from_utf8(output.stdout)
                .unwrap()
                .split_terminator('\0')
                .map(ToOwned::to_owned)
                .collect();
            prop_assert_eq!(read, arguments);
        }
    }
}
