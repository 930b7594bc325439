use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, ValueEnum};

use lambdar_prune::check::{CheckError, Layer, MAX_UNZIPPED, inputs, judge, packed_for, read};
use lambdar_prune::finding::{Code, CodeError};
use lambdar_prune::gate::{BaselineFile, Gate, Level, Policy, Setting, Target};
use lambdar_prune::inventory::{Inventory, read_inventory};
use lambdar_prune::manifest::{MANIFEST_NAME, UploadRoute};
use lambdar_prune::report::{self, Checked, Explanations, RenderOptions};
use lambdar_prune::runtime::{self, Arch, Runtime, RuntimeError};
use lambdar_prune::size::Bytes;

use super::progress::Terminal;
use super::{Answer, Failure, FormOption, Global, Status, complain};

/// The folder that `pack` writes to unless told otherwise.
const DEFAULT: &str = "layers";

/// What `--explain` stands for without a code.
const ALL: &str = "all";

/// Say whether layers will run on Lambda: zips, a folder of zips, or a tree
///
/// Exit status: 0 if they will, 1 if they will not, 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, folders of zips, or trees
    #[arg(default_value = DEFAULT, value_name = "PATH")]
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
    #[command(flatten)]
    format: FormOption<Form>,
    /// Give the answer in a further form, to a file or, without one or with -, to stdout; may be repeated
    #[arg(short, long, value_name = "FORM[=FILE]")]
    output: Vec<Output>,
    #[command(flatten)]
    policy: PolicyOptions,
    /// Compare sizes with these: layers.json of an earlier build, zips, a folder with zips, or a tree
    #[arg(long, value_name = "OLD")]
    baseline: Option<PathBuf>,
}

/// The forms of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// Annotations of a GitHub Actions run
    Github,
    /// JUnit's XML, for GitLab, Jenkins and others
    Junit,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Markdown, for the summary of a job
    Markdown,
}

impl Form {
    fn render(self, checked: &Checked, render: RenderOptions) -> String {
        match self {
            Self::Table => report::checked(checked, render),
            Self::Json => report::json(checked),
            Self::Github => report::github(checked),
            Self::Junit => report::junit(checked),
            Self::Sarif => report::sarif(checked),
            Self::Markdown => report::markdown(checked),
        }
    }
}

/// A form, and the file that it goes to; stdout if there is none.
#[derive(Debug, Clone)]
struct Output {
    form: Form,
    file: Option<PathBuf>,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, file) = match text.split_once('=') {
            Some((_, "")) => return Err("there is no file behind the '='".to_owned()),
            Some((form, "-")) => (form, None),
            Some((form, file)) => (form, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let forms = Form::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let known: Vec<String> = forms.map(|form| form.get_name().to_owned()).collect();
        let form = Form::from_str(form, false).map_err(|_| {
            format!(
                "'{form}' is no form; write one of {}, as in json=FILE",
                known.join(", ")
            )
        })?;
        Ok(Self { form, file })
    }
}

/// `--deny`, `--warn` and `--allow`, in the order in which they were given.
#[derive(Debug, Clone, Default)]
struct PolicyOptions(Vec<Setting>);

const LEVELS: [(Level, &str, &str, &str); 3] = [
    (
        Level::Deny,
        "deny",
        "CODE|all",
        "Make findings of this code, or all, errors",
    ),
    (Level::Warn, "warn", "CODE", "Make findings of this code warnings"),
    (
        Level::Allow,
        "allow",
        "CODE",
        "Let findings of this code pass; -v and JSON show them all the same",
    ),
];

