//! What a Lambda runtime provides: its files, as far as they are known, its environment and its loader's defaults.
//!
//! The data is in `rules/runtimes/*.toml`; [`crate::capture`] makes such a file from an unpacked image.

mod arch;
pub(crate) mod data;
mod error;
mod glibc;
mod ld_so_conf;
mod lifecycle;
pub mod needs;
pub(crate) mod source;
pub(crate) mod symbol_list;
mod symbol_versions;

use std::collections::BTreeMap;
use std::path::Path;

pub use arch::Arch;
pub use data::{InstalledPackage, Summary, built_in, digest};
pub use error::RuntimeError;
pub use ld_so_conf::configured_directories;
pub use lifecycle::{Lifecycle, State, lifecycles, recorded};
pub use symbol_versions::{family, numbers};

use crate::tree::{Entry, Tree};

/// The runtime that is meant where none is named: the only one of those without a language that AWS still develops.
pub const DEFAULT: &str = "provided.al2023";

/// Where the function's own code is, and where its processes start (AWS Lambda developer guide, "Building a custom runtime":
/// `LAMBDA_TASK_ROOT`).
pub const TASK_ROOT: &str = "/var/task";

/// One runtime on one architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Runtime {
    /// The name that AWS gives it, such as `provided.al2023`, or that its file gives it.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// The architecture.
    pub arch: Arch,
    /// The environment of a function's process.
    pub environment: BTreeMap<String, String>,
    /// Where the loader looks last.
    pub default_directories: Vec<String>,
    /// Directories that the loader tries below each directory that it searches, before that directory itself.
    pub hardware_directories: Vec<String>,
    /// What `$LIB` stands for in a search path.
    pub lib: String,
    /// What `$PLATFORM` stands for in a search path.
    pub platform: String,
    /// The directory in which a function's process starts; relative search paths begin here.
    pub working_directory: String,
    /// The loader's own path.
    pub interpreter: String,
    /// The packages of languages that it is known to have.
    pub installed: Vec<InstalledPackage>,
    /// For each family of symbol versions, such as `GLIBC`, the highest that the runtime's libraries define. Asked where a
    /// library's own versions are not known.
    pub highest_versions: BTreeMap<String, String>,
    /// What it has outside of /opt: libraries, commands and links, by their absolute paths without the leading `/`.
    files: Tree,
}

impl Runtime {
    /// A built-in runtime by its name, or one of the user's by the path of its file.
    pub fn load(name: &str, arch: Arch) -> Result<Self, RuntimeError> {
        match data::load_built_in(name, arch) {
            Err(RuntimeError::Unknown { .. }) if Path::new(name).is_file() => data::load_file(Path::new(name), arch),
            result => result,
        }
    }

