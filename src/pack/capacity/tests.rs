use super::super::bins::GroupId;
use super::*;
use crate::runtime::{Arch, DEFAULT};

/// An entry: its path, its size zipped and unzipped, and the ids of the disabled rules that match it.
type Entry = (&'static str, u64, u64, &'static str);

/// The paths that each disabled rule would remove.
fn by_rule(entries: &[Entry]) -> Vec<Gain> {
    let mut removed: BTreeMap<&str, BTreeSet<TreePath>> = BTreeMap::new();
    for (path, .., rules) in entries {
        for rule in rules.split_whitespace() {
            removed.entry(rule).or_default().insert(TreePath::new(path).unwrap());
        }
    }
    let gain = |(id, paths): (&str, BTreeSet<TreePath>)| Gain {
        change: Change::Enable {
            id: id.to_owned(),
            category: String::new(),
            breaks: id.to_owned(),
        },
        paths,
    };
    removed.into_iter().map(gain).collect()
}

/// Every entry as a package that can be dropped.
fn by_package(entries: &[Entry]) -> Vec<Gain> {
    let gain = |(path, ..): &Entry| Gain {
        change: Change::Drop {
            component: (*path).to_owned(),
            globs: vec![(*path).to_owned()],
        },
        paths: BTreeSet::from([TreePath::new(path).unwrap()]),
    };
    entries.iter().map(gain).collect()
}

/// The report on entries, and how many layers there would be with the largest zips that a request can carry.
fn report(entries: &[Entry], limits: Limits) -> (Option<CapacityReport>, Option<usize>) {
    let paths: Vec<TreePath> = entries.iter().map(|(path, ..)| TreePath::new(path).unwrap()).collect();
    let candidates: Vec<Candidate<'_>> = entries
        .iter()
        .zip(&paths)
        .map(|((_, zipped, unzipped, _), path)| Candidate {
            path,
            component: path.names().next().unwrap_or_default(),
            item: Item {
                group: GroupId(0),
                weight: *zipped,
                reserved: None,
            },
            unzipped: Bytes(*unzipped),
            stripped: None,
        })
        .collect();
    let items: Vec<Item> = candidates.iter().map(|candidate| candidate.item).collect();
    let packing = bins::pack(&items, limits.capacity(), &[]).ok();
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let layers = packing.as_ref().map_or(0, |packing| packing.bins.len());
    let (rules, packages) = (by_rule(entries), by_package(entries));
    let combination = |changes: &[&Change], suffices: &dyn Fn(&BTreeSet<TreePath>) -> bool| {
        (2..=changes.len()).find_map(|count| {
            let is_in = |gain: &&Gain| changes[..count].contains(&&gain.change);
            let gains = rules.iter().chain(&packages).filter(is_in);
            let going = gains.flat_map(|gain| gain.paths.clone()).collect();
            suffices(&going).then_some((count, going))
        })
    };
    let proposals = Proposals {
        rules: &|| rules.clone(),
        packages: &|| packages.clone(),
        combination: &combination,
    };
    let packing = packing.as_ref();
    (
        over_capacity(&candidates, Known::Exact, packing, &limits, &proposals, &runtime),
        layers_at_limit(&candidates, layers, &limits),
    )
}

#[test]
fn what_keeps_to_the_limits_is_not_reported() {
    let limits = Limits::DEFAULT;
    assert_eq!(report(&[("a/x", 40_000_000, 262_143_999, "")], limits).0, None);
    let (over_capacity, _) = report(&[("a/x", 40_000_000, 262_144_000, "unix-man")], limits);
    let over_capacity = over_capacity.unwrap();
    assert_eq!(
        over_capacity.reasons,
        ["262,144,000 bytes unzipped are more than the 262,143,999 allowed"]
    );
    // Larger zips do not help; leaving it out does.
    assert_eq!(over_capacity.ways, []);
    assert!(over_capacity.rules_off[0].effect.fits == Some(true) && over_capacity.rules_off[0].id == "unix-man");
}

