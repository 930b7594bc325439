use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::check::lifecycle_finding;
use crate::config::Project;
use crate::finding::any_error;
use crate::languages::place::{Placed, place};
use crate::limits;
use crate::loader::LoadedTree;
use crate::manifest::{Effort, Manifest, UploadRoute};
use crate::pack::{CacheDirectory, CapacityReport, Limits, Options, Packed, Previous, Timestamp};
use crate::plan::{self, AddBootstrap, Plan, Symlinks};
use crate::provenance::PROVENANCE_NAME;
use crate::report::{self, html};
use crate::root::Root;
use crate::runtime::Runtime;
use crate::sbom::{Bill, Described, collect, contents, text_at};
use crate::scan::{Scan, scan, scan_following_links};
use crate::size::{Bytes, exact};
use crate::tree::{Tree, TreePath};

use super::arguments::{Global, PlanOptions, whole_number};
use super::clock::today;
use super::complete;
use super::format::{DocumentFormat, FormatOption, ReportFile, check_files, is_stdout, stdout_formats, write_files};
use super::inputs::{DEFAULT_OUTPUT, TreeDirectory};
use super::layers::{license_findings, settle};
use super::output::{Failure, Output, Status, error, tell};
use super::pack_job::{PackFailure, PackJob};
use super::progress::Terminal;
use super::prove::{UsedOptions, prove};
use super::provenance::{BuiltLayers, GivenOptions, SourceDate, StatementFile};
use super::sbom::{Standard, subject};

/// Prune a tree, add the libraries that are missing on Lambda, and pack it into the fewest zips
///
/// The tree itself is never changed.
///
/// Exit status: 0 if the layers will run, 1 if they will not or do not fit, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune pack /opt
  lambdar-prune pack /opt --with-bootstrap --r-packages jsonlite,mgcv
  lambdar-prune pack python --runtime python3.13 -o layers --report json=pack.json
  lambdar-prune pack /opt --via s3 --reserve 20MB
  lambdar-prune pack /opt --used recording.json --rest rest --prove

