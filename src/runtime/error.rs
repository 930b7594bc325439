//! Why a runtime cannot be had.

use serde::Deserialize;

use super::Arch;

/// Why there is no such runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No runtime of that name is built in, and no file is there.
    #[error("there is no runtime '{name}', and no such file{near} (`lambdar-prune runtimes` lists the built-in ones)")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The built-in runtime that was most likely meant, as part of a sentence.
        near: String,
    },
    /// AWS no longer lets anybody create functions with it, and nothing is recorded of it.
    #[error("runtime {name} is retired: no function can be created with it; use its successor {successor}")]
    Retired {
        /// The runtime.
        name: String,
        /// What AWS recommends instead.
        successor: String,
    },
    /// Lambda has no such architecture.
    #[error("'{0}' is not a Lambda architecture: use x86_64 or arm64")]
    UnknownArch(String),
    /// The runtime exists, but not on this architecture.
    #[error("runtime {name} does not exist on {arch}; choose another one with --runtime, or another --arch")]
    NotOnArch {
        /// The runtime.
        name: String,
        /// The architecture asked for.
        arch: Arch,
    },
    /// The data does not parse.
    #[error("runtime {name}: {reason}")]
    Data {
        /// The runtime, or the file it came from.
        name: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// The file cannot be read.
    #[error("cannot read the runtime: {0}")]
    Read(#[from] std::io::Error),
}

/// Reads data in TOML; `origin` is what it is called in an error.
pub(super) fn parse<T: for<'a> Deserialize<'a>>(origin: &str, text: &str) -> Result<T, RuntimeError> {
    toml::from_str(text).map_err(|error| RuntimeError::Data {
        name: origin.to_owned(),
        reason: error.to_string(),
    })
}