impl Args for PolicyOptions {
    fn augment_args(command: clap::Command) -> clap::Command {
        LEVELS.into_iter().fold(command, |command, (level, name, value, help)| {
            command.arg(
                Arg::new(name)
                    .long(name)
                    .value_name(value)
                    .action(ArgAction::Append)
                    .value_parser(move |word: &str| Target::parse(level, word))
                    .help(help),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PolicyOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings: Vec<(usize, Setting)> = Vec::new();
        for (level, name, ..) in LEVELS {
            let targets = matches.get_many::<Target>(name).into_iter().flatten();
            for (index, target) in matches.indices_of(name).into_iter().flatten().zip(targets) {
                let setting = Setting {
                    level,
                    target: target.clone(),
                    reason: None,
                    place: format!("--{name}"),
                };
                settings.push((index, setting));
            }
        }
        settings.sort_by_key(|(index, _)| *index);
        Ok(Self(settings.into_iter().map(|(_, setting)| setting).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
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
            return self.explanation(code, global);
        }
        self.refuse_what_cannot_be()?;
        let mut policy = global.config()?.policy;
        policy.levels = policy.levels.with(self.policy.0.clone());
        if let Some(path) = &self.baseline {
            policy.baseline = Some(BaselineFile {
                path: path.clone(),
                may_be_absent: false,
            });
        }
        let checked = checked(&self.paths, policy, self.bounds(), global, progress)?;
        let mut status = if checked.ok { Status::Fine } else { Status::No };
        for Output { form, file } in &self.output {
            let Some(file) = file else { continue };
            let render = RenderOptions {
                verbose: global.verbose,
                ..RenderOptions::default()
            };
            if let Err(error) = write(file, &form.render(&checked, render)) {
                complain(&error.to_string());
                status = Status::Failed;
            }
        }
        Ok(Answer {
            text: self.on_stdout(&checked, global.look()),
            status,
        })
    }

    fn bounds(&self) -> Bounds {
        let is_via_s3 = |path: &PathBuf| packed_for(path).is_some_and(|packed| packed.via == UploadRoute::S3);
        Bounds {
            reserve: self.reserve.unwrap_or_default(),
            max_unzipped: self.max_unzipped.unwrap_or(MAX_UNZIPPED),
            via: if self.paths.iter().all(is_via_s3) {
                UploadRoute::S3
            } else {
                UploadRoute::Direct
            },
        }
    }

    /// What is known of one kind of finding, or all kinds.
    fn explanation(&self, name: &str, global: &Global) -> Result<Answer, Failure> {
        let is_all = name == ALL;
        let codes: Vec<Code> = if is_all {
            Code::all().collect()
        } else {
            let code = name.parse().map_err(|error: CodeError| {
                Failure::Error(format!("{error}; `lambdar-prune check --explain` lists all"))
            })?;
            vec![code]
        };
        let explanations = Explanations::new(&codes);
        let text = match self.format.given() {
            Some(Form::Json) => report::json(&explanations),
            None | Some(Form::Table) if is_all => report::codes(&explanations, global.look()),
            None | Some(Form::Table) => report::pages(&explanations, global.look()),
            Some(_) => return Err(Failure::Error("an explanation is a table or JSON".to_owned())),
        };
        Ok(Answer {
            text,
            status: Status::Fine,
        })
    }

    fn refuse_what_cannot_be(&self) -> Result<(), Failure> {
        if self.paths == [Path::new(DEFAULT)] && !Path::new(DEFAULT).exists() {
            return Err(Failure::Error(format!(
                "cannot check {DEFAULT}: there is no such folder here; make it with `lambdar-prune pack`, or name zips, \
                 a folder with zips, or a tree"
            )));
        }
        let mut files: Vec<&PathBuf> = self.output.iter().filter_map(|output| output.file.as_ref()).collect();
        files.sort();
        match files.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Failure::Error(format!(
                "two forms cannot go to one file: {} is named twice",
                pair[0].display()
            ))),
            None => Ok(()),
        }
    }

    /// The form of `--format`, which is a table unless another is wanted on stdout, and then those of `--output`.
    fn on_stdout(&self, checked: &Checked, render: RenderOptions) -> String {
        let mut forms: Vec<Form> = self.format.given().into_iter().collect();
        let further = self.output.iter().filter(|output| output.file.is_none());
        forms.extend(further.map(|output| output.form));
        if forms.is_empty() {
            forms.push(Form::Table);
        }
        let is_read_by_github = forms.contains(&Form::Github);
        forms
            .into_iter()
            .map(|form| match form.render(checked, render) {
                text if is_read_by_github && form != Form::Github => report::without_commands(&text),
                text => text,
            })
            .collect()
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(file, text)
}

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// What is to be left for the function's own code.
    reserve: Bytes,
    /// A zip that announces more is not unpacked.
    max_unzipped: Bytes,
    /// How the layers get to AWS.
    via: UploadRoute,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            reserve: Bytes::default(),
            max_unzipped: MAX_UNZIPPED,
            via: UploadRoute::Direct,
        }
    }
}

