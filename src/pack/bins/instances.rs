//! Instances with known optima: those of the literature, and our own kind without slack.

#![expect(clippy::print_stdout, reason = "the tables are what these runs are for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::*;

const ITEMS_IN_A_ZIP: usize = 65_535;

/// xorshift64 (Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Items that have a group of their own each.
fn singles(weights: impl IntoIterator<Item = u64>) -> Vec<Item> {
    let groups = (0..).map(GroupId);
    groups
        .zip(weights)
        .map(|(group, weight)| Item {
            group,
            weight,
            reserved: None,
        })
        .collect()
}

/// `items` items that fill `bins` bins to the last unit, in an order that tells nothing. With `skew`, most of them are small.
fn without_slack(items: usize, bins: usize, capacity: u64, skew: bool, random: &mut Random) -> Vec<Item> {
    let mut weights = Vec::new();
    for bin in 0..bins {
        let share = (items * (bin + 1) / bins - items * bin / bins).max(1);
        let mut cuts = vec![0, capacity];
        for _ in 1..share {
            let cut = random.below(capacity - 1) + 1;
            let small = u128::from(cut).pow(3) / u128::from(capacity).pow(2);
            cuts.push(if skew { u64::try_from(small).unwrap() + 1 } else { cut });
        }
        cuts.sort_unstable();
        weights.extend(cuts.windows(2).map(|ends| ends[1] - ends[0]));
    }
    weights.sort_unstable_by_key(|weight| weight.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    singles(weights)
}

fn pack_into(items: &[Item], weight: u64) -> Packing {
    let capacity = Capacity {
        weight,
        items: ITEMS_IN_A_ZIP,
    };
    pack(items, capacity, &[]).unwrap()
}

#[test]
fn bins_without_slack_are_filled() {
    let mut random = Random(1);
    for (items, bins) in [(30, 3), (100, 4), (1000, 2)] {
        for skew in [false, true] {
            let items = without_slack(items, bins, 50_000_000, skew, &mut random);
            let packing = pack_into(&items, 50_000_000);
            assert_eq!(packing.bins.len(), bins, "{} items", items.len());
            assert!(packing.is_optimal());
        }
    }
}

/// Triplets as Falkenauer makes them ("A hybrid grouping genetic algorithm for bin packing", Journal of Heuristics 2, 1996):
/// each bin holds three items of a quarter to a half of it, without slack. Best fit needs several bins more.
#[test]
fn triplets_find_each_other() {
    let mut random = Random(2);
    for bins in [10, 20, 40] {
        let mut weights = Vec::new();
        for _ in 0..bins {
            let first = 380 + random.below(111);
            let second = 250 + random.below((1000 - first) / 2 - 249);
            weights.extend([first, second, 1000 - first - second]);
        }
        let packing = pack_into(&singles(weights), 1000);
        assert_eq!(packing.bins.len(), bins);
        assert!(packing.is_optimal());
    }
}

/// Results of one class of instances.
#[derive(Default)]
struct Tally {
    instances: usize,
    proven: usize,
    one_more: usize,
    slowest: f64,
}

/// Packs the instances of BPPLIB (Delorme, Iori, Martello, "BPPLIB: a library for bin packing and cutting stock problems",
/// Optimization Letters 12, 2018) in the directory that the variable BPPLIB names: one directory for each class, and in each
/// file the number of items, the capacity, and the weights.
#[test]
#[ignore = "set BPPLIB to a directory of instances, and use --release"]
fn bpplib() {
    let root = std::env::var_os("BPPLIB").expect("BPPLIB names the directory of instances");
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut files: Vec<_> = walkdir::WalkDir::new(Path::new(&root))
        .min_depth(2)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .collect();
    files.sort();
    for file in files {
        let text = fs_err::read_to_string(&file).unwrap();
        let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().unwrap());
        let (count, capacity) = (numbers.next().unwrap(), numbers.next().unwrap());
        let items = singles(numbers);
        assert_eq!(items.len() as u64, count, "{}", file.display());
        let start = Instant::now();
        let packing = pack_into(&items, capacity);
        let seconds = start.elapsed().as_secs_f64();
        let class = file
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let more = packing.bins.len() - packing.lower_bound;
        assert!(
            more <= 1,
            "{}: {} bins, bound {}",
            file.display(),
            packing.bins.len(),
            packing.lower_bound
        );
        if class == "falkenauer-t" {
            assert!(packing.lower_bound <= items.len() / 3, "{}", file.display());
        }
        let tally = tallies.entry(class).or_default();
        tally.instances += 1;
        tally.proven += usize::from(more == 0);
        tally.one_more += more;
        tally.slowest = tally.slowest.max(seconds);
    }
    println!(
        "{:14} {:>9} {:>6} {:>8} {:>9}",
        "class", "instances", "proven", "one more", "slowest s"
    );
    for (class, tally) in &tallies {
        let Tally {
            instances,
            proven,
            one_more,
            slowest,
        } = tally;
        println!("{class:14} {instances:9} {proven:6} {one_more:8} {slowest:9.2}");
    }
}

/// Packs 400 instances without slack and shows how many are solved, and how long the slowest takes.
#[test]
#[ignore = "takes a minute with --release"]
fn many_without_slack() {
    const CAPACITY: u64 = 50_000_000;
    let mut random = Random(12345);
    let mut solved_of_all = (0, 0);
    println!("{:>5} {:>9} {:>6} {:>9}", "items", "instances", "solved", "slowest s");
    for count in [10, 20, 30, 50, 75, 100, 200, 500, 1000, 2000] {
        let (mut instances, mut solved, mut slowest) = (0, 0, 0.0_f64);
        for bins in 2..=5 {
            for number in 0..10 {
                let items = without_slack(count, bins, CAPACITY, number % 2 == 1, &mut random);
                let start = Instant::now();
                let packing = pack_into(&items, CAPACITY);
                slowest = slowest.max(start.elapsed().as_secs_f64());
                instances += 1;
                solved += usize::from(packing.bins.len() == bins);
            }
        }
        println!("{count:5} {instances:9} {solved:6} {slowest:9.2}");
        solved_of_all = (solved_of_all.0 + solved, solved_of_all.1 + instances);
    }
    let (solved, all) = solved_of_all;
    println!("{solved} of {all}");
    assert!(solved * 210 >= all * 200);
}
