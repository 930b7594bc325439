//! DESCRIPTION files of R packages (Writing R Extensions, section 1.1.1): the Debian control format.

/// The value of a field, its continuation lines joined.
pub fn field(text: &str, name: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = &mut value {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if value.is_some() {
            break;
        } else if let Some(rest) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')) {
            value = Some(rest.trim().to_owned());
        }
    }
    value
}

/// The packages in Depends and Imports, without versions and without R itself.
pub fn needs(text: &str) -> Vec<String> {
    let mut names: Vec<String> = requirements(text).into_iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
}

/// The packages in Depends and Imports, each with what stands in parentheses after it, without R itself.
pub fn requirements(text: &str) -> Vec<(String, String)> {
    ["Depends", "Imports"]
        .iter()
        .filter_map(|name| field(text, name))
        .flat_map(|value| {
            let items = value.split(',').map(|item| {
                let (name, version) = item.split_once('(').unwrap_or((item, ""));
                (name.trim().to_owned(), version.trim().trim_end_matches(')').to_owned())
            });
            items.collect::<Vec<_>>()
        })
        .filter(|(name, _)| !name.is_empty() && name != "R")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_needs_are_read() {
        let text = "Package: Matrix\nDepends: R (>= 3.5.0)\nImports: methods, graphics,\n  grid (>= 1.0),\n\tstats\nSuggests: expm\n";
        assert_eq!(field(text, "Package").as_deref(), Some("Matrix"));
        assert_eq!(needs(text), ["graphics", "grid", "methods", "stats"]);
        assert_eq!(field(text, "Built"), None);
        assert_eq!(needs(""), [""; 0]);
        assert!(requirements(text).contains(&("grid".to_owned(), ">= 1.0".to_owned())));
    }
}
