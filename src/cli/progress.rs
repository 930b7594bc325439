//! Progress bars on a terminal, nothing in a pipe, and Ctrl-C.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Interrupted, Progress, Stage, Work};
use crate::timings::{Phase, phase};

use super::output::{Failure, Status, error};

/// How a stage is drawn that is counted in bytes.
const BYTES: &str = "{prefix:>12} {wide_bar} {decimal_bytes}/{decimal_total_bytes}";

/// The same for one that is counted in files.
const FILES: &str = "{prefix:>12} {wide_bar} {pos}/{len}";

/// The progress of this run.
pub(super) struct Terminal {
    shown: bool,
    stopped: Arc<AtomicBool>,
    only_reads: Arc<Mutex<Option<Temporary>>>,
    listening: Once,
}

/// What a run has made for itself alone: files, and directories with all that is in them.
type Temporary = Vec<PathBuf>;

/// While it is there, the run only reads, and a signal ends the process at once.
pub(super) struct OnlyReading(Arc<Mutex<Option<Temporary>>>);

impl Drop for OnlyReading {
    fn drop(&mut self) {
        set(&self.0, None);
    }
}

fn set(state: &Mutex<Option<Temporary>>, value: Option<Temporary>) {
    *state.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

impl Terminal {
    /// Shows bars if stderr is a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            shown: !quiet && std::io::stderr().is_terminal(),
            stopped: Arc::new(AtomicBool::new(false)),
            only_reads: Arc::default(),
            listening: Once::new(),
        }
    }

    /// Lets a signal end the process at once, whatever it is doing, until what this gives is dropped: nothing is made or
    /// changed until then, and what was made before is removed.
    pub(super) fn only_reading(&self, made: Temporary) -> OnlyReading {
        set(&self.only_reads, Some(made));
        self.listen();
        OnlyReading(Arc::clone(&self.only_reads))
    }

    /// Takes Ctrl-C and SIGTERM as a wish to stop. Before the first stage nothing is changed, and a signal ends the process,
    /// whatever it waits for, such as a configuration from a pipe.
    fn listen(&self) {
        self.listening.call_once(|| {
            let stopped = Arc::clone(&self.stopped);
            let only_reads = Arc::clone(&self.only_reads);
            // Without a handler the signal ends the process, and unfinished files stay behind: no reason not to work.
            let _ = ctrlc::set_handler(move || {
                stopped.store(true, Ordering::Relaxed);
                // Held until the process has ended: nothing can be made meanwhile.
                let only_reads = only_reads.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(made) = &*only_reads {
                    error(Failure::Interrupted.message());
                    remove(made);
                    end();
                }
            });
        });
    }
}

impl Progress for Terminal {
    fn start(&self, stage: Stage, total: u64) -> Box<dyn Work> {
        self.listen();
        let target = if self.shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        let (name, template, timed) = match stage {
            Stage::Scan => ("Scanning", "{prefix:>12} {pos} entries", "scan"),
            Stage::Compress => ("Compressing", BYTES, "compress"),
            Stage::SaveLayer => ("To save a layer, compressing harder", BYTES, "compress harder"),
            Stage::Write => ("Writing", BYTES, "write zips"),
            Stage::Check => ("Checking", BYTES, "read zips"),
            Stage::Publish => ("Publishing", BYTES, "publish"),
            Stage::Unpack => ("Unpacking", FILES, "unpack"),
            Stage::Move => ("Moving", FILES, "move"),
            Stage::Copy => ("Copying", BYTES, "copy"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name);
        Box::new(Bar {
            drawn: bar,
            counts_bytes: template == BYTES,
            phase: phase(timed),
        })
    }

    fn check(&self) -> Result<(), Interrupted> {
        if self.stopped.load(Ordering::Relaxed) {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

/// A bar that is drawn, and the phase that it stands for.
struct Bar {
    drawn: ProgressBar,
    counts_bytes: bool,
    phase: Phase,
}

impl Work for Bar {
    fn advance(&self, units: u64) {
        self.drawn.inc(units);
        if self.counts_bytes {
            self.phase.add_bytes(units);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

/// Removes what a run made for itself. What cannot be removed stays where temporary files are.
fn remove(made: &[PathBuf]) {
    for path in made {
        if path.is_dir() {
            let _ = fs_err::remove_dir_all(path);
        } else {
            let _ = fs_err::remove_file(path);
        }
    }
}

/// Ends the process as interrupted.
#[expect(
    clippy::exit,
    reason = "the threads that would have to be waited for do not look at signals"
)]
fn end() {
    std::process::exit(Status::INTERRUPTED.into());
}

/// The terminal's width in columns.
pub(super) fn width() -> u16 {
    console::Term::stdout().size().1
}
