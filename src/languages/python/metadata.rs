//! What METADATA files say of distributions (Core metadata specifications): version, license, bills of materials.

use super::normalized;
use crate::languages::{Metadata, PackageSource};
use crate::licenses::{self, License};

/// A longer field is not the name of a license but its text, in characters.
const LONGEST_NAME: usize = 120;

/// Reads a METADATA file; `directory` is the name that the metadata's directory has for the distribution.
pub(super) fn metadata(directory: &str, text: &str) -> Metadata {
    let name = fields(text, "Name").next().unwrap_or(directory).to_owned();
    Metadata {
        version: fields(text, "Version").next().map(ToOwned::to_owned),
        license: license(text),
        source: PackageSource {
            kind: "pypi",
            namespace: None,
            name: normalized(&name),
        },
        bills: Vec::new(),
        name,
    }
}

/// The lines of the headers, which end at an empty line; one of spaces belongs to the header before it.
pub(super) fn headers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| !line.is_empty())
}

/// The values of a header, in order.
fn fields<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers(text)
        .filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// The license expression, else the field that people write by hand, else the classifiers.
fn license(text: &str) -> License {
    if let Some(expression) = fields(text, "License-Expression").next() {
        return License::declared(expression);
    }
    let is_name =
        |license: &&str| !license.is_empty() && *license != "UNKNOWN" && license.chars().count() <= LONGEST_NAME;
    let by_hand = fields(text, "License").next().filter(is_name).map(License::declared);
    if let Some(license) = by_hand.as_ref().filter(|license| license.expression.is_some()) {
        return license.clone();
    }
    // A license's whole text begins with any line, such as who holds the copyright.
    let is_named = by_hand.is_some() && !goes_on(text, "License");
    let classifiers: Vec<&str> = fields(text, "Classifier")
        .filter_map(|classifier| classifier.strip_prefix("License ::"))
        .filter_map(|classifier| classifier.rsplit("::").next())
        .map(str::trim)
        .filter(|name| *name != "OSI Approved")
        .collect();
    let expressions: Option<Vec<String>> = classifiers.iter().map(|name| licenses::expression(name)).collect();
    // Several classifiers do not say whether all of them hold or one.
    let expression = expressions.filter(|all| all.len() == 1).map(|all| all.join(""));
    let of_classifiers = (!classifiers.is_empty()).then(|| classifiers.join(", "));
    let by_hand = by_hand.and_then(|license| license.declared);
    License {
        declared: if is_named {
            by_hand.or(of_classifiers)
        } else {
            of_classifiers.or(by_hand)
        },
        expression,
    }
}

/// Whether the value of a header goes on in the line after it.
fn goes_on(text: &str, name: &str) -> bool {
    let mut lines = headers(text);
    let is_header = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
    lines.by_ref().any(is_header) && lines.next().is_some_and(|line| line.starts_with([' ', '\t']))
}

/// A list of the files of a distribution without their digests and lengths, which nothing reads when a function runs (Python packaging
/// user guide, "Recording installed projects": both may be left out). `None` if it cannot be read, or is that short already.
pub(super) fn without_digests(record: &[u8]) -> Option<Vec<u8>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(record);
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in reader.records() {
        let row = row.ok()?;
        writer.write_record([row.get(0)?, "", ""]).ok()?;
    }
    let short = writer.into_inner().ok()?;
    (short.len() < record.len()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_precise_field_says_the_license() {
        for (fields, declared, expression) in [
            (
                "License-Expression: BSD-3-Clause AND MIT\nLicense: x",
                Some("BSD-3-Clause AND MIT"),
                Some("BSD-3-Clause AND MIT"),
            ),
            (
                "License: The MIT License (MIT)",
                Some("The MIT License (MIT)"),
                Some("MIT"),
            ),
            (
                "License: BSD\nClassifier: License :: OSI Approved :: BSD License",
                Some("BSD"),
                None,
            ),
            (
                "Classifier: License :: OSI Approved :: MIT License",
                Some("MIT License"),
                Some("MIT"),
            ),
            (
                "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: Apache Software License",
                Some("MIT License, Apache Software License"),
                None,
            ),
            ("License: UNKNOWN", None, None),
            (
                "License: Copyright (c) 2001 X.\n        All rights reserved.\n        \n        Redistribution and\nClassifier: License :: OSI Approved :: BSD License",
                Some("BSD License"),
                None,
            ),
            (
                "License: MIT\n        Permission is hereby granted",
                Some("MIT"),
                Some("MIT"),
            ),
            ("License: X license\n        of two lines", Some("X license"), None),
            ("Summary: x\n\nLicense: MIT", None, None),
        ] {
            let found = metadata("x", &format!("Name: X_y\nVersion: 1.0\n{fields}\n"));
            assert_eq!(found.license.declared.as_deref(), declared, "{fields}");
            assert_eq!(found.license.expression.as_deref(), expression, "{fields}");
            assert_eq!((found.name.as_str(), found.source.name.as_str()), ("X_y", "x-y"));
        }
    }

    /// The csv module of Python reads the same paths from both.
    #[test]
    fn lists_of_files_lose_their_digests() {
        let record = b"a.py,sha256=AbC,12\n\"b,c.py\",sha256=AbC,1\nd-1.dist-info/RECORD,,\n";
        let short = without_digests(record).unwrap();
        assert_eq!(short, b"a.py,,\n\"b,c.py\",,\nd-1.dist-info/RECORD,,\n");
        assert_eq!(without_digests(&short), None);
        assert_eq!(without_digests(b"\xff\xfe,,"), None);
    }
}
