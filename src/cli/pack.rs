use std::path::PathBuf;

use clap::{Args, ValueEnum};

use lambdar_prune::bootstrap;
use lambdar_prune::finding::any_error;
use lambdar_prune::limits;
use lambdar_prune::manifest::{Effort, UploadRoute};
use lambdar_prune::pack::{CacheDirectory, Limits, Options, PackError, Previous, Timestamp, pack};
use lambdar_prune::plan::{Symlinks, dedupe, may_be_shared};
use lambdar_prune::report;
use lambdar_prune::size::Bytes;
use lambdar_prune::tree::scan::{copies, scan};

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Planning, Status, complain};

/// Prune a tree, bring in what Lambda lacks, and pack it into the fewest zips
///
/// The tree itself is never changed. Exit status: 0 if the layers will run, 1 if they will not or do not fit, 2 if
/// something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder in which the runtime was built
    #[arg(default_value = "/opt")]
    tree: PathBuf,
    /// The largest zip: 50MB is 50,000,000 bytes, 50MiB is 52,428,800 [default: 50MB; with --via s3, none but that of all
    /// layers unzipped]
    #[arg(long, value_name = "SIZE")]
    max: Option<Bytes>,
    /// The most layers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    max_layers: u16,
    /// The most that all layers may have unzipped [default: 262143999 bytes, Lambda's limit]
    #[arg(long, value_name = "SIZE")]
    max_unzipped: Option<Bytes>,
    /// What the function and its other layers need of that, unzipped [default: 0]
    #[arg(long, value_name = "SIZE")]
    reserve: Option<Bytes>,
    /// How the layers get to AWS
    #[arg(long, value_enum, default_value_t = Way::Direct, value_name = "WAY")]
    via: Way,
    /// The folder for layer-1.zip, layer-2.zip, … and layers.json
    #[arg(short, long, value_name = "DIR", default_value = "layers")]
    output: PathBuf,
    /// What to do with symbolic links
    #[arg(long, value_enum, default_value_t = Links::Keep, value_name = "HOW")]
    symlinks: Links,
    /// Leave debug information and static symbol tables in programs and libraries
    #[arg(long)]
    no_strip: bool,
    /// Pack files with the same content as they are; unless given, those in one folder become links to one of them
    #[arg(long)]
    no_dedupe: bool,
    /// How hard to compress
    #[arg(long, value_enum, default_value_t = Level::Best, value_name = "LEVEL")]
    effort: Level,
    /// Keep files in the layers that this layers.json has them in, where that costs no layer, so that layers stay the same;
    /// `none` packs afresh [default: the layers.json in the output folder]
    #[arg(long, value_name = "FILE|none")]
    previous: Option<PathBuf>,
    /// Add what `lambdar-prune bootstrap` writes, which makes a Lambda runtime of R; the tree stays as it is
    #[arg(long)]
    with_bootstrap: bool,
    /// The folder of the R to start, where the tree has several: R/lib/R or /opt/R/lib/R
    #[arg(long, value_name = "DIR", requires = "with_bootstrap")]
    r_home: Option<String>,
    #[command(flatten)]
    caching: Caching,
    #[command(flatten)]
    planning: Planning,
}

/// Where compressed files are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compressed files, kept for the next run")]
struct Caching {
    /// Keep them in this folder [default: lambdar-prune in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Keep no more than this; what was used longest ago goes first
    #[arg(long, value_name = "SIZE", default_value = "1GB", conflicts_with = "no_cache")]
    cache_size: Bytes,
    /// Compress everything anew and keep nothing
    #[arg(long)]
    no_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// In a fraction of the time, a little larger
    Fast,
    /// As hard as pays; as hard as possible where that saves a layer
    Best,
    /// As hard as possible, which takes minutes
    Max,
}

impl From<Level> for Effort {
    fn from(level: Level) -> Self {
        match level {
            Level::Fast => Self::Fast,
            Level::Best => Self::Best,
            Level::Max => Self::Max,
        }
    }
}

