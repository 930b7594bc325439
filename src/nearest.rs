//! The known name that someone most likely meant.

/// The known name that is nearest to `name`, if one is near enough to be meant: one with few other letters, else the shortest
/// that has all letters of `name` in this order, as `node22` leaves some of `nodejs22.x` out. Of several that are equally near
/// it is one that has the same letters in another order, else the first.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, two at least: `idd` still finds `id`, `foo` does not find `anchor`.
    let allowed = (name.chars().count() / 3).max(2);
    let name = name.to_lowercase();
    let known: Vec<&str> = known.into_iter().collect();
    let letters = sorted_letters(&name);
    let few_others = known
        .iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, candidate)| (*distance, sorted_letters(&candidate.to_lowercase()) != letters))
        .map(|(_, candidate)| candidate);
    few_others.or_else(|| {
        let is_abbreviated = |candidate: &&&str| is_within(&name, &candidate.to_lowercase());
        let longer = known.iter().filter(is_abbreviated);
        longer.min_by_key(|candidate| candidate.len()).copied()
    })
}

fn sorted_letters(name: &str) -> Vec<char> {
    let mut letters: Vec<char> = name.chars().collect();
    letters.sort_unstable();
    letters
}

/// Whether the letters of a name, more than four, are in another one in this order, and its first letter begins a word there.
fn is_within(name: &str, longer: &str) -> bool {
    let begins_word = |(at, _): &(usize, &str)| *at == 0 || !longer[..*at].ends_with(char::is_alphanumeric);
    let first = name.chars().next().map(String::from).unwrap_or_default();
    name.chars().count() > 4
        && longer.match_indices(first.as_str()).filter(begins_word).any(|(at, _)| {
            let mut rest = longer[at..].chars();
            name.chars().all(|letter| rest.any(|other| other == letter))
        })
}

/// `; did you mean 'x'?`, or nothing where no known name is near.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean '{near}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["id", "title", "category", "default", "anchor", "paths", "except"];
        for (name, expected) in [
            ("idd", Some("id")),
            ("titel", Some("title")),
            ("path", Some("paths")),
            ("Anchor", Some("anchor")),
            ("excpet", Some("except")),
            ("kategory", Some("category")),
            ("xyz", None),
            ("", None),
            ("color", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        let known = [
            "python3.9",
            "python3.11",
            "python3.13",
            "nodejs22.x",
            "provided.al2023",
            "unix-locale",
        ];
        for (name, expected) in [
            ("python3.31", Some("python3.13")),
            ("python311", Some("python3.11")),
            ("node22", Some("nodejs22.x")),
            ("al2023", Some("provided.al2023")),
            ("locale", Some("unix-locale")),
            ("cale", None),
            ("nix", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
