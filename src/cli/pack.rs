use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::check::lifecycle_finding;
use crate::finding::any_error;
use crate::languages::place::{Placed, place};
use crate::limits;
use crate::manifest::{Effort, UploadRoute};
use crate::pack::{CacheDirectory, Limits, Options, PackError, Previous, Timestamp, pack};
use crate::plan::{self, AddBootstrap, Symlinks};
use crate::report;
use crate::scan::{scan, scan_following_links};

use crate::size::Bytes;

use super::arguments::{Format, Global, PlanOptions};
use super::clock::{source_date_epoch, today};
use super::output::{Failure, Output, Status, complain};
use super::progress::Terminal;

/// Prune a tree, add the libraries that are missing on Lambda, and pack it into the fewest zips
///
/// The tree itself is never changed.
///
/// Exit status: 0 if the layers will run, 1 if they will not or do not fit, 2 if something went wrong.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// Directory in which the runtime was built
    #[arg(default_value = "/opt")]
    tree: PathBuf,
    /// Maximum size of a zip: 50MB is 50,000,000 bytes, 50MiB is 52,428,800 [default: 50MB; no limit with --via s3]
    #[arg(long, value_name = "SIZE")]
    max: Option<Bytes>,
    /// Maximum number of layers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    max_layers: u16,
    /// Maximum unzipped size of all layers together [default: 262143999 bytes, Lambda's limit]
    #[arg(long, value_name = "SIZE")]
    max_unzipped: Option<Bytes>,
    /// Unzipped size to reserve for the function and its other layers [default: 0]
    #[arg(long, value_name = "SIZE")]
    reserve: Option<Bytes>,
    /// How the layers are uploaded to AWS
    #[arg(long, value_enum, default_value_t = Upload::Direct, value_name = "HOW")]
    via: Upload,
    /// Directory for layer-1.zip, layer-2.zip, … and layers.json
    #[arg(short, long, value_name = "DIR", default_value = "layers")]
    output: PathBuf,
    /// How to pack symbolic links
    #[arg(long, value_enum, default_value_t = Links::Keep, value_name = "HOW")]
    symlinks: Links,
    /// Pack the modules of the runtime's language where it looks for them, such as python/; the tree is not changed
    #[arg(long)]
    place: bool,
    /// Keep debug information and static symbol tables in programs and libraries
    #[arg(long)]
    no_strip: bool,
    /// Keep files with the same content; by default, those in one directory become links to one of them
    #[arg(long)]
    no_dedupe: bool,
    /// How hard to compress
    #[arg(long, value_enum, default_value_t = Level::Best, value_name = "LEVEL")]
    effort: Level,
    /// Keep each file in the layer that this layers.json has it in, unless that needs another layer, so that layers stay the
    /// same; `none` ignores earlier layers [default: layers.json in the output directory]
    #[arg(long, value_name = "FILE|none")]
    previous: Option<PathBuf>,
    /// Add the files of `lambdar-prune bootstrap`, which make R a Lambda runtime; the tree is not changed
    #[arg(long)]
    with_bootstrap: bool,
    /// Home directory of the R to start if the tree has several, such as R/lib/R or /opt/R/lib/R
    #[arg(long, value_name = "DIR", requires = "with_bootstrap")]
    r_home: Option<String>,
    #[command(flatten)]
    cache: CacheOptions,
    #[command(flatten)]
    planning: PlanOptions,
}

