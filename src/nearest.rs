//! The known name that someone most likely meant.

/// The known name that is nearest to `name`, if one is near enough to be meant; the first of several.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, two at least: `idd` still finds `id`, `foo` does not find `anchor`.
    let allowed = (name.chars().count() / 3).max(2);
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
    }
}
