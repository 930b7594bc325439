//! Where the time of a run goes: its phases, with wall time, processor time and bytes.
//!
//! A phase is marked where it happens, by a guard that [`phase`] gives. Nothing is kept until [`record`] is called, and only
//! phases of the thread that called it are: those of other threads are parts of them. There is one recorder for the process,
//! as there is one clock; no result depends on it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Version of the schema of [`Timings`].
const SCHEMA_VERSION: u32 = 1;

/// Whether there is a recorder, to be asked without a lock.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);

/// The phases of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timings {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The phases, in the order in which they began; those within another one follow it.
    pub phases: Vec<PhaseTiming>,
    /// Wall time of the run, in microseconds.
    pub wall_microseconds: u64,
    /// Processor time of all threads, in microseconds.
    pub processor_microseconds: u64,
}

/// One phase. If it happened several times within the same phase, the sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PhaseTiming {
    /// Its name.
    pub phase: &'static str,
    /// In how many other phases it is.
    pub depth: usize,
    /// How many times it happened.
    pub times: u64,
    /// Wall time in microseconds, with the phases within it.
    pub wall_microseconds: u64,
    /// Processor time of all threads in microseconds, with the phases within it.
    pub processor_microseconds: u64,
    /// How many bytes it worked on; `None` if it does not count them.
    pub bytes: Option<u64>,
}

impl PhaseTiming {
    /// Bytes in a second of wall time.
    pub fn bytes_per_second(&self) -> Option<u64> {
        let bytes = u128::from(self.bytes?) * 1_000_000;
        u64::try_from(bytes.checked_div(self.wall_microseconds.into())?).ok()
    }
}

struct Recorder {
    thread: ThreadId,
    clocks: Clocks,
    rows: Vec<Row>,
    /// The rows of the phases that have begun and not ended.
    open: Vec<usize>,
}

struct Row {
    timing: PhaseTiming,
    within: Option<usize>,
}

/// A moment on the clocks of the wall and of the processor.
#[derive(Clone, Copy)]
struct Clocks {
    wall: Instant,
    processor: Duration,
}

impl Clocks {
    fn now() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Self {
            wall: Instant::now(),
            processor: Duration::new(seconds, nanoseconds),
        }
    }

    /// Wall and processor time since then, in microseconds.
    fn elapsed(self) -> (u64, u64) {
        let now = Self::now();
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        (
            microseconds(now.wall.saturating_duration_since(self.wall)),
            microseconds(now.processor.saturating_sub(self.processor)),
        )
    }
}

/// Keeps the phases of this thread from now on.
pub fn record() {
    if let Ok(mut recorder) = RECORDER.lock() {
        *recorder = Some(Recorder {
            thread: thread::current().id(),
            clocks: Clocks::now(),
            rows: Vec::new(),
            open: Vec::new(),
        });
        IS_RECORDING.store(true, Ordering::Relaxed);
    }
}

/// The phases that have ended since [`record`], and an end of recording; `None` if there was no recording.
pub fn take() -> Option<Timings> {
    IS_RECORDING.store(false, Ordering::Relaxed);
    let recorder = RECORDER.lock().ok()?.take()?;
    let (wall_microseconds, processor_microseconds) = recorder.clocks.elapsed();
    let mut phases = Vec::new();
    recorder.list(None, &mut phases);
    Some(Timings {
        schema_version: SCHEMA_VERSION,
        phases,
        wall_microseconds,
        processor_microseconds,
    })
}

/// Begins a phase, which ends when the guard is dropped.
pub fn phase(name: &'static str) -> Phase {
    Phase {
        running: IS_RECORDING.load(Ordering::Relaxed).then(|| begin(name)).flatten(),
        bytes: AtomicU64::new(0),
    }
}

/// A phase that is under way.
#[must_use = "the phase ends when this is dropped"]
pub struct Phase {
    running: Option<(usize, Clocks)>,
    bytes: AtomicU64,
}

impl Phase {
    /// So many bytes more were worked on; any thread may say so.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        let Some((row, clocks)) = self.running else { return };
        let elapsed = clocks.elapsed();
        if let Ok(mut recorder) = RECORDER.lock()
            && let Some(recorder) = recorder.as_mut()
        {
            recorder.end(row, elapsed, *self.bytes.get_mut());
        }
    }
}

fn begin(name: &'static str) -> Option<(usize, Clocks)> {
    let mut recorder = RECORDER.lock().ok()?;
    let row = recorder.as_mut()?.begin(name)?;
    Some((row, Clocks::now()))
}

impl Recorder {
    /// The row of a phase; `None` for one of another thread.
    fn begin(&mut self, phase: &'static str) -> Option<usize> {
        if thread::current().id() != self.thread {
            return None;
        }
        let within = self.open.last().copied();
        let same = |row: &Row| row.within == within && row.timing.phase == phase;
        let row = self.rows.iter().position(same).unwrap_or_else(|| {
            let timing = PhaseTiming {
                phase,
                depth: self.open.len(),
                times: 0,
                wall_microseconds: 0,
                processor_microseconds: 0,
                bytes: None,
            };
            self.rows.push(Row { timing, within });
            self.rows.len() - 1
        });
        self.open.push(row);
        Some(row)
    }

    fn end(&mut self, row: usize, (wall, processor): (u64, u64), bytes: u64) {
        if let Some(last) = self.open.iter().rposition(|open| *open == row) {
            self.open.remove(last);
        }
        let Some(Row { timing, .. }) = self.rows.get_mut(row) else {
            return;
        };
        timing.times += 1;
        timing.wall_microseconds += wall;
        timing.processor_microseconds += processor;
        if bytes > 0 {
            *timing.bytes.get_or_insert_default() += bytes;
        }
    }

    /// Lists the phases within one, each followed by those within it. A row is after that which it is within.
    fn list(&self, within: Option<usize>, phases: &mut Vec<PhaseTiming>) {
        for (number, row) in self.rows.iter().enumerate().filter(|(_, row)| row.within == within) {
            phases.push(row.timing.clone());
            self.list(Some(number), phases);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder {
            thread: thread::current().id(),
            clocks: Clocks::now(),
            rows: Vec::new(),
            open: Vec::new(),
        }
    }

    #[test]
    fn phases_nest_and_add_up() {
        let mut recorder = recorder();
        let outer = recorder.begin("plan").unwrap();
        let loader = recorder.begin("loader").unwrap();
        recorder.end(loader, (20, 30), 0);
        let again = recorder.begin("loader").unwrap();
        recorder.end(again, (2, 3), 0);
        recorder.end(outer, (50, 60), 0);
        let compress = recorder.begin("compress").unwrap();
        recorder.end(compress, (1_000_000, 2_000_000), 5_000_000);
        let loader = recorder.begin("loader").unwrap();
        recorder.end(loader, (1, 1), 0);
        let mut phases = Vec::new();
        recorder.list(None, &mut phases);
        let rows: Vec<_> = phases
            .iter()
            .map(|row| {
                (
                    row.phase,
                    row.depth,
                    row.times,
                    row.wall_microseconds,
                    row.bytes_per_second(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("plan", 0, 1, 50, None),
                ("loader", 1, 2, 22, None),
                ("compress", 0, 1, 1_000_000, Some(5_000_000)),
                ("loader", 0, 1, 1, None),
            ]
        );
    }

    #[test]
    fn phases_of_other_threads_are_not_recorded() {
        let mut recorder = recorder();
        let recorder = &mut recorder;
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(recorder.begin("elsewhere"), None));
        });
        assert!(recorder.rows.is_empty());
    }
}
