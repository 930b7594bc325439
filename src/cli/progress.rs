//! Progress bars on a terminal, nothing in a pipe, and Ctrl-C.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Interrupted, Progress, Stage, Work};

/// How a stage is drawn that is counted in bytes.
const BYTES: &str = "{prefix:>12} {wide_bar} {decimal_bytes}/{decimal_total_bytes}";

/// The progress of this run.
pub(super) struct Terminal {
    shown: bool,
    stopped: Arc<AtomicBool>,
    listening: Once,
}

impl Terminal {
    /// Shows bars if stderr is a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            shown: !quiet && std::io::stderr().is_terminal(),
            stopped: Arc::new(AtomicBool::new(false)),
            listening: Once::new(),
        }
    }

    /// Takes Ctrl-C and SIGTERM as a wish to stop. Before the first stage nothing is changed, and a signal ends the process,
    /// whatever it waits for, such as a configuration from a pipe.
    fn listen(&self) {
        self.listening.call_once(|| {
            let flag = Arc::clone(&self.stopped);
            // Without a handler the signal ends the process, and unfinished files stay behind: no reason not to work.
            let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
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
        let (name, template) = match stage {
            Stage::Scan => ("Scanning", "{prefix:>12} {pos} entries"),
            Stage::Compress => ("Compressing", BYTES),
            Stage::Write => ("Writing", BYTES),
            Stage::Check => ("Checking", BYTES),
            Stage::Publish => ("Publishing", BYTES),
            Stage::Unpack => ("Unpacking", "{prefix:>12} {wide_bar} {pos}/{len}"),
            Stage::Move => ("Moving", "{prefix:>12} {wide_bar} {pos}/{len}"),
            Stage::Copy => ("Copying", BYTES),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name);
        Box::new(Bar(bar))
    }

    fn check(&self) -> Result<(), Interrupted> {
        if self.stopped.load(Ordering::Relaxed) {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

struct Bar(ProgressBar);

impl Work for Bar {
    fn advance(&self, units: u64) {
        self.0.inc(units);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The terminal's width in columns.
pub(super) fn width() -> u16 {
    console::Term::stdout().size().1
}
