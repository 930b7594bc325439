//! Where a finding is, in the words that the forms for machines share.

use crate::finding::Finding;
use crate::tree::path::escaped;

/// A finding's place as one path: that in the zip behind the zip's name, or that of the merged layers behind `opt`.
pub(super) fn path(finding: &Finding) -> String {
    let root = finding.layer.as_deref().unwrap_or("opt");
    let path = finding.path.as_deref().unwrap_or_default();
    let whole = format!("{root}/{path}");
    escaped(whole.trim_end_matches('/').as_bytes())
}

/// What a finding is about, for people: a layer, a path in it, or everything.
pub(super) fn shown(finding: &Finding) -> String {
    let places: Vec<String> = [&finding.layer, &finding.path]
        .into_iter()
        .flatten()
        .map(|place| escaped(place.as_bytes()))
        .collect();
    places.join(": ")
}
