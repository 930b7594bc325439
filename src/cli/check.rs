use std::path::{Path, PathBuf};

use clap::Args;

use lambdar_prune::check::{CheckError, inputs, judge, packed_for, read};
use lambdar_prune::report::{self, Checked};
use lambdar_prune::runtime::{self, Arch, Runtime, RuntimeError};

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Status};

/// Say whether layers will run on Lambda: zips, a folder of zips, or a tree
///
/// Exit status: 0 if they will, 1 if they will not, 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, folders of zips, or trees
    #[arg(default_value = "layers", value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Interrupted(_) => Self::Interrupted,
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let checked = self.checked(global, progress)?;
        Ok(Answer {
            text: match global.format {
                Format::Json => report::json(&checked),
                Format::Table => report::checked(&checked, global.look()),
            },
            status: if checked.ok { Status::Fine } else { Status::No },
        })
    }

    /// The arguments with which a folder of layers is checked.
    pub(super) fn of_folder(folder: &Path) -> Self {
        Self {
            paths: vec![folder.to_owned()],
        }
    }

    pub(super) fn checked(&self, global: &Global, progress: &Terminal) -> Result<Checked, Failure> {
        let layers = read(&inputs(&self.paths)?, progress)?;
        let runtime = self.runtime(global, &layers)?;
        Ok(Checked::new(judge(layers, &runtime), &runtime))
    }

    /// The runtime on the command line, else the one that the layers were packed for, else the default.
    fn runtime(&self, global: &Global, layers: &[lambdar_prune::check::Layer]) -> Result<Runtime, Failure> {
        let packed_for = self.paths.iter().find_map(|path| packed_for(path));
        let of_objects = Arch::of_most(
            layers
                .iter()
                .flat_map(|layer| layer.tree.objects().map(|(_, object)| object)),
        );
        let (name, arch) = match &packed_for {
            Some((name, arch)) => (Some(name.as_str()), Some(*arch)),
            None => (None, None),
        };
        let name = global.runtime.as_deref().or(name).unwrap_or(runtime::DEFAULT);
        let arch = global.arch.or(arch).or(of_objects).unwrap_or(Arch::X86_64);
        Runtime::load(name, arch).map_err(|error| match error {
            RuntimeError::Unknown { name } if global.runtime.is_none() => Failure::Error(format!(
                "the layers were packed for runtime {name}, which is not built in; give its file with --runtime"
            )),
            error => error.into(),
        })
    }
}