/// The options of the cache of compressed files.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cache of compressed files")]
struct CacheOptions {
    /// Directory of the cache [default: lambdar-prune in the user's cache directory]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Maximum size of the cache; the least recently used files are removed first
    #[arg(long, value_name = "SIZE", default_value = "1GB", conflicts_with = "no_cache")]
    cache_size: Bytes,
    /// Do not use a cache
    #[arg(long)]
    no_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// A fraction of the time, slightly larger
    Fast,
    /// A good balance; like max if that saves a layer
    Best,
    /// The smallest result; takes minutes
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

impl CacheOptions {
    /// The directory of the cache: the one that is named, else that of the user (XDG Base Directory Specification).
    fn directory(&self) -> Option<CacheDirectory> {
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
    /// Keep them as links
    Keep,
    /// Replace each with a copy of its target
    Follow,
    /// As follow, and links out of the tree as well
    FollowAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Upload {
    /// In the request itself, which accepts zips of less than 50MiB
    Direct,
    /// Through an S3 bucket, where only the unzipped size is limited
    S3,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let options = Options {
            limits: self.limits()?,
            output: self.output.clone(),
            timestamp: source_date_epoch()?.map_or(Timestamp::EARLIEST, Timestamp::from_unix),
            strip: !self.no_strip,
            effort: self.effort.into(),
            previous: match &self.previous {
                None => Previous::InOutput,
                Some(path) if path.as_os_str() == "none" => Previous::Afresh,
                Some(path) => Previous::File(path.clone()),
            },
            cache: self.cache.directory(),
        };
        let selected = self.planning.rules.select(global)?;
        let mut scan = match self.symlinks {
            Links::FollowAll => scan_following_links(&self.tree, progress)?,
            Links::Keep | Links::Follow => scan(&self.tree, progress)?,
        };
        let runtime = global.runtime_with(&scan.tree, &self.planning.environment)?;
        let placed = if self.place {
            place(&scan.tree, &runtime)?
        } else {
            Placed::default()
        };
        if self.place {
            scan.tree.clone_from(&placed.tree);
        }
        for (from, to) in &placed.moves {
            global.note(&format!("packed the modules of {} as {to}", from.on_lambda()));
        }
        let symlinks = match self.symlinks {
            Links::Keep => Symlinks::Keep,
            Links::Follow | Links::FollowAll => Symlinks::Follow,
        };
        let planning = plan::Options {
            symlinks,
            bootstrap: self.with_bootstrap.then(|| AddBootstrap {
                home: self.r_home.clone(),
            }),
            dedupe: !self.no_dedupe,
            ..plan::Options::default()
        };
        let (plan, matcher) = self
            .planning
            .plan(&self.tree, &placed, &scan.tree, &runtime, &selected, planning)?;
        let levels = global.config()?.policy.levels;
        let mut packed = match pack(&self.tree, &scan, &plan, &matcher, &runtime, &options, progress) {
            Err(PackError::OverCapacity(over_capacity)) => {
                complain(&over_capacity.to_string());
                return Ok(Output {
                    text: global.render(&over_capacity, |options| report::over_capacity(&over_capacity, options)),
                    status: Status::No,
                });
            }
            packed => packed?,
        };
        packed.findings.extend(lifecycle_finding(&runtime.name, today()?));
        packed.findings.sort();
        let (findings, allowed) = levels.apply(packed.findings);
        packed.findings = findings;
        // A cache that the user did not ask for is not missed.
        let cache_note = packed.cache_note.as_ref();
        let cache_note = cache_note.filter(|_| global.verbose || self.cache.cache.is_some());
        for note in packed.previous_note.iter().chain(cache_note).chain(&packed.mode_notes) {
            global.note(note);
        }
        Ok(Output {
            text: match global.format {
                Format::Json => {
                    // Unlike in layers.json, which says what there is to say of the tree, all that was found.
                    packed.manifest.findings.clone_from(&packed.findings);
                    packed.manifest.to_json()
                }
                Format::Table => report::packed(
                    &packed,
                    &allowed,
                    &self.output.display().to_string(),
                    global.render_options(),
                ),
            },
            status: Status::yes_or_no(!any_error(&packed.findings)),
        })
    }

    fn limits(&self) -> Result<Limits, Failure> {
        let via = match self.via {
            Upload::Direct => UploadRoute::Direct,
            Upload::S3 => UploadRoute::S3,
        };
        let all = self.max_unzipped.unwrap_or(Limits::DEFAULT.unzipped);
        let reserve = self.reserve.unwrap_or_default();
        let unzipped = all.0.checked_sub(reserve.0).filter(|left| *left > 0).ok_or_else(|| {
            Failure::Error(format!(
                "--reserve {reserve} leaves nothing of the unzipped limit of {all}; reserve less"
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
