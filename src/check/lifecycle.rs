//! Whether AWS still takes care of the runtime.

use crate::day::Day;
use crate::finding::{Code, Finding};
use crate::runtime::{Lifecycle, State, lifecycles};

/// What to say of a runtime, by its name, on a day: it gets no updates any more. `None` for a runtime that does, and for one
/// that is not AWS's.
pub fn lifecycle_finding(runtime: &str, day: Day) -> Option<Finding> {
    let lifecycle = lifecycles().ok()?.get(runtime)?;
    if lifecycle.state(day) < State::Deprecated {
        return None;
    }
    let since = lifecycle.deprecated.or(lifecycle.create_blocked)?;
    let words = [
        ("runtime", runtime),
        ("since", &since.to_string()),
        ("blocks", &blocks(lifecycle, day)),
        ("successor", lifecycle.successor.as_deref().unwrap_or("a newer runtime")),
    ];
    Some(Finding::new(Code::RuntimeDeprecated, &words))
}

/// From when on functions with the runtime cannot be created or updated, as far as AWS has said.
fn blocks(lifecycle: &Lifecycle, day: Day) -> String {
    let blocks = [
        ("created", lifecycle.create_blocked),
        ("updated", lifecycle.update_blocked),
    ];
    blocks
        .into_iter()
        .filter_map(|(what, begin)| {
            let begin = begin?;
            let when = if begin <= day { "since" } else { "from" };
            Some(format!("; functions cannot be {what} {when} {begin}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_found_from_its_deprecation_on() {
        let on = |runtime: &str, day: &str| lifecycle_finding(runtime, day.parse().unwrap());
        assert_eq!(on("nodejs20.x", "2026-04-29"), None);
        let found = on("nodejs20.x", "2026-11-27").unwrap();
        assert_eq!(
            found.message,
            "nodejs20.x has had no updates since 2026-04-30; functions cannot be created from 2027-02-01; functions cannot be \
             updated from 2027-03-03"
        );
        assert!(found.help.contains("nodejs24.x"), "{}", found.help);
        let later = on("nodejs20.x", "2027-02-01").unwrap();
        assert!(later.message.contains("created since 2027-02-01"), "{}", later.message);
        assert_eq!(on("provided.al2023", "2026-11-27"), None);
        assert_eq!(on("mine", "2026-11-27"), None);
        // .NET 10 has no successor yet.
        let last = on("dotnet10", "2028-11-14").unwrap();
        assert!(last.help.contains("a newer runtime"), "{}", last.help);
    }
}
