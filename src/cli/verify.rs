use std::path::{Path, PathBuf};

use clap::{Args, Parser};

use crate::manifest::{MANIFEST_NAME, Manifest, file_hash};
use crate::open;
use crate::provenance::{PROVENANCE_NAME, Statement, changed_inputs, differing};
use crate::report::{self, Verified, VerifiedLayer};

use super::Command;
use super::arguments::Global;
use super::output::{Failure, Output, Status};
use super::progress::Terminal;
use super::provenance::command_line;

/// Rebuild layers from their provenance, and compare the zips
///
/// The original layers are not needed. If they are next to the statement, they are compared with it as well, and differences
/// are shown by file. Files named by options, such as rules, are read from where they were. Signatures are not checked: use
/// cosign or `gh attestation verify`.
///
/// Exit status: 0 if every zip comes out the same, 1 if not, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune pack /opt --provenance && lambdar-prune verify layers /opt
  lambdar-prune verify attestation.json /opt --format json")]
pub(super) struct Arguments {
    /// Directory with provenance.intoto.json, or the file: a statement, a DSSE envelope, or a Sigstore bundle
    /// [default: layers]
    #[arg(value_name = "PROVENANCE")]
    provenance: Option<PathBuf>,
    /// The tree [default: the one that the statement names]
    tree: Option<PathBuf>,
}

/// A statement, and what is next to it.
struct LoadedStatement {
    statement: Statement,
    /// The directory in which the layers are, if they are there.
    directory: PathBuf,
    /// The manifest that was written with them, if it is there and has not been changed.
    manifest: Option<(PathBuf, Manifest)>,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let provenance = global.layers(self.provenance.as_slice())?;
        let claim = LoadedStatement::read(provenance.first().map_or(Path::new(""), PathBuf::as_path))?;
        let work = tempfile::Builder::new()
            .prefix("lambdar-prune-")
            .tempdir()
            .map_err(|error| Failure::Error(error.to_string()))?;
        let again = work.path().join("layers");
        let tree = claim.pack_again(self.tree.as_deref(), &again, global, progress)?;
        let unreadable = |error: String| Failure::Error(format!("cannot read what was packed again: {error}"));
        let text = open::read_regular(&again.join(PROVENANCE_NAME)).map_err(|error| unreadable(error.to_string()))?;
        let now = Statement::parse(&text).map_err(|error| unreadable(error.to_string()))?;
        let manifest = Manifest::read(&again.join(MANIFEST_NAME)).map_err(|error| unreadable(error.to_string()))?;
        let layers = claim.compare(&now);
        let inputs = changed_inputs(&claim.statement, &now);
        let differing = match &claim.manifest {
            Some((_, before)) if layers.iter().any(|layer| !layer.same) => differing(before, &manifest, &inputs),
            _ => Vec::new(),
        };
        let verified = Verified::new(tree, layers, inputs, claim.manifest.is_some(), differing);
        Ok(Output {
            text: global.render(&verified, |options| report::verified(&verified, options)),
            status: Status::yes_or_no(verified.ok),
        })
    }
}

impl LoadedStatement {
    fn read(named: &Path) -> Result<Self, Failure> {
        let file = if named.is_dir() {
            named.join(PROVENANCE_NAME)
        } else {
            named.to_owned()
        };
        let failed = |reason: String| {
            Failure::Error(format!(
                "cannot use {} as the provenance: {reason}; `pack --provenance` writes one",
                file.display()
            ))
        };
        let bytes =
            open::named(&file, &crate::progress::Silent).map_err(|error| failed(open::reason(&error, &file)))?;
        let statement = Statement::parse(&bytes).map_err(|error| failed(error.to_string()))?;
        let directory = file.parent().map(Path::to_owned).unwrap_or_default();
        let path = directory.join(MANIFEST_NAME);
        let is_own = file_hash(&path).is_ok_and(|(_, digest)| statement.has_manifest(&digest));
        let manifest = is_own.then(|| Manifest::read(&path).ok()).flatten();
        Ok(Self {
            statement,
            directory,
            manifest: manifest.map(|manifest| (path, manifest)),
        })
    }

    /// Packs the tree as it was packed. Gives the tree's name.
    fn pack_again(
        &self,
        tree: Option<&Path>,
        output: &Path,
        global: &Global,
        progress: &Terminal,
    ) -> Result<String, Failure> {
        let mut parameters = self.statement.parameters().clone();
        let previous = match (&self.manifest, parameters.kept_to_previous) {
            (_, false) => None,
            (Some((path, _)), true) => Some(path.clone()),
            (None, true) => {
                return Err(Failure::Error(format!(
                    "files stayed in the layers of an earlier packing, which only {MANIFEST_NAME} tells; put the one that was \
                     written with the layers next to the statement"
                )));
            }
        };
        // What configures this run is the configuration of then, or none.
        let given = global.config.as_ref().map(|path| path.display().to_string());
        let config = parameters.options.entry("config".to_owned()).or_default();
        *config = match given.or_else(|| config.first().cloned()) {
            Some(path) => vec![path],
            None => vec!["/dev/null".to_owned()],
        };
        let tree = tree.map_or_else(|| PathBuf::from(&parameters.tree), Path::to_owned);
        let words = command_line(&parameters, &tree)?;
        let parsed = super::Arguments::try_parse_from(words).map_err(|error| {
            Failure::Error(format!(
                "this version of pack does not understand the statement's options: {}",
                error.to_string().trim_end()
            ))
        })?;
        let Command::Pack(pack) = parsed.command else {
            return Err(Failure::Error("the statement is not about a run of pack".to_owned()));
        };
        let mut options = parsed.global;
        options.quiet = true;
        let pack = pack.again(output.to_owned(), previous, parameters.source_date_epoch);
        let packed = pack.run(&options, progress)?;
        if !output.join(MANIFEST_NAME).is_file() {
            return Err(Failure::No(format!(
                "the tree cannot be packed as it was, so there is nothing to compare\n{}",
                packed.text.trim_end()
            )));
        }
        Ok(tree.display().to_string())
    }

    /// The zips of then and now, sorted by name.
    fn compare(&self, now: &Statement) -> Vec<VerifiedLayer> {
        let mut layers: Vec<VerifiedLayer> = self
            .statement
            .zips()
            .map(|(file, sha256)| {
                let again = now.zips().find(|(name, _)| *name == file);
                let at_hand = file_hash(&self.directory.join(Path::new(file).file_name().unwrap_or_default()));
                VerifiedLayer {
                    file: file.to_owned(),
                    same: again.is_some_and(|(_, again)| again == sha256),
                    sha256: Some(sha256.to_owned()),
                    sha256_now: again.map(|(_, again)| again.to_owned()),
                    intact: at_hand
                        .ok()
                        .map(|(_, digest)| base16ct::lower::encode_string(&digest) == sha256),
                }
            })
            .collect();
        let more = now
            .zips()
            .filter(|(file, _)| self.statement.zips().all(|(name, _)| name != *file));
        layers.extend(more.map(|(file, sha256)| VerifiedLayer {
            file: file.to_owned(),
            same: false,
            sha256: None,
            sha256_now: Some(sha256.to_owned()),
            intact: None,
        }));
        layers.sort_by(|a, b| a.file.cmp(&b.file));
        layers
    }
}
