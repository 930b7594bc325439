//! What the user asks for.

use std::path::PathBuf;
use std::time::Duration;

use super::FUNCTION;
use super::data::DATA;
use crate::check::Input;
use crate::languages::managed_runtime;
use crate::runtime::Runtime;

/// What to run, and how.
pub struct InvokeOptions<'a> {
    /// The layers, in the order in which they are attached.
    pub layers: Vec<Input>,
    /// The function's own code, nothing if there is none.
    pub task: Vec<Input>,
    /// The runtime that they are to run on.
    pub runtime: &'a Runtime,
    /// The root of an unpacked image of that runtime; without one it is made from this machine's files.
    pub rootfs: Option<PathBuf>,
    /// `_HANDLER`
    pub handler: String,
    /// What the languages of the layers advise where there is no bootstrap.
    pub bootstrap_advice: Vec<&'static str>,
    /// Variables that beat the others.
    pub environment: Vec<(String, String)>,
    /// How long an event may take.
    pub timeout: Duration,
    /// How much memory the function has, in Lambda's MB, which are 1,048,576 bytes.
    pub memory_mb: u64,
    /// Whether it is noted which files the function uses.
    pub traced: bool,
}

impl InvokeOptions<'_> {
    /// How much memory the function has, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_mb.saturating_mul(1 << 20)
    }

    /// The whole environment of the bootstrap.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.runtime.environment.clone();
        for (name, value) in &DATA.environment {
            let value = value
                .replace("{handler}", &self.handler)
                .replace("{memory}", &self.memory_mb.to_string())
                .replace("{name}", FUNCTION);
            environment.insert(name.clone(), value);
        }
        // With an image its own start script sets them.
        if self.rootfs.is_none()
            && let Some(managed) = managed_runtime(&self.runtime.name)
        {
            environment.extend(
                managed
                    .variables
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        environment.extend(self.environment.iter().cloned());
        environment.into_iter().collect()
    }

    /// The whole environment of extensions.
    pub(super) fn extension_environment(&self) -> Vec<(String, String)> {
        let mut environment = self.environment();
        environment.retain(|(name, _)| !DATA.extensions.without.contains(name));
        environment
    }
}
