//! The reports of `runtimes` and `runtimes show`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{Column, RenderOptions};
use crate::day::Day;
use crate::runtime::{Arch, InstalledPackage, Runtime, RuntimeError, Summary, built_in, lifecycles};
use crate::tree::Entry;

/// Report of `runtimes`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuntimeList {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The day of the states.
    pub day: Day,
    /// The runtimes that are built in.
    pub runtimes: Vec<Summary>,
    /// Runtimes that the Lambda API names, and with which no function can be created.
    pub retired: Vec<String>,
}

impl RuntimeList {
    /// All of them, as they are on a day.
    pub fn on(day: Day) -> Result<Self, RuntimeError> {
        let runtimes = built_in(day)?;
        let has_data = |name: &String| runtimes.iter().any(|known| known.name == *name);
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            day,
            retired: lifecycles()?.keys().filter(|name| !has_data(name)).cloned().collect(),
            runtimes,
        })
    }
}

/// Report of `runtimes show`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuntimeReport<'a> {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The runtime's name.
    pub name: &'a str,
    /// What it is, in a line.
    pub title: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// The environment of a function's process.
    pub environment: &'a BTreeMap<String, String>,
    /// The highest version of each family of symbols.
    pub highest_versions: &'a BTreeMap<String, String>,
    /// The loader, and where it looks last.
    pub interpreter: &'a str,
    /// Where the loader looks last.
    pub default_directories: &'a [String],
    /// The packages of languages that it is known to have. AWS updates those of its own runtimes at any time.
    pub installed: &'a [InstalledPackage],
    /// Libraries and commands by their absolute paths.
    pub files: Vec<String>,
}

impl<'a> RuntimeReport<'a> {
    /// What there is to say of a runtime.
    pub fn of(runtime: &'a Runtime) -> Self {
        let is_file = |entry: &Entry| matches!(entry, Entry::File(_));
        Self {
            schema_version: SCHEMA_VERSION,
            name: &runtime.name,
            title: &runtime.title,
            arch: runtime.arch,
            environment: &runtime.environment,
            highest_versions: &runtime.highest_versions,
            interpreter: &runtime.interpreter,
            default_directories: &runtime.default_directories,
            installed: &runtime.installed,
            files: runtime
                .entries()
                .filter(|(_, entry)| is_file(entry))
                .map(|(path, _)| path)
                .collect(),
        }
    }
}

/// The built-in runtimes.
pub fn runtimes(list: &RuntimeList, render: RenderOptions) -> String {
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let rows = list.runtimes.iter().map(|summary| {
        vec![
            summary.name.clone(),
            summary.title.clone(),
            summary.base.clone(),
            summary
                .archs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            summary.state.to_string(),
            day(summary.lifecycle.deprecated),
            day(summary.lifecycle.create_blocked),
            summary.recorded.clone(),
        ]
    });
    let columns = [
        Column::Left("Runtime"),
        Column::Left("Description"),
        Column::Left("Base"),
        Column::Left("Architectures"),
        Column::Left("State"),
        Column::Left("Deprecated"),
        Column::Left("No new functions"),
        Column::Left("Data from"),
    ];
    let mut text = render.table(&columns, rows.collect());
    text.push('\n');
    text + &render.folded("Retired: ", &list.retired.join(", "))
}

/// One runtime: its environment, versions and files.
pub fn runtime(runtime: &Runtime, render: RenderOptions) -> String {
    let mut text = format!("{} on {}: {}\n", runtime.name, runtime.arch, runtime.title);
    text += &render.heading("Environment");
    for (name, value) in &runtime.environment {
        text += &format!("{name}={value}\n");
    }
    text += &render.heading("Loader");
    text += &format!(
        "{}, then {}\n",
        runtime.interpreter,
        runtime.default_directories.join(", ")
    );
    for (family, version) in &runtime.highest_versions {
        text += &format!("up to {family}_{version}\n");
    }
    if !runtime.installed.is_empty() {
        text += &render.heading("Packages");
        for package in &runtime.installed {
            text += &format!("{} {} {}\n", package.language, package.name, package.version);
        }
        if runtime.image().is_some() {
            text += "as recorded; AWS updates them at any time, in one region before another\n";
        }
    }
    let mut libraries = Vec::new();
    let mut commands = Vec::new();
    for (path, entry) in runtime.entries() {
        if let Entry::File(file) = entry {
            let list = if file.content.object().is_some() {
                &mut libraries
            } else {
                &mut commands
            };
            list.push(path);
        }
    }
    for (title, list) in [("Libraries", libraries), ("Commands", commands)] {
        text += &render.heading(title);
        for path in list {
            text += &format!("{path}\n");
        }
    }
    text
}