impl Caching {
    /// The folder for the cache: the one that is named, else that of the user (XDG Base Directory Specification).
    fn folder(&self) -> Option<CacheDirectory> {
        if self.no_cache {
            return None;
        }
        let variable = |name| Some(PathBuf::from(std::env::var_os(name)?)).filter(|path: &PathBuf| path.is_absolute());
        let own = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        let path = match &self.cache {
            Some(path) => path.clone(),
            None => own()?.join("lambdar-prune"),
        };
        Some(CacheDirectory {
            path,
            limit: self.cache_size,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Links {
    /// They stay links
    Keep,
    /// Each becomes a copy of what it leads to
    Follow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// In the request itself, which takes zips of less than 50MiB
    Direct,
    /// Through a bucket, where only the unzipped size is limited
    S3,
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Interrupted(_) => Self::Interrupted,
            PackError::OverCapacity(_) | PackError::Huge(_) => Self::No(error.to_string()),
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let options = Options {
            limits: self.limits()?,
            output: self.output.clone(),
            timestamp: timestamp()?,
            strip: !self.no_strip,
            effort: self.effort.into(),
            previous: match &self.previous {
                None => Previous::InOutput,
                Some(path) if path.as_os_str() == "none" => Previous::Afresh,
                Some(path) => Previous::File(path.clone()),
            },
            cache: self.caching.folder(),
        };
        let chosen = self.planning.choosing.chosen(global)?;
        let scan = scan(&self.tree, progress)?;
        let runtime = global.runtime(&scan.tree)?;
        let symlinks = match self.symlinks {
            Links::Keep => Symlinks::Keep,
            Links::Follow => Symlinks::Follow,
        };
        let (mut plan, matcher) = self
            .planning
            .plan(&self.tree, &scan.tree, &runtime, &chosen, symlinks)?;
        if self.with_bootstrap {
            bootstrap::add(&mut plan, self.r_home.as_deref())?;
        }
        let policy = global.config()?.policy.levels;
        if !self.no_dedupe && symlinks == Symlinks::Keep {
            let same = copies(&self.tree, &plan.kept, |path, file| may_be_shared(&plan, path, file));
            dedupe(&mut plan, &scan.tree, &runtime, &same);
        }
        let mut packed = match pack(&self.tree, &scan, &plan, &matcher, &runtime, &options, progress) {
            Err(PackError::OverCapacity(over_capacity)) => {
                complain(&over_capacity.to_string());
                return Ok(Answer {
                    text: match global.format {
                        Format::Json => report::json(&over_capacity),
                        Format::Table => report::over_capacity(&over_capacity, global.look()),
                    },
                    status: Status::No,
                });
            }
            packed => packed?,
        };
        let (findings, allowed) = policy.apply(packed.findings);
        packed.findings = findings;
        // One that the user did not ask for by name is not missed.
        let cache_note = packed.cache_note.as_ref();
        let cache_note = cache_note.filter(|_| global.verbose || self.caching.cache.is_some());
        for note in packed.previous_note.iter().chain(cache_note) {
            global.note(note);
        }
        Ok(Answer {
            text: match global.format {
                Format::Json => packed.manifest.to_json(),
                Format::Table => report::packed(&packed, &allowed, &self.output.display().to_string(), global.look()),
            },
            status: if any_error(&packed.findings) {
                Status::No
            } else {
                Status::Fine
            },
        })
    }
}

impl Arguments {
    fn limits(&self) -> Result<Limits, Failure> {
        let via = match self.via {
            Way::Direct => UploadRoute::Direct,
            Way::S3 => UploadRoute::S3,
        };
        let all = self.max_unzipped.unwrap_or(Limits::DEFAULT.unzipped);
        let reserve = self.reserve.unwrap_or_default();
        let unzipped = all.0.checked_sub(reserve.0).filter(|left| *left > 0).ok_or_else(|| {
            Failure::Error(format!(
                "--reserve {reserve} leaves nothing of the {all} that are allowed unzipped; reserve less"
            ))
        })?;
        Ok(Limits {
            max: self.max.unwrap_or(match via {
                UploadRoute::Direct => Limits::DEFAULT.max,
                UploadRoute::S3 => Bytes(limits::ZIP_BYTES),
            }),
            layers: self.max_layers.into(),
            unzipped: Bytes(unzipped),
            via,
        })
    }
}

/// The time of every entry: `SOURCE_DATE_EPOCH` where it is set.
fn timestamp() -> Result<Timestamp, Failure> {
    let variable = "SOURCE_DATE_EPOCH";
    match std::env::var(variable) {
        Err(_) => Ok(Timestamp::EARLIEST),
        Ok(text) => text.trim().parse().map(Timestamp::from_unix).map_err(|_| {
            Failure::Error(format!(
                "{variable} is '{text}', which is no number of seconds since 1970; unset it or correct it"
            ))
        }),
    }
}
