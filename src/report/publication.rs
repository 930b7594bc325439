//! The report of `publish` as text.

use super::table::{Column, RenderOptions};
use super::text::finding_lines;
use crate::finding::{Finding, Severity};
use crate::publish::{Publication, PublishOutcome, PublishedLayer, RECORD_NAME, State};

/// The report of `publish` as text.
pub fn publication(publication: &Publication, directory: &str, render: RenderOptions) -> String {
    if publication.end == PublishOutcome::Blocked {
        return finding_lines(&publication.findings, render);
    }
    let mut text = warnings(publication, render);
    if publication.dry_run {
        // A shell passes over them.
        let comments = text.lines().flat_map(|line| ["# ", line, "\n"]).collect::<String>();
        return comments + &commands(publication);
    }
    text += &table(publication, render);
    text += &summary(publication, directory);
    // ARNs and commands are copied from here: they are never folded or cut.
    if let Some(attach) = &publication.attach {
        text += &render.heading("Attach in this order");
        text += &arns(publication);
        text += &render.heading("Attach them to FUNCTION (replaces its layers)");
        text += &format!("{attach}\n");
    }
    if let Some(command) = &publication.set_variables {
        let lines = publication.variables.iter();
        text += &render.heading("Variables to set");
        text.extend(lines.map(|(name, value)| format!("{name}={value}\n")));
        text += &render.heading("Set them for FUNCTION (replaces its variables)");
        text += &format!("{command}\n");
    }
    if let Some(policy) = &publication.bucket_policy {
        text += &render.heading("Add this to the bucket policy, and keep the objects");
        text += &format!("{policy}\n");
    }
    if let Some(snippet) = &publication.snippet {
        text += &render.heading("For your template");
        text += snippet;
    }
    text
}

/// Few columns, so that they fit into a narrow terminal; the way is told where it is not the request for all.
fn table(publication: &Publication, render: RenderOptions) -> String {
    let ways = publication.layers.iter().any(|layer| layer.through_s3);
    let mut columns = vec![
        Column::Left("Layer"),
        Column::Left("Zip"),
        Column::Right("Size"),
        Column::Left("State"),
    ];
    if ways {
        columns.push(Column::Left("Upload"));
    }
    let rows = publication.layers.iter().map(|layer| {
        let mut row = vec![
            layer.layer.clone(),
            layer.file.clone(),
            layer.zipped_bytes.to_string(),
            layer.status.to_string(),
        ];
        if ways {
            row.push(upload(layer).to_owned());
        }
        row
    });
    render.table(&columns, rows.collect())
}

/// The ARNs, one in a line; nothing unless there are all.
pub fn arns(publication: &Publication) -> String {
    publication.arns.iter().flat_map(|arn| [arn.as_str(), "\n"]).collect()
}

/// Why a layer was not published, as it goes to stderr; `None` if none failed.
pub fn failure(publication: &Publication) -> Option<String> {
    publication.layers.iter().find_map(|layer| {
        let error = layer.error.as_ref()?;
        Some(format!(
            "{} was not published: {}\n  help: {}\n  then run the same command again: it goes on from there",
            layer.layer, error.message, error.help
        ))
    })
}

fn warnings(publication: &Publication, render: RenderOptions) -> String {
    let worth: Vec<&Finding> = publication
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note || render.verbose)
        .collect();
    finding_lines(worth, render)
}

fn upload(layer: &PublishedLayer) -> &'static str {
    if layer.through_s3 { "through S3" } else { "direct" }
}