#[test]
fn too_many_layers_and_what_would_help() {
    let forty = |name| (name, 40_000_000, 40_000_000, "");
    let large: Vec<_> = ["a/1", "a/2", "b/1", "b/2", "c/1"].map(forty).to_vec();
    assert_eq!(report(&large, Limits::DEFAULT).0, None);
    let limits = Limits {
        layers: 4,
        ..Limits::DEFAULT
    };
    let over_capacity = report(&large, limits).0.unwrap();
    assert_eq!(over_capacity.reasons, ["5 layers are needed, more than the 4 allowed"]);
    let ways: Vec<_> = over_capacity
        .ways
        .iter()
        .map(|way| (way.option.as_str(), way.layers))
        .collect();
    assert_eq!(ways, [("--via s3", 1)]);
    assert_eq!(over_capacity.components[0].name, "a");
    assert_eq!(over_capacity.components[0].zipped_bytes, Some(Bytes(80_000_000)));
    let mut with_rules = large;
    with_rules[4].3 = "r-recommended unix-man";
    with_rules.push(("c/2", 10, 10, "unix-licenses"));
    let over_capacity = report(&with_rules, limits).0.unwrap();
    let disabled: Vec<_> = over_capacity
        .rules_off
        .iter()
        .map(|rule| (rule.id.as_str(), rule.effect.fits == Some(true)))
        .collect();
    assert_eq!(
        disabled,
        [("r-recommended", true), ("unix-man", true), ("unix-licenses", false)]
    );
}

#[test]
fn what_saves_most_comes_first_with_how_much_is_still_too_much() {
    let limits = Limits {
        unzipped: Bytes(100),
        ..Limits::DEFAULT
    };
    let sizes = [
        ("a", 10, 40, "small"),
        ("b", 5, 60, "large"),
        ("c", 1, 150, ""),
        ("d", 90, 10, "small"),
    ];
    let report = report(&sizes, limits).0.unwrap();
    let rules = report.rules_off.iter();
    let rules: Vec<_> = rules
        .map(|rule| {
            (
                rule.id.as_str(),
                rule.effect.fits,
                rule.effect.too_much_unzipped_bytes.0,
            )
        })
        .collect();
    assert_eq!(rules, [("large", Some(false), 100), ("small", Some(false), 110)]);
    let drops: Vec<_> = report.drops.iter().map(|drop| drop.component.as_str()).collect();
    assert_eq!(drops, ["c", "b", "a", "d"]);
    let combination = report.combination.unwrap();
    assert_eq!(combination.options, ["--enable large", "--enable small", "--drop 'c'"]);
    assert_eq!(combination.effect.fits, Some(true));
}

#[test]
fn a_file_that_is_too_large_alone() {
    let over_capacity = report(
        &[("large", 51_000_000, 60_000_000, ""), ("small", 7, 7, "")],
        Limits::DEFAULT,
    );
    let over_capacity = over_capacity.0.unwrap();
    assert_eq!(
        over_capacity.reasons,
        ["large alone makes a zip of 51,000,022 bytes, more than the 50,000,000 allowed"]
    );
    let ways: Vec<_> = over_capacity.ways.iter().map(|way| way.option.as_str()).collect();
    assert_eq!(ways, ["--max 52428799", "--via s3"]);
    assert_eq!(over_capacity.totals.layers, None);
}

#[test]
fn mebibytes_are_proposed_where_they_save_a_layer() {
    let candidates = |zipped| [("a", zipped, 1, ""), ("b", 26_000_000, 1, "")];
    assert_eq!(report(&candidates(26_000_000), Limits::DEFAULT).1, Some(1));
    assert_eq!(report(&candidates(24_000_000 - 22), Limits::DEFAULT).1, None);
    assert_eq!(report(&candidates(27_000_000), Limits::DEFAULT).1, None);
    let s3 = Limits {
        via: UploadRoute::S3,
        ..Limits::DEFAULT
    };
    assert_eq!(report(&candidates(26_000_000), s3).1, None);
}
