use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::finding::{Finding, any_error};
use crate::gate::Allowed;
use crate::publish::{
    CommandLine, Publication, PublishError, PublishOptions, PublishOutcome, Publishing, Snippet, findings_that_count,
    manifest_in, publish, unnamed,
};
use crate::report;

use super::arguments::Global;
use super::clock::today;
use super::format::FormatOption;
use super::layers::{Bounds, checked, read_settled};
use super::output::{Failure, Output, Status, error, tell, warn};
use super::progress::Terminal;

/// Publish the layers that changed, with your own aws tool
///
/// The layers are checked first. The result for each layer is recorded in published.json next to the zips.
///
/// Exit status: 0 if every layer has its version, 1 if check found errors or a layer failed, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune publish layers --name my-runtime --region eu-central-1
  lambdar-prune publish --name my-runtime --bucket my-bucket --dry-run
  aws lambda update-function-configuration --function-name FUNCTION --layers \\
    $(lambdar-prune publish --name my-runtime --format arns)")]
pub(super) struct Arguments {
    /// Directory with layers.json [default: layers]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Name of the layers: NAME-1, NAME-2, …; layers with a name in the configuration keep it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// AWS region [default: that of the aws tool]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Profile of the aws tool [default: that of the aws tool]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// S3 bucket for zips that are too large for a request
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    /// Prefix of the objects in the bucket
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    prefix: Option<String>,
    /// Leave the zips in the bucket, where Lambda reads them: they do not count towards its storage. The bucket must
    /// have versioning enabled; the bucket policy that Lambda needs is printed
    #[arg(long, requires = "bucket")]
    by_reference: bool,
    /// License of the layers: an SPDX identifier, a URL or a text
    #[arg(long, value_name = "TEXT")]
    license: Option<String>,
    /// Print the commands, quoted for a shell, without running them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: FormatOption<PublishFormat>,
    /// Print template code that attaches the layers
    #[arg(long, value_enum, value_name = "TOOL", conflicts_with = "dry_run")]
    snippet: Option<Tool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tool {
    /// AWS SAM and CloudFormation
    Sam,
    /// Terraform and OpenTofu
    Terraform,
    /// AWS CDK in TypeScript
    Cdk,
}

impl From<Tool> for Snippet {
    fn from(tool: Tool) -> Self {
        match tool {
            Tool::Sam => Self::Sam,
            Tool::Terraform => Self::Terraform,
            Tool::Cdk => Self::Cdk,
        }
    }
}

/// The formats of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PublishFormat {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// Only the ARNs, one per line, if every layer has one
    Arns,
}

/// The layers to publish, the findings about them and those that are allowed; or the report of the errors that prevent it.
type Prepared = Result<(Publishing, Vec<Finding>, Vec<Allowed>), Publication>;