/// Reads what lies at some paths, and judges it by the policy.
pub(super) fn checked(
    paths: &[PathBuf],
    policy: Policy,
    bounds: Bounds,
    global: &Global,
    progress: &Terminal,
) -> Result<Checked, Failure> {
    let gate = Gate {
        levels: policy.levels,
        budgets: policy.budgets,
        baseline: match policy.baseline {
            Some(file) => baseline(&file, paths, progress)?,
            None => None,
        },
    };
    let layers = read(&inputs(paths)?, bounds.max_unzipped, progress)?;
    let runtime = runtime(paths, global, &layers)?;
    let inventory = if gate.asks_for_sizes() {
        Inventory::of_layers(&layers)
    } else {
        Inventory::default()
    };
    let mut report = judge(layers, &runtime, bounds.reserve);
    if bounds.via == UploadRoute::S3 {
        report.findings.retain(|finding| !finding.code.is_about_request());
    }
    let judged = gate.judge(std::mem::take(&mut report.findings), &inventory);
    Ok(Checked::new(report, judged, &runtime))
}

/// The baseline by its name; `None` if there is none yet.
fn baseline(
    file: &BaselineFile,
    paths: &[PathBuf],
    progress: &Terminal,
) -> Result<Option<(String, Inventory)>, Failure> {
    let path = &file.path;
    if file.may_be_absent && !path.exists() {
        return Ok(None);
    }
    let real = |path: &Path| path.canonicalize().ok();
    let own = paths.iter().flat_map(|path| [path.clone(), path.join(MANIFEST_NAME)]);
    if real(path).is_some() && own.into_iter().any(|own| real(&own) == real(path)) {
        return Err(Failure::Error(format!(
            "the baseline {} belongs to the layers that are to be checked, and would always be like them; keep a copy \
             elsewhere",
            path.display()
        )));
    }
    let inventory = read_inventory(path, progress)?;
    Ok(Some((path.display().to_string(), inventory)))
}

/// The runtime on the command line, else the one that the layers were packed for, else the default.
pub(super) fn runtime(paths: &[PathBuf], global: &Global, layers: &[Layer]) -> Result<Runtime, Failure> {
    let packed_for = paths.iter().find_map(|path| packed_for(path));
    let of_objects = Arch::of_most(
        layers
            .iter()
            .flat_map(|layer| layer.tree.objects().map(|(_, object)| object)),
    );
    let name = packed_for.as_ref().map(|packed| packed.runtime.as_str());
    let name = global.runtime.as_deref().or(name).unwrap_or(runtime::DEFAULT);
    let arch = packed_for.as_ref().map(|packed| packed.arch);
    let arch = global.arch.or(arch).or(of_objects).unwrap_or(Arch::X86_64);
    Runtime::load(name, arch).map_err(|error| match error {
        RuntimeError::Unknown { name } if global.runtime.is_none() => Failure::Error(format!(
            "the layers were packed for runtime {name}, which is not built in; give its file with --runtime"
        )),
        error => error.into(),
    })
}
