use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::manifest::{LayerSummary, Manifest};
use crate::report::{self, Materials};
use crate::sbom::{Bill, Contents, contents};

use super::arguments::Global;
use super::clock::source_date_epoch;
use super::complete;
use super::format::{FormatOption, ReportFile, ReportFormat, on_stdout, write_files};
use super::layers::read_settled;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// List what is in layers: packages and native libraries with versions, licenses, package URLs and digests
///
/// Uses what `pack` recorded: the host packages of added libraries, and how files were changed.
///
/// Exit status: 0, or 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune sbom                                # the layers in the directory layers
  lambdar-prune sbom layers --format cyclonedx > sbom.cdx.json
  lambdar-prune sbom my-layer.zip -o spdx=sbom.spdx.json
  lambdar-prune pack /opt --sbom cyclonedx")]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, a directory of zips, or a tree [default: layers]
    #[arg(value_name = "LAYERS")]
    layers: Vec<PathBuf>,
    #[command(flatten)]
    format: FormatOption<SbomFormat>,
    /// Write the list in another format to a file, or to stdout without a file; can be repeated
    #[arg(short, long, value_name = "FORMAT[=FILE]", add = ArgValueCompleter::new(complete::report_files::<SbomFormat>))]
    output: Vec<ReportFile<SbomFormat>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SbomFormat {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// CycloneDX 1.5 in JSON
    Cyclonedx,
    /// SPDX 2.3 in JSON
    Spdx,
}

impl ReportFormat for SbomFormat {
    fn is_lines(&self) -> bool {
        *self == Self::Table
    }
}

/// The standard forms of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Standard {
    /// CycloneDX 1.5 in JSON
    Cyclonedx,
    /// SPDX 2.3 in JSON
    Spdx,
}

impl Standard {
    /// The bill in this form.
    pub(super) fn render(self, bill: &Bill) -> String {
        match self {
            Self::Cyclonedx => bill.cyclonedx(),
            Self::Spdx => bill.spdx(),
        }
    }

    /// The file's usual name, by which scanners tell the form (CycloneDX and SPDX specifications, "File naming").
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Cyclonedx => "sbom.cdx.json",
            Self::Spdx => "sbom.spdx.json",
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let formats = on_stdout(self.format.given(), &self.output, SbomFormat::Table)?;
        let paths = global.layers(&self.layers)?;
        let contents = read_settled(&paths, global, || Ok(contents(&paths, progress)?))?;
        let reading = progress.only_reading(Vec::new());
        let bill = Bill::new(
            &name(&paths, &contents),
            layers(&contents),
            contents.components(),
            source_date_epoch()?,
        );
        drop(reading);
        let render = |format: &SbomFormat, options| match format {
            SbomFormat::Table => report::materials(&Materials::of(&bill), options),
            SbomFormat::Json => report::json(&Materials::of(&bill)),
            SbomFormat::Cyclonedx => bill.cyclonedx(),
            SbomFormat::Spdx => bill.spdx(),
        };
        write_files(&self.output, |form| render(form, global.plain_options()))?;
        Ok(Output::ok(
            formats
                .iter()
                .map(|form| render(form, global.render_options()))
                .collect(),
        ))
    }
}

/// What the bill is about: the directory or the first zip by its name alone, so that the same layers elsewhere give the same
/// bill.
fn name(paths: &[PathBuf], contents: &Contents) -> String {
    if let Some(manifest) = &contents.manifest {
        return subject(manifest);
    }
    let name = paths.first().and_then(|path| path.file_name());
    name.map_or_else(|| "layers".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What a bill of packed layers is about.
pub(super) fn subject(manifest: &Manifest) -> String {
    format!("layers for {} on {}", manifest.runtime, manifest.arch)
}

/// The zips that a manifest lists.
fn layers(contents: &Contents) -> &[LayerSummary] {
    contents.manifest.as_ref().map_or(&[], |manifest| &manifest.layers)
}
