//! Budgets: how large layers and components may be, and how much they may grow.

use globset::{GlobMatcher, GlobSet};

use crate::finding::{Code, Finding};
use crate::inventory::{Inventory, Item, Sizes};
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;

/// How many components are named when something has grown too much.
const GROWERS: usize = 10;

/// One `[[budget]]`.
#[derive(Debug, Clone)]
pub struct Budget {
    /// What it is for.
    pub scope: Scope,
    /// Paths that do not count.
    pub except: GlobSet,
    /// The most bytes in zips.
    pub max_zipped: Option<Bytes>,
    /// The most bytes unzipped.
    pub max_unzipped: Option<Bytes>,
    /// The most growth since the baseline.
    pub max_growth: Option<Growth>,
    /// The file and line that have it.
    pub place: String,
}

/// What a budget is for.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Everything together.
    Everything,
    /// Each zip whose file name matches.
    Layers(GlobMatcher),
    /// All components together whose names match.
    Components(GlobMatcher),
}

/// How much something may grow: it grew too much if it is past both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// In percent of what it was.
    pub percent: f64,
    /// In bytes.
    pub bytes: Bytes,
}

/// What one budget limits in one inventory.
struct Subject {
    what: String,
    layer: Option<String>,
    sizes: Sizes,
}

/// The findings of all budgets for an inventory.
pub fn judge(budgets: &[Budget], now: &Inventory, baseline: Option<&Inventory>) -> Vec<Finding> {
    budgets.iter().flat_map(|budget| budget.judge(now, baseline)).collect()
}

impl Growth {
    fn is_exceeded(self, before: Bytes, after: Bytes) -> bool {
        let grown = after.0.saturating_sub(before.0);
        grown > self.bytes.0 && as_float(grown) * 100.0 > self.percent * as_float(before.0)
    }
}

#[allow(clippy::cast_precision_loss, reason = "sizes of layers are far below 2^53 bytes")]
fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

impl Budget {
    fn judge(&self, now: &Inventory, baseline: Option<&Inventory>) -> Vec<Finding> {
        let subjects = self.subjects(now);
        let mut findings = Vec::new();
        let mut unused = |why: &str| {
            findings.push(Finding::new(
                Code::UnusedBudget,
                &[("place", &self.place), ("why", why)],
            ));
        };
        if subjects.is_empty() {
            unused(&match &self.scope {
                Scope::Layers(glob) => format!("no layer is called '{}'", glob.glob()),
                Scope::Components(glob) => format!("no component is called '{}'", glob.glob()),
                Scope::Everything => "there is nothing".to_owned(),
            });
        } else if self.max_zipped.is_some() && subjects.iter().any(|subject| subject.sizes.zipped.is_none()) {
            unused("how large a tree will be in zips is not known before it is packed");
        }
        let baseline = baseline.map(|baseline| (baseline, self.subjects(baseline)));
        if self.max_growth.is_some() && baseline.is_none() {
            unused("there is no baseline to grow from; give one with --baseline");
        }
        for subject in &subjects {
            let measures = [
                ("zipped", subject.sizes.zipped, self.max_zipped),
                ("unzipped", Some(subject.sizes.unzipped), self.max_unzipped),
            ];
            for (measure, size, limit) in measures {
                if let Some((size, limit)) = size.zip(limit)
                    && size > limit
                {
                    findings.push(
                        Finding::new(
                            Code::OverBudget,
                            &[
                                ("bytes", &exact(size.0)),
                                ("measure", measure),
                                ("place", &self.place),
                                ("limit", &exact(limit.0)),
                                ("what", &subject.what),
                            ],
                        )
                        .in_layer(subject.layer.as_deref()),
                    );
                }
            }
            if let (Some(limit), Some((baseline, before))) = (self.max_growth, &baseline) {
                let before = before.iter().find(|other| other.layer == subject.layer);
                // What was not there has grown from nothing.
                let before = before.map_or(Sizes::NOTHING, |before| before.sizes);
                findings.extend(self.growth(limit, subject, before, (baseline, now)));
            }
        }
        findings
    }

    /// What this budget is for, with the sizes of what counts.
    fn subjects(&self, inventory: &Inventory) -> Vec<Subject> {
        match &self.scope {
            Scope::Everything => {
                let sizes = self.without_exceptions(inventory.total(), inventory.items.iter());
                vec![Subject {
                    what: "everything together".to_owned(),
                    layer: None,
                    sizes,
                }]
            }
            Scope::Layers(glob) => inventory
                .layers
                .iter()
                .filter(|layer| {
                    // Zips of the same name have their directories in front.
                    let name = layer.file.rsplit('/').next().unwrap_or(&layer.file);
                    glob.is_match(&layer.file) || glob.is_match(name)
                })
                .map(|layer| {
                    let items = inventory
                        .items
                        .iter()
                        .filter(|((file, _), _)| file.as_ref() == Some(&layer.file));
                    let sizes = Sizes {
                        zipped: Some(layer.zipped_bytes),
                        unzipped: layer.unzipped_bytes,
                    };
                    Subject {
                        what: "the layer".to_owned(),
                        layer: Some(layer.file.clone()),
                        sizes: self.without_exceptions(sizes, items),
                    }
                })
                .collect(),
            Scope::Components(glob) => {
                let matching: Vec<&Item> = inventory
                    .items
                    .iter()
                    .filter(|((_, path), item)| glob.is_match(&item.component) && !self.is_excepted(path))
                    .map(|(_, item)| item)
                    .collect();
                if matching.is_empty() {
                    return Vec::new();
                }
                vec![Subject {
                    what: format!("component {}", escaped(glob.glob().glob().as_bytes())),
                    layer: None,
                    sizes: matching.into_iter().map(|item| item.sizes).sum(),
                }]
            }
        }
    }