Environment variables:
  SOURCE_DATE_EPOCH  date of the entries, in seconds since 1970 [default: 1980-01-01]
  XDG_CACHE_HOME     parent of the cache directory [default: ~/.cache]")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    // The others take their values away: it comes first.
    #[command(flatten)]
    given: GivenOptions,
    /// Directory in which the runtime was built, or an image, as in image.tar:/opt [default: /opt]
    tree: Option<PathBuf>,
    /// Maximum size of a zip: 50MB is 50,000,000 bytes, 50MiB is 52,428,800 [default: 50MB, and 4 GiB with --via s3]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    max: Option<Bytes>,
    /// Maximum number of layers
    #[arg(long, value_name = "N", default_value_t = 5, allow_negative_numbers = true, value_parser = whole_number(1, u16::MAX))]
    max_layers: u16,
    /// Maximum unzipped size of all layers together [default: 262143999 bytes, Lambda's limit]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    max_unzipped: Option<Bytes>,
    /// Unzipped size to reserve for the function and its other layers [default: 0]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, value_parser = Bytes::parse_or_zero)]
    reserve: Option<Bytes>,
    /// How the layers are uploaded to AWS
    #[arg(long, value_enum, default_value_t = Upload::Direct, value_name = "HOW")]
    via: Upload,
    /// Directory for layer-1.zip, layer-2.zip, … and layers.json [default: layers]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write the report in another format to a file, or to stdout without a file; can be repeated
    #[arg(long, value_name = "FORMAT[=FILE]", add = ArgValueCompleter::new(complete::report_files::<DocumentFormat>))]
    report: Vec<ReportFile<DocumentFormat>>,
    #[command(flatten)]
    format: FormatOption<DocumentFormat>,
    /// Write a bill of materials of the layers [default file: sbom.cdx.json or sbom.spdx.json in the output directory]
    #[arg(long, value_name = "cyclonedx|spdx[=FILE]", value_parser = bill, add = ArgValueCompleter::new(complete::report_files::<Standard>))]
    sbom: Vec<ReportFile<Standard>>,
    /// Write what the layers were made from, as an unsigned in-toto statement with SLSA provenance, for `verify`
    /// [default file: provenance.intoto.json in the output directory]
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = PROVENANCE_NAME,
        value_parser = StatementFile::parse
    )]
    provenance: Option<StatementFile>,
    #[arg(skip)]
    source_date: SourceDate,
    /// How to pack symbolic links
    #[arg(long, value_enum, default_value_t = Links::Keep, value_name = "HOW")]
    symlinks: Links,
    /// Pack the modules of the runtime's language where it looks for them, such as python/; the tree is not changed
    #[arg(long)]
    place: bool,
    /// Add byte code for Python modules that have none for the runtime's version, with a Python of that version on this machine:
    /// the first imports of a function are then several times faster
    #[arg(long)]
    compile: bool,
    /// Keep debug information and static symbol tables in programs and libraries
    #[arg(long)]
    no_strip: bool,
    /// Keep R's lazy-load databases as they are; by default, they are recompressed with LZMA2, which R reads as well
    #[arg(long)]
    no_recompress: bool,
    /// Keep duplicate files; by default, they become links to one of them where no program can tell
    #[arg(long)]
    no_dedupe: bool,
    /// How hard to compress
    #[arg(long, value_enum, default_value_t = Level::Best, value_name = "LEVEL")]
    effort: Level,
    /// Keep each file in the layer that this layers.json has it in, unless that needs another layer, so that layers stay the
    /// same; `none` ignores earlier layers [default: layers.json in the output directory]
    #[arg(long, value_name = "FILE|none")]
    previous: Option<PathBuf>,
    /// Add a bootstrap that makes R a Lambda runtime, as `lambdar-prune bootstrap` does; the tree is not changed
    #[arg(long)]
    with_bootstrap: bool,
    /// Home directory of the R to start if the tree has several, such as R/lib/R or /opt/R/lib/R
    #[arg(long, value_name = "DIR", requires = "with_bootstrap")]
    r_home: Option<String>,
    #[command(flatten)]
    used: UsedOptions,
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
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GB",
        allow_negative_numbers = true,
        conflicts_with = "no_cache"
    )]
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
    /// Through an S3 bucket, for zips that are too large for a request: of up to 4 GiB
    S3,
}

