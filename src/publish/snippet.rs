//! What to write into a template to attach the layers.

use std::fmt;

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

    /// The lines for these layers; without the runtime if AWS has none of that name.
    pub fn text(self, arns: &[String], runtime: Option<&str>, arch: Arch) -> String {
        let Some(template) = DATA.snippets.get(&self.to_string()) else {
            return String::new();
        };
        let arch = template.arch.get(&arch).map(String::as_str).unwrap_or_default();
        let mut text = String::new();
        for line in template.text.lines() {
            let line = line.replace("{arch}", arch);
            if line.contains("{arn}") {
                text.extend(arns.iter().map(|arn| line.replace("{arn}", arn) + "\n"));
            } else if !line.contains("{runtime}") {
                text += &(line + "\n");
            } else if let Some(runtime) = runtime {
                text += &(line.replace("{runtime}", runtime) + "\n");
            }
        }
        text
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
            let text = snippet.text(&arns, Some("provided.al2023"), Arch::Arm64);
            let (first, second) = (text.find("arn:1").unwrap(), text.find("arn:2").unwrap());
            assert!(first < second && text.contains("provided.al2023"), "{text}");
            for hole in ["{arn}", "{runtime}", "{arch}"] {
                assert!(!text.contains(hole), "{text}");
            }
            let without = snippet.text(&arns, None, Arch::X86_64);
            assert_eq!(without.lines().count(), text.lines().count() - 1, "{without}");
        }
        assert!(
            Snippet::Cdk
                .text(&arns, None, Arch::Arm64)
                .contains("Architecture.ARM_64")
        );
    }

    #[test]
    fn the_snippet_for_sam_is_as_it_stands_in_a_template() {
        let text = Snippet::Sam.text(&["arn:1".to_owned()], Some("provided.al2023"), Arch::X86_64);
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
