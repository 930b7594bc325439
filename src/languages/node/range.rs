//! Ranges of versions as npm reads them (node-semver, "Ranges").

use crate::languages::version::{holds, is_below_next, numbers, relation};

/// Whether a range takes a version: alternatives, each of comparators all of which have to hold. A tag or a URL takes none.
pub(super) fn accepts(range: &str, version: &str) -> bool {
    range.split("||").any(|alternative| {
        if let Some((low, high)) = alternative.split_once(" - ") {
            return comparator_holds(&format!(">={}", low.trim()), version)
                && comparator_holds(&format!("<={}", high.trim()), version);
        }
        // A relation may stand apart from its version.
        let mut joined = String::new();
        for word in alternative.split_whitespace() {
            joined.push_str(word);
            if word.ends_with(|c: char| !"<>=~^".contains(c)) {
                joined.push(' ');
            }
        }
        if joined.trim().is_empty() {
            joined.push('*');
        }
        joined
            .split_whitespace()
            .all(|comparator| comparator_holds(comparator, version))
    })
}

/// Whether a version meets one comparator, such as `^1.2.3`, `~1.2`, `>=1`, `1.x` or `*`.
fn comparator_holds(comparator: &str, version: &str) -> bool {
    let (relation, wanted) = relation(comparator);
    let wanted = wanted.trim_start_matches('v');
    let is_any = |part: &str| ["", "*", "x", "X"].contains(&part);
    let given: Vec<&str> = wanted.split('.').take_while(|part| !is_any(part)).collect();
    if given.is_empty() {
        // A range without a number takes every release.
        return is_any(wanted.split('.').next().unwrap_or_default()) && numbers(version).is_some();
    }
    let given = given.join(".");
    let Some(lowest) = numbers(&given) else { return false };
    let at_least = holds(version, ">=", &given);
    let last = lowest.len() - 1;
    match relation {
        "" | "=" => at_least && is_below_next(version, &lowest, last),
        "~" => at_least && is_below_next(version, &lowest, last.min(1)),
        // The first number that is not 0 must not change.
        "^" => {
            let first = lowest.iter().position(|number| *number != 0);
            at_least && is_below_next(version, &lowest, first.unwrap_or(last))
        }
        ">" => at_least && !is_below_next(version, &lowest, last),
        "<=" => !at_least && numbers(version).is_some() || is_below_next(version, &lowest, last),
        _ => holds(version, relation, &given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges are those of node-semver's documentation.
    #[test]
    fn ranges_are_read_as_npm_does() {
        for (range, takes, refuses) in [
            ("^1.2.3", &["1.2.3", "1.9.0"][..], &["1.2.2", "2.0.0", "1.9.0-rc.1"][..]),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^0.0", &["0.0.9"], &["0.1.0"]),
            ("~1.2.3", &["1.2.9"], &["1.3.0", "1.2.2"]),
            ("~1", &["1.9.9"], &["2.0.0"]),
            ("1.2.x", &["1.2.0", "1.2.9"], &["1.3.0"]),
            ("1.2.3", &["1.2.3"], &["1.2.4"]),
            ("", &["1.0.0"], &["1.0.0-beta"]),
            ("*", &["1.0.0"], &[]),
            (">= 1.2.7 <1.3.0", &["1.2.7", "1.2.99"], &["1.2.6", "1.3.0"]),
            ("1.2.7 || >=1.2.9 <2.0.0", &["1.2.7", "1.4.6"], &["1.2.8", "2.0.0"]),
            ("1.2.3 - 2.3", &["2.3.9", "1.2.3"], &["2.4.0", "1.2.2"]),
            (">1.2", &["1.3.0"], &["1.2.9"]),
            ("latest", &[], &["1.0.0"]),
            ("git+https://example.org/x.git", &[], &["1.0.0"]),
        ] {
            for version in takes {
                assert!(accepts(range, version), "{range} takes {version}");
            }
            for version in refuses {
                assert!(!accepts(range, version), "{range} does not take {version}");
            }
        }
    }
}