impl Arguments {
    /// The same command, to be compared with layers that were packed earlier: into another directory, by the date that those
    /// have, without what is left of earlier runs but the manifest to keep to.
    pub(super) fn again(mut self, output: PathBuf, previous: Option<PathBuf>, source_date: Option<i64>) -> Self {
        self.output = Some(output);
        self.previous = Some(previous.unwrap_or_else(|| "none".into()));
        self.source_date = SourceDate::Fixed(source_date);
        self.cache.no_cache = true;
        self.provenance = Some(StatementFile::NextToLayers);
        self
    }

    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let formats = stdout_formats(self.format.given(), &self.report, DocumentFormat::Table)?;
        let project = global.project()?;
        let opened = global.open_tree(self.tree.as_deref(), progress)?;
        self.can_pack(&opened)?;
        let directory = opened.path();
        let options = self.options(&project)?;
        self.check_documents(&options.output)?;
        for warning in beyond_lambda(&options.limits, self.max_unzipped) {
            global.warn(&warning);
        }
        let reading = opened.only_reading(progress);
        let selected = self.planning.rules.select(global)?;
        if let Previous::File(path) = &options.previous {
            settle(std::slice::from_ref(path), global)?;
        }
        options.check(directory)?;
        let mut scan = self.scanned(directory, progress)?;
        let runtime = global.runtime_with(&scan.tree, &self.planning.environment)?;
        let placed = self.placed(&mut scan, &runtime, global)?;
        let loaded = LoadedTree::of(Root {
            tree: &scan.tree,
            runtime: &runtime,
        });
        let mut job = PackJob {
            directory,
            options,
            scan: &scan,
            placed: &placed,
            loaded: &loaded,
            planning: &self.planning,
            planning_options: self.plan_options(),
            selected,
            project,
            compile: self.compile,
            rest: self.used.rest.as_deref(),
            global,
            progress,
            temporary: opened.temporary(),
        };
        drop(reading);
        let packed = if self.used.prove {
            prove(&mut job, &self.used)
        } else {
            job.pack()
        };
        let (plan, mut packed) = match packed {
            Err(PackFailure::OverCapacity(over_capacity, plan)) => {
                let planned = (&scan.tree, &*plan);
                return self.over_capacity(&over_capacity, &formats, planned, &opened.name(), global);
            }
            Err(PackFailure::Other(failure)) => return Err(failure),
            Ok(packed) => packed,
        };
        let denied = &global.config()?.policy.licenses;
        let licenses = license_findings(denied, std::slice::from_ref(&job.options.output), progress)?;
        packed.findings.extend(licenses);
        self.write_documents(&opened.name(), &plan, &packed.manifest, &job)?;
        self.output(packed, &job.options, &formats, (&scan.tree, &plan), global)
    }

    /// Refuses documents that cannot be written, before anything is packed.
    fn check_documents(&self, output: &Path) -> Result<(), Failure> {
        let reports = self.report.iter().filter_map(|report| report.file.clone());
        let bills = self.sbom.iter().map(|bill| bill_file(bill, output));
        let statement = self.provenance.iter().map(|statement| statement.path(output));
        let files: Vec<PathBuf> = reports.chain(bills).chain(statement).collect();
        check_files(files.iter().map(PathBuf::as_path), Some(output))
    }

    /// Rejects trees that should not be packed.
    fn can_pack(&self, opened: &TreeDirectory) -> Result<(), Failure> {
        let directory = opened.path().canonicalize();
        let refusal = if directory.is_ok_and(|directory| directory.parent().is_none()) {
            "/ is the whole system: did you mean /opt? Name the directory in which the runtime was built"
        } else if opened.is_image() && matches!(self.symlinks, Links::FollowAll) {
            "--symlinks follow-all would follow links of the image to files of this machine; use follow"
        } else {
            return Ok(());
        };
        Err(Failure::Error(refusal.to_owned()))
    }

    /// Writes what is asked for beside the layers: bills of materials, and what the layers were made from.
    fn write_documents(&self, tree: &str, plan: &Plan, manifest: &Manifest, job: &PackJob<'_>) -> Result<(), Failure> {
        self.write_bills(manifest, job)?;
        let Some(file) = &self.provenance else { return Ok(()) };
        let made = BuiltLayers {
            tree,
            job,
            plan,
            manifest,
            source_date: self.source_date.seconds()?,
            given: &self.given,
        };
        made.write(file)
    }

    /// Writes the bills of materials that are asked for. The digests are those of what is in the zips; what describes packages
    /// is read in the tree, because rules may have removed it.
    fn write_bills(&self, manifest: &Manifest, job: &PackJob<'_>) -> Result<(), Failure> {
        if self.sbom.is_empty() {
            return Ok(());
        }
        let output = &job.options.output;
        let reading = job.only_reading();
        let written = contents(std::slice::from_ref(output), job.progress)?;
        let text = |path: &TreePath| text_at(&job.directory.join(job.placed.origin(path).as_str()));
        let components = collect(Described {
            tree: &written.tree,
            source: &job.scan.tree,
            text: &text,
            hashes: &written.hashes,
            embedded: &written.embedded,
            added: &manifest.added,
            changed: &manifest.changed,
        });
        let name = subject(manifest);
        let bill = Bill::new(&name, &manifest.layers, components, self.source_date.seconds()?);
        drop(reading);
        for report in &self.sbom {
            fs_err::write(bill_file(report, output), report.format.render(&bill))
                .map_err(|error| Failure::Error(format!("cannot write the bill of materials: {error}")))?;
        }
        Ok(())
    }

    fn plan_options(&self) -> plan::Options {
        plan::Options {
            symlinks: match self.symlinks {
                Links::Keep => Symlinks::Keep,
                Links::Follow | Links::FollowAll => Symlinks::Follow,
            },
            bootstrap: self.with_bootstrap.then(|| AddBootstrap {
                home: self.r_home.clone(),
            }),
            dedupe: !self.no_dedupe,
            ..plan::Options::default()
        }
    }

    /// The report of layers that were not written because they do not fit.
    fn over_capacity(
        &self,
        over_capacity: &CapacityReport,
        formats: &[DocumentFormat],
        (tree, plan): (&Tree, &Plan),
        name: &str,
        global: &Global,
    ) -> Result<Output, Failure> {
        error(&over_capacity.to_string());
        let render = |format: &DocumentFormat, options| {
            format.render(
                over_capacity,
                || report::over_capacity(over_capacity, options),
                || html::over_capacity_page(over_capacity, tree, plan, name),
            )
        };
        write_files(&self.report, |format| render(format, global.plain_options()))?;
        Ok(Output {
            text: formats
                .iter()
                .map(|format| render(format, global.render_options()))
                .collect(),
            status: Status::No,
        })
    }

    /// The tree, with what links lead to out of it where that is asked for.
    fn scanned(&self, directory: &Path, progress: &Terminal) -> Result<Scan, Failure> {
        Ok(match self.symlinks {
            Links::FollowAll => scan_following_links(directory, progress)?,
            Links::Keep | Links::Follow => scan(directory, progress)?,
        })
    }

    /// With `--place`, the tree with the modules of languages moved to where the runtime looks for them.
    fn placed(&self, scan: &mut Scan, runtime: &Runtime, global: &Global) -> Result<Placed, Failure> {
        if !self.place {
            return Ok(Placed::default());
        }
        let placed = place(&scan.tree, runtime)?;
        scan.tree.clone_from(&placed.tree);
        for (from, to) in &placed.moves {
            global.note(&format!("packed the modules of {} as {to}", from.on_lambda()));
        }
        Ok(placed)
    }

    /// The report of layers that were written.
    fn output(
        &self,
        mut packed: Packed,
        options: &Options,
        formats: &[DocumentFormat],
        (tree, plan): (&Tree, &Plan),
        global: &Global,
    ) -> Result<Output, Failure> {
        packed
            .findings
            .extend(lifecycle_finding(&packed.manifest.runtime, today()?));
        packed.findings.sort();
        let (findings, allowed) = global.config()?.policy.levels.apply(packed.findings);
        packed.findings = findings;
        // Unlike in layers.json, which says what there is to say of the tree, all that was found.
        packed.manifest.findings.clone_from(&packed.findings);
        // A cache that the user did not ask for is not missed.
        let cache_note = packed.cache_note.as_ref();
        let cache_note = cache_note.filter(|_| global.verbose || self.cache.cache.is_some());
        let notes = packed.previous_note.iter().chain(cache_note);
        for note in notes.chain(&packed.layer_notes).chain(&packed.mode_notes) {
            global.note(note);
        }
        let name = options.output.display().to_string();
        let render = |format: &DocumentFormat, options| match format {
            DocumentFormat::Json => packed.manifest.to_json(),
            DocumentFormat::Table => report::packed(&packed, &allowed, &name, options),
            DocumentFormat::Html => html::packed_page(&packed, &allowed, tree, plan, &name),
        };
        write_files(&self.report, |format| render(format, global.plain_options()))?;
        let text: String = formats
            .iter()
            .map(|format| render(format, global.render_options()))
            .collect();
        if !formats.contains(&DocumentFormat::Table) && any_error(&packed.findings) {
            // The document is for programs: people are told why it is not well.
            tell(report::finding_lines(&packed.findings, global.plain_options()).trim_end());
        }
        let is_proven = packed.manifest.proof.as_ref().is_none_or(|proof| proof.ok);
        Ok(Output {
            text,
            status: Status::yes_or_no(is_proven && !any_error(&packed.findings)),
        })
    }

    fn options(&self, project: &Project) -> Result<Options, Failure> {
        let output = self.output.clone().or_else(|| project.output.clone());
        Ok(Options {
            limits: self.limits(project)?,
            output: output.unwrap_or_else(|| DEFAULT_OUTPUT.into()),
            layers: project.layers.clone(),
            timestamp: self
                .source_date
                .seconds()?
                .map_or(Timestamp::EARLIEST, Timestamp::from_unix),
            strip: !self.no_strip,
            recompress: !self.no_recompress && self.effort != Level::Fast,
            effort: self.effort.into(),
            previous: match &self.previous {
                None => Previous::InOutput,
                Some(path) if path.as_os_str() == "none" => Previous::Afresh,
                Some(path) => Previous::File(path.clone()),
            },
            cache: self.cache.directory(),
            rest: None,
            licenses: Vec::new(),
        })
    }

    fn limits(&self, project: &Project) -> Result<Limits, Failure> {
        let via = match self.via {
            Upload::Direct => UploadRoute::Direct,
            Upload::S3 => UploadRoute::S3,
        };
        let all = self.max_unzipped.unwrap_or(Limits::DEFAULT.unzipped);
        let reserve = self.reserve.or(project.reserve).unwrap_or_default();
        let unzipped = all.0.checked_sub(reserve.0).filter(|left| *left > 0).ok_or_else(|| {
            Failure::Error(format!(
                "--reserve {reserve} leaves nothing of the unzipped limit of {all}; reserve less"
            ))
        })?;
        Ok(Limits {
            max: self.max.or(project.max).unwrap_or(match via {
                UploadRoute::Direct => Limits::DEFAULT.max,
                UploadRoute::S3 => Bytes(limits::ZIP_BYTES),
            }),
            layers: self.max_layers.into(),
            unzipped: Bytes(unzipped),
            via,
        })
    }
}

