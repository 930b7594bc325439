//! `--format` of a command that has more forms than the others.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches, ValueEnum};

use super::Format;

/// The name of the option, which is that of every command; here it takes the place of the shared one.
const FORMAT: &str = "format";

/// The form that was asked for, one of `F`, which has `table` and `json` as every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FormOption<F> {
    /// The form; `None` unless it was given.
    given: Option<F>,
}

impl<F: ValueEnum> FormOption<F> {
    /// The form that was asked for, if one was.
    pub(super) fn given(&self) -> Option<F> {
        self.given.clone()
    }
}

impl<F: ValueEnum> Args for FormOption<F> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let forms = F::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        // The value is of the shared option's type, for clap hands it on to that; the form is read from the text.
        let parser =
            PossibleValuesParser::new(forms).map(|text| Format::from_str(&text, false).unwrap_or(Format::Table));
        command.arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .value_name("FORM")
                .default_value("table")
                .value_parser(parser)
                .help("Which form the answer has"),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<F: ValueEnum> FromArgMatches for FormOption<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = matches.value_source(FORMAT) == Some(ValueSource::CommandLine);
        let text = matches.get_raw(FORMAT).and_then(Iterator::last);
        Ok(Self {
            given: text
                .filter(|_| is_given)
                .and_then(|text| F::from_str(&text.to_string_lossy(), false).ok()),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
