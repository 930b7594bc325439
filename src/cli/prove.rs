//! `pack --prove`: packs, replays the recordings on the layers, and takes back what was missed, until all is answered as
//! recorded or nothing is left to take back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::layer_set::revise;
use crate::manifest::{MANIFEST_NAME, Manifest, Proof};
use crate::open;
use crate::pack::{Packed, Previous};
use crate::plan::Plan;
use crate::recording::Recording;
use crate::replay::LeftOutFiles;
use crate::report;
use crate::rules::unused::Depth;

use super::function::Printing;
use super::invoke::json_path;
use super::output::{Failure, tell};
use super::pack_job::{PackFailure, PackJob};
use super::replay::ReplayOptions;

/// The options of packing what recordings used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Packing what recordings used")]
pub(super) struct UsedOptions {
    /// Write what --used removes to this directory as extra layers, to attach if something is missing
    #[arg(long, value_name = "DIR", requires = "used")]
    pub(super) rest: Option<PathBuf>,
    /// Replay the recordings on the layers, and add missing files back until every response matches; needs bubblewrap and
    /// strace
    #[arg(long, requires = "used")]
    pub(super) prove: bool,
    /// Directory or zip with the function's own code for --prove [default: that of the recording]
    #[arg(long, value_name = "DIR|ZIP", requires = "prove")]
    task: Option<PathBuf>,
    /// Ignore what this JSONPath (RFC 9535) selects of responses and errors, such as $.time; can be repeated
    #[arg(long, value_name = "JSONPATH", requires = "prove", value_parser = json_path)]
    ignore: Vec<serde_json_path::JsonPath>,
}

/// Packs until the recordings hold.
pub(super) fn prove(job: &mut PackJob<'_>, used: &UsedOptions) -> Result<(Plan, Packed), PackFailure> {
    let recordings = Recording::read_all(&job.planning.rules.used)?;
    let manifest = keep_previous(job)?;
    job.temporary.extend(manifest.iter().map(|file| file.path().to_owned()));
    let environment = job.global.environment(&job.planning.environment)?;
    // What is missed comes back.
    for evidence in job.selected.evidence() {
        evidence.without_asked = evidence.depth == Depth::File && evidence.has_opened(&job.scan.tree);
    }
    let mut taken_back = BTreeSet::new();
    let mut rounds = 0;
    loop {
        rounds += 1;
        let (plan, mut packed) = job.pack()?;
        let replay = ReplayOptions {
            layers: std::slice::from_ref(&job.options.output),
            task: used.task.as_deref(),
            rootfs: None,
            handler: None,
            environment: &environment,
            timeout: None,
            is_patient: true,
            memory_mb: None,
            ignored: &used.ignore,
            printing: Printing::Nothing,
        };
        let replays = replay.run(&recordings, job.global, job.progress)?;
        let mut more = BTreeSet::new();
        if !replays.report.ok {
            let left_out = LeftOutFiles::of(std::slice::from_ref(&packed.manifest));
            more = left_out.to_take_back(&replays.run, &job.scan.tree, rounds);
            more.retain(|path| !taken_back.contains(path));
        }
        if more.is_empty() {
            if !replays.report.ok {
                tell(report::replayed(&replays.report, job.global.plain_options()).trim_end());
            }
            let proof = Proof {
                ok: replays.report.ok,
                rounds,
                taken_back: taken_back.iter().map(ToString::to_string).collect(),
            };
            note(proof, &mut packed.manifest, job)?;
            return Ok((plan, packed));
        }
        let count = more.len();
        let paths = if count == 1 { "path" } else { "paths" };
        job.global.note(&format!(
            "round {rounds}: an answer differs from the recording; {count} {paths} taken back"
        ));
        for evidence in job.selected.evidence() {
            evidence.taken_back.extend(more.iter().cloned());
        }
        taken_back.extend(more);
    }
}

/// Notes in the manifest, and in its file next to the layers, what the replay has shown.
fn note(proof: Proof, manifest: &mut Manifest, job: &PackJob<'_>) -> Result<(), Failure> {
    let output = &job.options.output;
    let is_noted = revise(output, manifest, |written| written.proof = Some(proof.clone()));
    if !is_noted.map_err(|error| Failure::Error(error.to_string()))? {
        job.global.note(&format!(
            "the proof is not in {}: another lambdar-prune is packing there",
            output.join(MANIFEST_NAME).display()
        ));
    }
    manifest.proof = Some(proof);
    Ok(())
}

/// Keeps the manifest that all rounds are to keep to: each round writes its own in its place.
fn keep_previous(job: &mut PackJob<'_>) -> Result<Option<tempfile::NamedTempFile>, Failure> {
    if !matches!(job.options.previous, Previous::InOutput) {
        return Ok(None);
    }
    let Ok(text) = open::read_regular(&job.options.output.join(MANIFEST_NAME)) else {
        job.options.previous = Previous::Afresh;
        return Ok(None);
    };
    let failed = |error: std::io::Error| Failure::Error(error.to_string());
    let copy = tempfile::Builder::new()
        .suffix(MANIFEST_NAME)
        .tempfile()
        .map_err(failed)?;
    fs_err::write(copy.path(), text).map_err(failed)?;
    job.options.previous = Previous::File(copy.path().to_owned());
    Ok(Some(copy))
}