/// Where a bill of materials goes: to the file that is named, else under its usual name next to the layers.
fn bill_file(bill: &ReportFile<Standard>, output: &Path) -> PathBuf {
    let usual = || output.join(bill.format.file_name());
    bill.file.clone().unwrap_or_else(usual)
}

/// Reads the value of `--sbom`. Stdout has the report.
fn bill(text: &str) -> Result<ReportFile<Standard>, String> {
    if text.split_once('=').is_some_and(|(_, file)| is_stdout(file)) {
        return Err("stdout has the report: name a file, or print it with `lambdar-prune sbom`".to_owned());
    }
    text.parse()
}

/// Limits that are higher than Lambda's, so that layers within them may be refused.
fn beyond_lambda(chosen: &Limits, max_unzipped: Option<Bytes>) -> Vec<String> {
    let mut warnings = Vec::new();
    if chosen.via == UploadRoute::Direct && chosen.max.0 > limits::ZIPPED_BYTES {
        warnings.push(format!(
            "AWS refuses zips of more than {} bytes in a request: use a smaller --max, or --via s3 to upload through a bucket",
            exact(limits::ZIPPED_BYTES)
        ));
    }
    if chosen.layers > limits::LAYERS {
        warnings.push(format!(
            "a function can have {} layers: --max-layers {} allows more",
            limits::LAYERS,
            chosen.layers
        ));
    }
    if let Some(unzipped) = max_unzipped.filter(|unzipped| unzipped.0 >= limits::UNZIPPED_BYTES) {
        warnings.push(format!(
            "Lambda refuses {} bytes and more unzipped: --max-unzipped {} allows more",
            exact(limits::UNZIPPED_BYTES),
            exact(unzipped.0)
        ));
    }
    warnings
}