    fn is_excepted(&self, path: &str) -> bool {
        self.except.is_match(path.trim_end_matches('/'))
    }

    fn without_exceptions<'a>(
        &self,
        sizes: Sizes,
        items: impl Iterator<Item = (&'a (Option<String>, String), &'a Item)>,
    ) -> Sizes {
        let excepted: Sizes = items
            .filter(|((_, path), _)| self.is_excepted(path))
            .map(|(_, item)| item.sizes)
            .sum();
        let less = |a: Bytes, b: Bytes| Bytes(a.0.saturating_sub(b.0));
        Sizes {
            zipped: sizes.zipped.zip(excepted.zipped).map(|(a, b)| less(a, b)),
            unzipped: less(sizes.unzipped, excepted.unzipped),
        }
    }

    /// The findings on growth past the limit.
    fn growth(
        &self,
        limit: Growth,
        subject: &Subject,
        before: Sizes,
        (baseline, now): (&Inventory, &Inventory),
    ) -> Vec<Finding> {
        type Measure = fn(&Sizes) -> Option<Bytes>;
        let measures: [(&str, Measure); 2] = [
            ("zipped", |sizes| sizes.zipped),
            ("unzipped", |sizes| Some(sizes.unzipped)),
        ];
        let mut findings = Vec::new();
        for (measure, size) in measures {
            let Some((before, after)) = size(&before).zip(size(&subject.sizes)) else {
                continue;
            };
            if !limit.is_exceeded(before, after) {
                continue;
            }
            let percent = if before == Bytes(0) {
                String::new()
            } else {
                format!(
                    ", by {:.1} %",
                    as_float(after.0 - before.0) * 100.0 / as_float(before.0)
                )
            };
            findings.push(
                Finding::new(
                    Code::GrownTooMuch,
                    &[
                        ("before", &exact(before.0)),
                        ("after", &exact(after.0)),
                        ("measure", measure),
                        ("percent", &percent),
                        ("place", &self.place),
                        (
                            "limit",
                            &format!("{} % and {} bytes", limit.percent, exact(limit.bytes.0)),
                        ),
                        ("what", &subject.what),
                        ("growers", &self.growers(subject, baseline, now, size)),
                    ],
                )
                .in_layer(subject.layer.as_deref()),
            );
        }
        findings
    }

    /// The components of a subject that grew most, with their growth in bytes.
    fn growers(
        &self,
        subject: &Subject,
        baseline: &Inventory,
        now: &Inventory,
        size: fn(&Sizes) -> Option<Bytes>,
    ) -> String {
        let counts = |layer: &Option<String>, path: &str, component: &str| {
            (subject.layer.is_none() || *layer == subject.layer)
                && !self.is_excepted(path)
                && match &self.scope {
                    Scope::Components(glob) => glob.is_match(component),
                    Scope::Everything | Scope::Layers(_) => true,
                }
        };
        let mut grown: std::collections::BTreeMap<&str, i128> = std::collections::BTreeMap::new();
        for (inventory, sign) in [(baseline, -1), (now, 1)] {
            for ((layer, path), item) in &inventory.items {
                if counts(layer, path, &item.component) {
                    let bytes = size(&item.sizes).map_or(0, |bytes| i128::from(bytes.0));
                    *grown.entry(&item.component).or_default() += sign * bytes;
                }
            }
        }
        let mut grown: Vec<(&str, i128)> = grown.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        grown.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let named: Vec<String> = grown
            .iter()
            .take(GROWERS)
            .map(|(name, bytes)| {
                let bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
                format!("{} by {}", escaped(name.as_bytes()), exact(bytes))
            })
            .collect();
        named.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_fails_past_percent_and_bytes_alone() {
        let limit = Growth {
            percent: 5.0,
            bytes: Bytes(1_000),
        };
        for (before, after, expected) in [
            (1_000, 2_000, false),         // 100 %, and 1,000 bytes, which is not past 1,000
            (1_000, 2_001, true),          // both
            (100_000, 105_000, false),     // 5 %, which is not past 5 %
            (100_000, 105_001, true),      // both
            (1_000_000, 1_002_000, false), // 0.2 %
            (0, 1_001, true),              // from nothing, only the bytes are left to count
            (0, 1_000, false),
            (5_000, 1, false),
        ] {
            assert_eq!(
                limit.is_exceeded(Bytes(before), Bytes(after)),
                expected,
                "{before} to {after}"
            );
        }
    }
}