    /// What the runtime has at an absolute path, links not followed; `None` where nothing is known to be.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.files.at(path.strip_prefix('/')?)
    }

    /// Everything that the runtime is known to have, by its absolute path.
    pub fn entries(&self) -> impl Iterator<Item = (String, &Entry)> {
        self.files
            .iter()
            .map(|(path, entry)| (format!("/{}", path.as_str()), entry))
    }

    /// Whether it brings a language and starts functions itself; one that does not starts the `bootstrap` of the function or
    /// its layers.
    pub fn has_language(&self) -> bool {
        self.files.iter().any(|(path, _)| {
            ["var/lang/", "var/runtime/"]
                .iter()
                .any(|directory| path.as_str().starts_with(directory))
        })
    }

    /// AWS's image of the runtime; `None` unless the runtime is built in. The image is named for the part of the runtime's name
    /// before its version, and the version is its tag (AWS Lambda developer guide, "AWS base images for Lambda").
    pub fn image(&self) -> Option<String> {
        if !data::is_built_in(&self.name) {
            return None;
        }
        let name = self.name.trim_end_matches(".x");
        let version = name.find(|c: char| c == '.' || c.is_ascii_digit())?;
        let (name, version) = name.split_at(version);
        Some(format!(
            "public.ecr.aws/lambda/{name}:{}",
            version.trim_start_matches('.')
        ))
    }

    /// The runtime with these variables set for the function.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Whether it is recorded what the runtime's libraries define, as `runtimes capture` does.
    pub fn records_symbols(&self) -> bool {
        let objects = self.files.iter().filter_map(|(_, entry)| match entry {
            Entry::File(file) => file.content.object(),
            _ => None,
        });
        objects.into_iter().any(|object| object.symbols.is_some())
    }

    /// Whether a library, by its absolute path, is one of glibc's.
    pub fn is_of_glibc(&self, path: &str) -> bool {
        glibc::is_library(path.rsplit('/').next().unwrap_or_default())
    }

    /// Whether a library is known to define every symbol with a version: those that `highest_versions` is about.
    pub fn defines_versions(&self, soname: &str) -> bool {
        glibc::is_library(soname) || ["libstdc++.so.6", "libgcc_s.so.1"].contains(&soname)
    }

    /// `PATH` of a function's process, element by element.
    pub fn command_path(&self) -> Vec<String> {
        self.environment
            .get("PATH")
            .filter(|value| !value.is_empty())
            .map(|value| value.split(':').map(ToOwned::to_owned).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    #[test]
    fn images_have_the_names_that_aws_gives_them() {
        let image = |name| Runtime::load(name, Arch::X86_64).unwrap().image();
        for (name, expected) in [
            ("provided.al2023", "provided:al2023"),
            ("python3.13", "python:3.13"),
            ("nodejs22.x", "nodejs:22"),
            ("java21", "java:21"),
        ] {
            assert_eq!(image(name), Some(format!("public.ecr.aws/lambda/{expected}")));
        }
    }

    #[test]
    fn every_built_in_runtime_loads_on_its_architectures() {
        let mut names = 0;
        for summary in built_in(recorded().unwrap()).unwrap() {
            names += 1;
            for arch in summary.archs {
                let runtime = Runtime::load(&summary.name, arch).unwrap();
                assert_eq!(runtime.name, summary.name);
                assert!(runtime.environment["LD_LIBRARY_PATH"].ends_with(":/opt/lib"));
                let loader = runtime.entry(&runtime.interpreter);
                let linked = runtime.interpreter.replacen("/lib", "/usr/lib", 1);
                assert!(loader.or(runtime.entry(&linked)).is_some(), "{} {arch}", summary.name);
            }
        }
        assert!(names >= 20);
        assert!(matches!(
            Runtime::load("provided", Arch::Arm64),
            Err(RuntimeError::NotOnArch { .. })
        ));
        assert!(matches!(
            Runtime::load("provided.al3", Arch::Arm64),
            Err(RuntimeError::Unknown { .. })
        ));
        assert!(matches!(
            Runtime::load("nodejs4.3", Arch::X86_64),
            Err(RuntimeError::Retired { successor, .. }) if successor == "nodejs24.x"
        ));
    }

    #[test]
    fn every_runtime_that_the_api_names_has_its_data_or_is_retired() {
        let day = recorded().unwrap();
        let known: Vec<String> = built_in(day).unwrap().into_iter().map(|summary| summary.name).collect();
        for (name, lifecycle) in lifecycles().unwrap() {
            let retired = lifecycle.state(day) >= State::CreateBlocked;
            assert!(known.contains(name) || retired, "{name}");
            if let Some(successor) = &lifecycle.successor {
                assert!(known.contains(successor), "{name} is succeeded by {successor}");
            }
        }
        for name in &known {
            assert!(lifecycles().unwrap().contains_key(name), "{name}");
        }
    }

    #[test]
    fn runtimes_without_a_language_are_those_that_aws_calls_provided() {
        for summary in built_in(recorded().unwrap()).unwrap() {
            let runtime = Runtime::load(&summary.name, Arch::X86_64).unwrap();
            assert_eq!(
                runtime.has_language(),
                !summary.name.starts_with("provided"),
                "{}",
                summary.name
            );
        }
    }

    /// A sample of the table in which the lists of the four file systems were compared.
    #[test]
    fn runtimes_have_what_the_dumps_show() {
        let has = |runtime: &str, soname: &str| {
            let runtime = Runtime::load(runtime, Arch::X86_64).unwrap();
            ["/usr/lib64", "/var/lang/lib", "/var/runtime/lib"]
                .iter()
                .any(|directory| runtime.entry(&format!("{directory}/{soname}")).is_some())
        };
        let columns = ["provided", "provided.al2", "nodejs16.x", "provided.al2023"];
        for (soname, expected) in [
            ("libgcc_s.so.1", [true, true, true, true]),
            ("libstdc++.so.6", [true, true, true, true]),
            ("libgomp.so.1", [true, false, false, false]),
            ("libgfortran.so.5", [false, false, false, false]),
            ("libquadmath.so.0", [false, false, false, false]),
            ("liblzma.so.5", [true, true, false, true]),
            ("libcurl.so.4", [true, true, false, true]),
            ("libcrypto.so.3", [false, false, false, true]),
            ("libpcre2-8.so.0", [false, false, false, true]),
            ("libicuuc.so.50", [true, true, true, false]),
            ("libexpat.so.1", [true, false, true, false]),
            ("libtirpc.so.3", [false, false, false, false]),
        ] {
            for (runtime, expected) in columns.iter().zip(expected) {
                assert_eq!(has(runtime, soname), expected, "{soname} in {runtime}");
            }
        }
        assert!(has("python3.12", "libcrypt.so.1") && !has("provided.al2023", "libcrypt.so.1"));
        assert!(has("nodejs24.x", "libssl.so.3") && has("nodejs26.x", "libstdc++.so.6"));
        assert!(has("java21", "libfreetype.so") && has("ruby4.0", "libruby.so.4.0"));
        // In the dumps of python3.12 to 3.15, and of JDKs with a vector library, the lists differ.
        for (name, soname) in [("python3.15", "libcrypt.so.1"), ("java21", "libjsvml.so")] {
            let path = format!("/var/lang/lib/{soname}");
            assert!(
                Runtime::load(name, Arch::X86_64).unwrap().entry(&path).is_some(),
                "{name}"
            );
            assert!(
                Runtime::load(name, Arch::Arm64).unwrap().entry(&path).is_none(),
                "{name}"
            );
        }
        let arm = Runtime::load(DEFAULT, Arch::Arm64).unwrap();
        assert!(arm.entry("/usr/lib64/libmvec.so.1").is_none());
        assert!(matches!(arm.entry("/lib64"), Some(Entry::Symlink(target)) if target == "usr/lib64"));
        let library = arm.entry("/usr/lib64/libz.so.1");
        assert!(matches!(library, Some(Entry::File(file)) if matches!(file.content, Content::Object(_))));
    }
}