impl Arguments {
    fn format(&self) -> PublishFormat {
        self.format.given().unwrap_or(PublishFormat::Table)
    }

    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        self.validate()?;
        let options = PublishOptions {
            name: self.name.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            by_reference: self.by_reference,
            license: self.license.clone(),
        };
        let paths = global.layers(self.directory.as_slice())?;
        let directory = paths.first().map_or(Path::new(""), PathBuf::as_path);
        let (publishing, findings, allowed) =
            match read_settled(&paths, global, || self.prepare(&paths, &options, global, progress))? {
                Ok(ready) => ready,
                Err(hindered) => return Ok(self.output(&hindered, directory, global)),
            };
        let publication = if self.dry_run {
            publishing.dry_run()
        } else {
            publish(&publishing, &CommandLine(progress), progress)?
        };
        let publication = publication
            .with_findings(findings, allowed)
            .with_snippet(self.snippet.map(Snippet::from), &publishing);
        Ok(self.output(&publication, directory, global))
    }

    /// The layers of a directory to publish, with the findings of check; or what prevents it.
    fn prepare(
        &self,
        paths: &[PathBuf],
        options: &PublishOptions,
        global: &Global,
        progress: &Terminal,
    ) -> Result<Prepared, Failure> {
        let directory = paths.first().map_or(Path::new(""), PathBuf::as_path);
        let packed = manifest_in(directory)?;
        let day = today()?;
        options.check(unnamed(&packed)).map_err(PublishError::from)?;
        let policy = global.config()?.policy;
        let (checked, _) = checked(paths, policy, &Bounds::default(), global, progress)?;
        if checked.runtime != packed.runtime || checked.arch != packed.arch {
            return Err(Failure::Error(format!(
                "the layers were packed for {} on {}: omit --runtime and --arch, or pack again with them",
                packed.runtime, packed.arch
            )));
        }
        let findings = findings_that_count(checked.findings, options, &packed.runtime, day);
        let publishing = Publishing::new(directory, &packed, options.clone(), day);
        if any_error(&findings) {
            if let Err(too_large @ PublishError::TooLarge { .. }) = publishing {
                error(&too_large.to_string());
            }
            let publication = Publication {
                dry_run: self.dry_run,
                ..Publication::hindered(options, &packed, findings, checked.allowed)
            };
            return Ok(Err(publication));
        }
        Ok(Ok((publishing?, findings, checked.allowed)))
    }

    fn validate(&self) -> Result<(), Failure> {
        let reason = match self.format() {
            PublishFormat::Arns if self.dry_run => {
                "there are no ARNs without publishing: omit --dry-run or --format arns"
            }
            PublishFormat::Arns if self.snippet.is_some() => "--format arns prints only the ARNs: omit it or --snippet",
            _ => return Ok(()),
        };
        Err(Failure::Error(reason.to_owned()))
    }

    /// The output for stdout; warnings and errors go to stderr here.
    fn output(&self, publication: &Publication, directory: &Path, global: &Global) -> Output {
        if !global.quiet {
            for warning in &publication.warnings {
                warn(warning);
            }
        }
        if let Some(failure) = report::failure(publication) {
            error(&failure);
        }
        match &publication.end {
            PublishOutcome::Complete | PublishOutcome::Failed => {}
            PublishOutcome::Blocked => {
                if self.format() == PublishFormat::Arns {
                    tell(report::finding_lines(&publication.findings, global.render_options()).trim_end());
                }
                error("check found errors; nothing was published");
            }
            PublishOutcome::Interrupted => error("interrupted; run the same command again to continue"),
            PublishOutcome::Unrecorded(reason) => error(&format!(
                "the last layer is published but not recorded: {reason}; fix that and run the same command again"
            )),
        }
        Output {
            text: match self.format() {
                PublishFormat::Json => report::json(publication),
                PublishFormat::Arns => report::arns(publication),
                PublishFormat::Table => {
                    report::publication(publication, &directory.display().to_string(), global.render_options())
                }
            },
            status: match publication.end {
                PublishOutcome::Complete => Status::Ok,
                PublishOutcome::Blocked | PublishOutcome::Failed => Status::No,
                PublishOutcome::Interrupted => Status::Interrupted,
                PublishOutcome::Unrecorded(_) => Status::Failed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Command;
    use crate::cli::arguments::Format;

    fn parse(arguments: &[&str]) -> Result<(PublishFormat, Format), clap::Error> {
        let all = ["lambdar-prune"].iter().chain(arguments);
        let parsed = crate::cli::Arguments::try_parse_from(all)?;
        let Command::Publish(publish) = parsed.command else {
            panic!("{arguments:?}");
        };
        Ok((publish.format(), parsed.global.format))
    }

    #[test]
    fn the_format_has_one_form_more_here() {
        crate::cli::Arguments::command().debug_assert();
        for (arguments, expected) in [
            (["publish", "--name", "r"].as_slice(), PublishFormat::Table),
            (&["publish", "--name", "r", "--format", "arns"], PublishFormat::Arns),
            (&["publish", "--name", "r", "--format=json"], PublishFormat::Json),
            (&["--format", "json", "publish", "--name", "r"], PublishFormat::Json),
        ] {
            let (form, shared) = parse(arguments).unwrap();
            assert_eq!(form, expected, "{arguments:?}");
            assert_eq!(shared == Format::Json, form == PublishFormat::Json);
        }
        assert!(parse(&["publish", "--name", "r", "--format", "yaml"]).is_err());
        assert!(crate::cli::Arguments::try_parse_from(["lambdar-prune", "check", "--format", "arns"]).is_err());
    }
}
