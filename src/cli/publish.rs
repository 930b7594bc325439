use std::path::PathBuf;

use clap::{Args, ValueEnum};

use lambdar_prune::finding::any_error;
use lambdar_prune::publish::{
    CommandLine, End, Publication, PublishError, PublishOptions, Publishing, Snippet, findings_that_count, manifest_in,
    publish,
};
use lambdar_prune::report;

use super::progress::Terminal;
use super::{Answer, Failure, FormOption, Global, Status, check, complain};

/// Publish layers with your own aws tool, each only if it has changed
///
/// Check runs first. What became of each layer is recorded in published.json beside the zips. Exit status: 0 if every
/// layer has its version, 1 if check found errors or a layer failed, 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder with layers.json
    #[arg(default_value = "layers", value_name = "DIR")]
    folder: PathBuf,
    /// What the layers are called: NAME-1, NAME-2, …
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The AWS region, unless the aws tool's own choice is right
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The aws tool's profile, unless its own choice is right
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// The bucket through which zips go that are too large for a request
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    /// The folder in the bucket
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    prefix: Option<String>,
    /// The license of what is in the layers: an SPDX identifier, a URL or a text
    #[arg(long, value_name = "TEXT")]
    license: Option<String>,
    /// Print the commands, quoted for a shell, and run none
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    form: FormOption<Form>,
    /// Add the lines that attach the layers in a template
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

/// The forms of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// The ARNs alone, one in a line, if there are all
    Arns,
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::TooLarge { .. } => Self::No(error.to_string()),
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    fn form(&self) -> Form {
        self.form.given().unwrap_or(Form::Table)
    }

    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        self.refuse_what_cannot_be()?;
        let options = PublishOptions {
            name: self.name.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            license: self.license.clone(),
        };
        let packed = manifest_in(&self.folder)?;
        options.check(packed.layers.len()).map_err(PublishError::from)?;
        let policy = global.config()?.policy;
        let checked = check::checked(
            std::slice::from_ref(&self.folder),
            policy,
            check::Bounds::default(),
            global,
            progress,
        )?;
        if checked.runtime != packed.runtime || checked.arch != packed.arch {
            return Err(Failure::Error(format!(
                "the layers were packed for {} on {}: leave out --runtime and --arch, or pack again with them",
                packed.runtime, packed.arch
            )));
        }
        let findings = findings_that_count(checked.findings, &options);
        let publishing = Publishing::new(&self.folder, &packed, options.clone());
        if any_error(&findings) {
            if let Err(error @ PublishError::TooLarge { .. }) = publishing {
                complain(&error.to_string());
            }
            let publication = Publication {
                dry_run: self.dry_run,
                ..Publication::hindered(&options, &packed, findings, checked.allowed)
            };
            return Ok(self.response(&publication, global));
        }
        let publishing = publishing?;
        let publication = if self.dry_run {
            publishing.dry_run()
        } else {
            publish(&publishing, &CommandLine, progress)?
        };
        let publication = publication
            .with_findings(findings, checked.allowed)
            .with_snippet(self.snippet.map(Snippet::from), &publishing);
        Ok(self.response(&publication, global))
    }

    fn refuse_what_cannot_be(&self) -> Result<(), Failure> {
        let reason = match self.form() {
            Form::Arns if self.dry_run => "there are no ARNs without publishing: leave out --dry-run or --format arns",
            Form::Arns if self.snippet.is_some() => "--format arns prints nothing else: leave it out, or --snippet",
            _ => return Ok(()),
        };
        Err(Failure::Error(reason.to_owned()))
    }

    /// What goes to stdout and the exit status; what else there is to say goes to stderr here.
    fn response(&self, publication: &Publication, global: &Global) -> Answer {
        if !global.quiet {
            for warning in &publication.warnings {
                complain(&format!("warning: {warning}"));
            }
        }
        if let Some(failure) = report::failure(publication) {
            complain(&failure);
        }
        match &publication.end {
            End::Complete | End::Failed => {}
            End::Hindered => {
                if self.form() == Form::Arns {
                    complain(report::finding_lines(&publication.findings, global.look()).trim_end());
                }
                complain("check found errors, and nothing was published");
            }
            End::Interrupted => complain("interrupted; run the same command again, and it goes on from there"),
            End::Unrecorded(error) => complain(&format!(
                "the last layer is on AWS but not in the record: {error}; run the same command again when that is mended"
            )),
        }
        Answer {
            text: match self.form() {
                Form::Json => report::json(publication),
                Form::Arns => report::arns(publication),
                Form::Table => report::publication(publication, &self.folder.display().to_string(), global.look()),
            },
            status: match publication.end {
                End::Complete => Status::Fine,
                End::Hindered | End::Failed => Status::No,
                End::Interrupted => Status::Interrupted,
                End::Unrecorded(_) => Status::Failed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::{Command, Format};

    fn parse(arguments: &[&str]) -> Result<(Form, Format), clap::Error> {
        let all = ["lambdar-prune"].iter().chain(arguments);
        let parsed = crate::cli::Arguments::try_parse_from(all)?;
        let Command::Publish(publish) = parsed.command else {
            panic!("{arguments:?}");
        };
        Ok((publish.form(), parsed.global.format))
    }

    #[test]
    fn the_format_has_one_form_more_here() {
        crate::cli::Arguments::command().debug_assert();
        for (arguments, expected) in [
            (["publish", "--name", "r"].as_slice(), Form::Table),
            (&["publish", "--name", "r", "--format", "arns"], Form::Arns),
            (&["publish", "--name", "r", "--format=json"], Form::Json),
            (&["--format", "json", "publish", "--name", "r"], Form::Json),
        ] {
            let (form, shared) = parse(arguments).unwrap();
            assert_eq!(form, expected, "{arguments:?}");
            assert_eq!(shared == Format::Json, form == Form::Json);
        }
        assert!(parse(&["publish", "--name", "r", "--format", "yaml"]).is_err());
        assert!(crate::cli::Arguments::try_parse_from(["lambdar-prune", "check", "--format", "arns"]).is_err());
        assert!(parse(&["publish"]).is_err(), "a name is needed");
    }
}
