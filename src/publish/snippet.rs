//! What to write into a template to attach the layers.

use std::collections::BTreeMap;
use std::fmt;

use super::CUSTOM_RUNTIME;
use super::data::DATA;
use crate::runtime::Arch;

/// The tool that a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snippet {
    /// AWS SAM, and CloudFormation with its transform.
    Sam,
    /// Terraform and OpenTofu.
    Terraform,
    /// The AWS CDK, in TypeScript.
    Cdk,
}

impl Snippet {
    /// Every one.
    #[cfg(test)]
    const ALL: [Self; 3] = [Self::Sam, Self::Terraform, Self::Cdk];

    /// The lines for these layers and the variables that they want set; without the runtime if AWS has none of that name.
    pub fn text(
        self,
        arns: &[String],
        variables: &BTreeMap<String, String>,
        runtime: Option<&str>,
        arch: Arch,
    ) -> String {
        let Some(template) = DATA.snippets.get(&self.to_string()) else {
            return String::new();
        };
        let arch = template.arch.get(&arch).map(String::as_str).unwrap_or_default();
        let mut text = String::new();
        for line in template.text.lines() {
            let line = line.replace("{arch}", arch);
            if let Some((indent, line)) = line.split_once("{custom}") {
                if runtime == Some(CUSTOM_RUNTIME) {
                    text += &format!("{indent}{line}\n");
                }
            } else if let Some((indent, around)) = line.split_once("{variables}") {
                if !variables.is_empty() {
                    text += &format!("{indent}{around}\n");
                }
            } else if line.contains("{name}") {
                let of = |(name, value): (&String, &String)| {
                    line.replace("{name}", name).replace("{value}", &self.quoted(value)) + "\n"
                };
                text.extend(variables.iter().map(of));
            } else if line.contains("{arn}") {
                text.extend(arns.iter().map(|arn| line.replace("{arn}", arn) + "\n"));
            } else if !line.contains("{runtime}") {
                text += &(line + "\n");
            } else if let Some(runtime) = runtime {
                text += &(line.replace("{runtime}", runtime) + "\n");
            }
        }
        text
    }

    /// A text as the template's language writes it: YAML, HCL and TypeScript read JSON's strings, HCL with templates in them.
    fn quoted(self, text: &str) -> String {
        let json = serde_json::Value::from(text).to_string();
        match self {
            Self::Terraform => json.replace("${", "$${").replace("%{", "%%{"),
            Self::Sam | Self::Cdk => json,
        }
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sam => "sam",
            Self::Terraform => "terraform",
            Self::Cdk => "cdk",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_hold_the_arns_in_order_and_no_braces_of_the_template() {
        let arns = ["arn:1".to_owned(), "arn:2".to_owned()];
        for snippet in Snippet::ALL {
            let variables = BTreeMap::from([("PROJ_DATA".to_owned(), "/opt/a\"${b}".to_owned())]);
            let text = snippet.text(&arns, &variables, Some("provided.al2023"), Arch::Arm64);
            let value = snippet.quoted("/opt/a\"${b}");
            assert!(
                text.contains(&format!("PROJ_DATA: {value}")) || text.contains(&format!("PROJ_DATA = {value}")),
                "{text}"
            );
            assert!(text.to_lowercase().contains("environment"), "{text}");
            let text = snippet.text(&arns, &BTreeMap::new(), Some("provided.al2023"), Arch::Arm64);
            assert!(!text.to_lowercase().contains("environment"), "{text}");
            let (first, second) = (text.find("arn:1").unwrap(), text.find("arn:2").unwrap());
            assert!(first < second && text.contains("provided.al2023"), "{text}");
            for hole in [
                "{arn}",
                "{runtime}",
                "{arch}",
                "{variables}",
                "{name}",
                "{value}",
                "{custom}",
            ] {
                assert!(!text.contains(hole), "{text}");
            }
            let without = snippet.text(&arns, &BTreeMap::new(), None, Arch::X86_64);
            assert_eq!(without.lines().count(), text.lines().count() - 1, "{without}");
        }
        assert!(
            Snippet::Cdk
                .text(&arns, &BTreeMap::new(), None, Arch::Arm64)
                .contains("Architecture.ARM_64")
        );
    }

    #[test]
    fn a_runtime_of_the_customer_is_named_by_its_arn() {
        for (snippet, expected) in [
            (
                Snippet::Sam,
                "      RuntimeConfig:\n        RuntimeArn: RUNTIME_ARN\n        RuntimeAlias: RUNTIME_ALIAS\n",
            ),
            (
                Snippet::Terraform,
                "# RuntimeConfig of the function: { RuntimeArn = RUNTIME_ARN, RuntimeAlias = RUNTIME_ALIAS }",
            ),
            (
                Snippet::Cdk,
                "addPropertyOverride(\"RuntimeConfig\", {\n  RuntimeArn: \"RUNTIME_ARN\"",
            ),
        ] {
            let text = |runtime| snippet.text(&["arn:1".to_owned()], &BTreeMap::new(), Some(runtime), Arch::X86_64);
            assert!(text("custom").contains(expected), "{}", text("custom"));
            assert!(!text("provided.al2023").contains("RUNTIME_ARN"));
        }
    }

    #[test]
    fn the_snippet_for_sam_is_as_it_stands_in_a_template() {
        let text = Snippet::Sam.text(
            &["arn:1".to_owned()],
            &BTreeMap::new(),
            Some("provided.al2023"),
            Arch::X86_64,
        );
        let expected = "Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      # next to the function's code, handler and so on:
      Runtime: provided.al2023
      Architectures: [x86_64]
      Layers:
        - arn:1
";
        assert_eq!(text, expected);
    }
}
