//! How long work tells how far it is, and how it is stopped. The library only knows these traits; the command line
//! draws them.

/// What is being done, with the unit in which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking at the tree; counted in entries, total unknown.
    Scan,
    /// Compressing; counted in bytes.
    Compress,
    /// Compressing some once more, at the highest effort, because that may save a layer; counted in bytes.
    SaveLayer,
    /// Writing zips; counted in bytes.
    Write,
    /// Reading zips back; counted in bytes.
    Check,
    /// Moving into the trash or back; counted in paths.
    Move,
    /// Copying; counted in bytes.
    Copy,
    /// Unpacking layers; counted in files.
    Unpack,
    /// Sending layers to AWS; counted in bytes.
    Publish,
}

/// The user asked for the run to stop.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// A run's progress, shared by all threads.
pub trait Progress: Sync {
    /// Begins a stage of `total` units, 0 if that is not known.
    fn start(&self, stage: Stage, total: u64) -> Box<dyn Work>;

    /// Fails once the user has asked for the run to stop.
    fn check(&self) -> Result<(), Interrupted>;
}

/// One stage under way; it ends when dropped.
pub trait Work: Sync + Send {
    /// So many units more are done.
    fn advance(&self, units: u64);
}

/// Shows nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: Stage, _: u64) -> Box<dyn Work> {
        Box::new(Self)
    }

    fn check(&self) -> Result<(), Interrupted> {
        Ok(())
    }
}

impl Work for Silent {
    fn advance(&self, _: u64) {}
}

/// A run that is to stop.
#[cfg(test)]
pub(crate) struct Stopped;

#[cfg(test)]
impl Progress for Stopped {
    fn start(&self, _: Stage, _: u64) -> Box<dyn Work> {
        Box::new(Silent)
    }

    fn check(&self) -> Result<(), Interrupted> {
        Err(Interrupted)
    }
}
