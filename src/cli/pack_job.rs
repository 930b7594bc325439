//! What `pack` packs: one plan and its layers, and with `--rest` those of what is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::config::Project;
use crate::languages::place::Placed;
use crate::loader::LoadedTree;
use crate::manifest::{LicenseUse, Rest};
use crate::pack::{CapacityReport, Input, Limits, Options, PackError, Packed, Previous, added_files, pack};
use crate::plan::{self, Plan, WhatIf};
use crate::progress::Progress;
use crate::rules::Matcher;
use crate::sbom::{Described, collect, licenses, text_at};
use crate::scan::Scan;
use crate::size::{Bytes, exact};
use crate::tree::TreePath;

use super::arguments::{Global, PlanOptions};
use super::compile::compile;
use super::inputs::{SelectedRules, Source};
use super::output::Failure;
use super::progress::{OnlyReading, Terminal};

/// What is packed and how, before it is decided what goes.
pub(super) struct PackJob<'a> {
    /// Where the tree is.
    pub(super) directory: &'a Path,
    pub(super) options: Options,
    pub(super) scan: &'a Scan,
    pub(super) placed: &'a Placed,
    pub(super) loaded: &'a LoadedTree<'a>,
    pub(super) planning: &'a PlanOptions,
    pub(super) planning_options: plan::Options,
    pub(super) selected: SelectedRules,
    pub(super) project: Project,
    /// Whether modules are compiled that have no byte code which will be believed.
    pub(super) compile: bool,
    /// The directory for further layers with what no recording used.
    pub(super) rest: Option<&'a Path>,
    pub(super) global: &'a Global,
    pub(super) progress: &'a Terminal,
    /// What was made for this run alone, and is removed where a signal ends it at once.
    pub(super) temporary: Vec<PathBuf>,
}

/// Why nothing was packed.
pub(super) enum PackFailure {
    /// It does not keep to the limits.
    OverCapacity(Box<CapacityReport>, Box<Plan>),
    /// Anything else.
    Other(Failure),
}

impl<E: Into<Failure>> From<E> for PackFailure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl PackJob<'_> {
    /// Packs the layers, after those with what no recording used, if they are asked for.
    pub(super) fn pack(&self) -> Result<(Plan, Packed), PackFailure> {
        let (mut plan, matcher) = self.plan(&self.selected, &self.planning_options)?;
        if self.compile {
            let (count, program) = compile(&mut plan, self.directory, self.loaded.root().runtime)?;
            let count = exact(count as u64);
            self.global
                .note(&format!("compiled {count} modules with {}", program.display()));
        }
        let rest = match self.rest {
            Some(directory) => self.pack_rest(&plan, directory)?,
            None => None,
        };
        let options = Options {
            rest,
            ..self.options.clone()
        };
        let packed = self.pack_plan(&plan, &matcher, &self.planning_options, &options)?;
        Ok((plan, packed))
    }

    fn plan(&self, selected: &SelectedRules, options: &plan::Options) -> Result<(Plan, Matcher), Failure> {
        let _reading = self.only_reading();
        self.planning.plan(self.source(), selected, options, &self.project)
    }

    /// As [`Terminal::only_reading`], between what makes layers.
    pub(super) fn only_reading(&self) -> OnlyReading {
        self.progress.only_reading(self.temporary.clone())
    }

    fn source(&self) -> Source<'_> {
        Source {
            directory: self.directory,
            placed: self.placed,
            loaded: self.loaded,
        }
    }

    fn pack_plan(
        &self,
        plan: &Plan,
        matcher: &Matcher,
        planned: &plan::Options,
        options: &Options,
    ) -> Result<Packed, PackFailure> {
        let readers = OnceLock::new();
        let kept_with = |each: &[Matcher]| {
            self.source()
                .kept_with_each(&readers, matcher, &plan.uses, each, planned, self.progress)
        };
        let unneeded: Vec<TreePath> = plan.unneeded_libraries().cloned().collect();
        let what_if = WhatIf::new(&self.scan.tree, matcher, &plan.kept, &kept_with);
        let input = Input {
            directory: self.directory,
            scan: self.scan,
            plan,
            runtime: self.loaded.root().runtime,
            what_if: Some(what_if.with_unneeded(&unneeded)),
        };
        let options = Options {
            licenses: self.licenses(plan),
            ..options.clone()
        };
        match pack(&input, &options, self.progress) {
            Err(PackError::OverCapacity(report)) => {
                self.progress.check()?;
                Err(PackFailure::OverCapacity(report, Box::new(plan.clone())))
            }
            Err(too_large @ PackError::NamedLayer { .. }) => Err(Failure::No(too_large.to_string()).into()),
            packed => Ok(packed?),
        }
    }

    /// The licenses of what is kept. What describes it is read in the tree, because rules may remove it.
    fn licenses(&self, plan: &Plan) -> Vec<LicenseUse> {
        let _reading = self.only_reading();
        let nothing = (BTreeMap::new(), BTreeMap::new());
        let components = collect(Described {
            tree: &plan.kept,
            source: &self.scan.tree,
            text: &|path| text_at(&self.directory.join(self.placed.origin(path).as_str())),
            hashes: &nothing.0,
            embedded: &nothing.1,
            added: &added_files(plan),
            changed: &[],
        });
        licenses(&components)
    }

    /// Packs what would be in the layers without recordings and is not in them now.
    fn pack_rest(&self, plan: &Plan, directory: &Path) -> Result<Option<Rest>, PackFailure> {
        // A link to a file in another layer would lead nowhere without it.
        let planning = plan::Options {
            dedupe: false,
            ..self.planning_options.clone()
        };
        let (whole, matcher) = self.plan(&self.selected.without_recordings(), &planning)?;
        let rest = whole.without(plan);
        if rest.kept.is_empty() {
            self.global
                .note("everything is used: there is nothing to write as further layers");
            return Ok(None);
        }
        let options = Options {
            // Nobody has to attach all of them.
            limits: Limits {
                layers: usize::MAX,
                unzipped: Bytes(u64::MAX),
                ..self.options.limits
            },
            output: directory.to_owned(),
            // A layer that has a name of its own is that with what is used.
            layers: Vec::new(),
            previous: Previous::InOutput,
            ..self.options.clone()
        };
        let packed = self.pack_plan(&rest, &matcher, &planning, &options)?;
        Ok(Some(Rest {
            directory: directory.display().to_string(),
            layers: packed.manifest.layers,
        }))
    }
}
