//! `--format` of a command that has more formats than the others.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches, ValueEnum};

use super::arguments::Format;

/// The name of the option; it replaces the global one.
const FORMAT: &str = "format";

/// The requested format, one of `F`, which has at least `table` and `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FormatOption<F> {
    /// `None` unless the option was given.
    given: Option<F>,
}

impl<F: ValueEnum> FormatOption<F> {
    /// The format that was asked for, if one was.
    pub(super) fn given(&self) -> Option<F> {
        self.given.clone()
    }
}

impl<F: ValueEnum> Args for FormatOption<F> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let formats = F::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        // The value has the type of the global option, because clap hands it on to that; the format is read from the text.
        let parser =
            PossibleValuesParser::new(formats).map(|text| Format::from_str(&text, false).unwrap_or(Format::Table));
        command.arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .value_name("FORMAT")
                .default_value("table")
                .value_parser(parser)
                .help("Output format"),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<F: ValueEnum> FromArgMatches for FormatOption<F> {
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
