//! The processor architectures of Lambda.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::RuntimeError;
use crate::elf::{Machine, Object};

/// The processor architectures of Lambda, by the names that AWS gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Arch {
    /// `x86_64`
    #[serde(rename = "x86_64")]
    X86_64,
    /// `arm64`
    #[serde(rename = "arm64")]
    Arm64,
}

impl Arch {
    /// Lambda's architectures.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// The machine of the ELF objects that run on it.
    pub fn machine(self) -> Machine {
        match self {
            Self::X86_64 => Machine::X86_64,
            Self::Arm64 => Machine::Aarch64,
        }
    }

    /// The architecture that most of the objects are for; `None` where no object is for one of Lambda's.
    pub fn of_most<'a>(objects: impl Iterator<Item = &'a Object>) -> Option<Self> {
        let mut counts = [(0_usize, Self::X86_64), (0, Self::Arm64)];
        for object in objects {
            for (count, arch) in &mut counts {
                *count += usize::from(object.machine == arch.machine());
            }
        }
        let [(x86_64, _), (arm64, _)] = counts;
        match (x86_64, arm64) {
            (0, 0) => None,
            _ if arm64 > x86_64 => Some(Self::Arm64),
            _ => Some(Self::X86_64),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

impl std::str::FromStr for Arch {
    type Err = RuntimeError;

    /// Reads the names of AWS, and those that Linux and container images have for the same.
    fn from_str(name: &str) -> Result<Self, RuntimeError> {
        match name.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" | "amd64" | "x64" => Ok(Self::X86_64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(RuntimeError::UnknownArch(name.to_owned())),
        }
    }
}