fn summary(publication: &Publication, directory: &str) -> String {
    let counts: Vec<String> = [State::Published, State::Unchanged, State::Failed, State::Pending]
        .into_iter()
        .map(|state| (state, publication.count(state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let recorded = if publication.layers.iter().all(|layer| layer.status == State::Pending) {
        String::new()
    } else {
        format!(" Recorded in {directory}/{RECORD_NAME}.")
    };
    format!("{}.{recorded}\n", counts.join(", "))
}

/// The commands of a dry run; a shell could read the whole text.
fn commands(publication: &Publication) -> String {
    let mut text = String::new();
    for layer in &publication.layers {
        text += &format!(
            "# {}: {}, {}, {}\n",
            layer.layer,
            layer.file,
            layer.zipped_bytes,
            upload(layer)
        );
        for command in &layer.commands {
            let hash = if command.exact { "" } else { "# " };
            text += &format!("# {}:\n{hash}{}\n", command.when, command.command);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::Bytes;

    fn layer(number: usize, status: State) -> PublishedLayer {
        let version = (status == State::Published || status == State::Unchanged).then_some(3);
        PublishedLayer {
            layer: format!("r-{number}"),
            file: format!("layer-{number}.zip"),
            zipped_bytes: Bytes(29_480_000),
            through_s3: false,
            status,
            arn: version.map(|version| format!("arn:aws:lambda:eu-west-1:123456789012:layer:r-{number}:{version}")),
            version,
            code_sha256: String::new(),
            error: None,
            commands: Vec::new(),
        }
    }

    fn of(layers: Vec<PublishedLayer>, end: PublishOutcome) -> Publication {
        let complete = end == PublishOutcome::Complete;
        let arns: Vec<String> = layers.iter().filter_map(|layer| layer.arn.clone()).collect();
        Publication {
            schema_version: 1,
            ok: complete,
            dry_run: false,
            name: Some("r".to_owned()),
            runtime: "provided.al2023".to_owned(),
            arch: crate::runtime::Arch::X86_64,
            attach: complete.then(|| format!("aws … --layers {}", arns.join(" "))),
            arns: if complete { arns } else { Vec::new() },
            layers,
            variables: std::collections::BTreeMap::new(),
            set_variables: None,
            bucket_policy: None,
            snippet: None,
            warnings: Vec::new(),
            findings: Vec::new(),
            allowed: Vec::new(),
            end,
        }
    }

    #[test]
    fn a_complete_run_ends_with_what_to_do_next() {
        let publication = of(
            vec![layer(1, State::Published), layer(2, State::Unchanged)],
            PublishOutcome::Complete,
        );
        let text = super::publication(&publication, "layers", RenderOptions::default());
        assert!(
            text.starts_with(
                " Layer   Zip              Size   State
───────────────────────────────────────────
 r-1     layer-1.zip   29.4 MB   published
 r-2     layer-2.zip   29.4 MB   unchanged
"
            ),
            "{text}"
        );
        assert!(
            text.contains("1 published, 1 unchanged. Recorded in layers/published.json."),
            "{text}"
        );
        assert!(
            text.ends_with(
                "aws … --layers arn:aws:lambda:eu-west-1:123456789012:layer:r-1:3 \
                 arn:aws:lambda:eu-west-1:123456789012:layer:r-2:3\n"
            ),
            "{text}"
        );
        let narrow = RenderOptions {
            width: Some(40),
            ..RenderOptions::default()
        };
        let text = super::publication(&publication, "layers", narrow);
        assert!(
            text.contains("\narn:aws:lambda:eu-west-1:123456789012:layer:r-2:3\n"),
            "{text}"
        );
    }

    #[test]
    fn a_failed_run_has_nothing_to_attach() {
        let mut layers = vec![
            layer(1, State::Published),
            layer(2, State::Failed),
            layer(3, State::Pending),
        ];
        layers[1].error = Some(crate::publish::Refusal {
            code: Some("X".to_owned()),
            message: "An error occurred (X)".to_owned(),
            help: "do something".to_owned(),
        });
        let publication = of(layers, PublishOutcome::Failed);
        let text = super::publication(&publication, "layers", RenderOptions::default());
        assert!(text.contains("1 published, 1 failed, 1 pending."), "{text}");
        assert!(!text.contains("arn:"), "{text}");
        assert_eq!(super::arns(&publication), "");
        let failure = failure(&publication).unwrap();
        assert!(failure.starts_with("r-2 was not published: An error occurred (X)\n  help: do something\n"));
    }
}
