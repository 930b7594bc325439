use std::path::{Path, PathBuf};

use clap::Args;

use lambdar_prune::check::{CheckError, Layer, MAX_UNZIPPED, inputs, judge, packed_for, read};
use lambdar_prune::finding::Code;
use lambdar_prune::nearest::suggestion;
use lambdar_prune::report::{self, Checked, Explanations};
use lambdar_prune::runtime::{self, Arch, Runtime, RuntimeError};
use lambdar_prune::size::Bytes;

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Status};

/// What `--explain` stands for without a code.
const ALL: &str = "all";

/// Say whether layers will run on Lambda: zips, a folder of zips, or a tree
///
/// Exit status: 0 if they will, 1 if they will not, 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, folders of zips, or trees
    #[arg(default_value = "layers", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave so much of Lambda's 250 MiB for the function's own code, unzipped
    #[arg(long, value_name = "SIZE")]
    reserve: Option<Bytes>,
    /// Do not unpack a zip that announces more than this [default: 1048576000, four times what Lambda takes]
    #[arg(long, value_name = "SIZE")]
    max_unzipped: Option<Bytes>,
    /// Explain a kind of finding: its cause, what Lambda says, and the cure; without a code, list all kinds
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = ALL, conflicts_with_all = ["paths", "reserve", "max_unzipped"])]
    explain: Option<String>,
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
        if let Some(code) = &self.explain {
            return explain(code, global);
        }
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
            reserve: None,
            max_unzipped: None,
            explain: None,
        }
    }

    pub(super) fn checked(&self, global: &Global, progress: &Terminal) -> Result<Checked, Failure> {
        let layers = read(
            &inputs(&self.paths)?,
            self.max_unzipped.unwrap_or(MAX_UNZIPPED),
            progress,
        )?;
        let runtime = runtime(&self.paths, global, &layers)?;
        Ok(Checked::new(
            judge(layers, &runtime, self.reserve.unwrap_or_default()),
            &runtime,
        ))
    }
}

/// The runtime on the command line, else the one that the layers were packed for, else the default.
pub(super) fn runtime(paths: &[PathBuf], global: &Global, layers: &[Layer]) -> Result<Runtime, Failure> {
    let packed_for = paths.iter().find_map(|path| packed_for(path));
    let of_objects = Arch::of_most(
        layers
            .iter()
            .flat_map(|layer| layer.tree.objects().map(|(_, object)| object)),
    );
    let (name, arch) = match &packed_for {
        Some((name, arch)) => (Some(name.as_str()), arch.parse().ok()),
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

/// What is known of one kind of finding, or all kinds.
fn explain(name: &str, global: &Global) -> Result<Answer, Failure> {
    let codes: Vec<Code> = if name == ALL {
        Code::all().collect()
    } else {
        let known: Vec<String> = Code::all().map(|code| code.to_string()).collect();
        let near = suggestion(name, known.iter().map(String::as_str));
        vec![Code::named(name).ok_or_else(|| {
            Failure::Error(format!(
                "there is no finding '{name}'{near}; `lambdar-prune check --explain` lists all"
            ))
        })?]
    };
    let explanations = Explanations::new(&codes);
    let text = match global.format {
        Format::Json => report::json(&explanations),
        Format::Table if name == ALL => report::codes(&explanations, global.look()),
        Format::Table => report::pages(&explanations, global.look()),
    };
    Ok(Answer {
        text,
        status: Status::Fine,
    })
}
