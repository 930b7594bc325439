//! Versions of packages: which is later, and whether one meets a requirement.

use std::cmp::Ordering;

/// The order of two versions that are numbers with `.` or `-` between them; missing numbers at the end are zeros. `None` if one is
/// not such a version, as a release candidate.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (mut a, mut b) = (numbers(a)?, numbers(b)?);
    let length = a.len().max(b.len());
    a.resize(length, 0);
    b.resize(length, 0);
    Some(a.cmp(&b))
}

/// The numbers of a version.
pub(super) fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split(['.', '-']).map(|part| part.parse().ok()).collect()
}

/// Whether a version stands in this relation to another one.
pub(super) fn holds(version: &str, relation: &str, other: &str) -> bool {
    let Some(order) = compare(version, other) else {
        return version == other && ["==", "===", "=", ">=", "<=", "~="].contains(&relation);
    };
    match relation {
        "==" | "===" | "=" => order.is_eq(),
        "!=" => order.is_ne(),
        ">=" => order.is_ge(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        _ => false,
    }
}

/// The relation at the beginning of a text, and what follows it; no relation if there is none.
pub(super) fn relation(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !"<>=!~^".contains(c)).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// Whether a version is below the next one that may break something: that with the number at this place raised by one.
pub(super) fn is_below_next(version: &str, from: &[u64], place: usize) -> bool {
    numbers(version).is_some_and(|numbers| {
        let number = |of: &[u64], at: usize| of.get(at).copied().unwrap_or_default();
        (0..=place).all(|at| number(&numbers, at) == number(from, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        for (a, b, expected) in [
            ("1.5-3", "1.5.3", Some(Ordering::Equal)),
            ("1.10", "1.9", Some(Ordering::Greater)),
            ("2.0", "2.0.0", Some(Ordering::Equal)),
            ("2.0rc1", "2.0", None),
        ] {
            assert_eq!(compare(a, b), expected, "{a} {b}");
        }
    }
}
