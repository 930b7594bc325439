//! `--compile`: byte code for the modules that have none, or none that the runtime would believe.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rayon::prelude::*;

use crate::invoke;
use crate::languages::layout::of_runtime;
use crate::languages::{Compiler, managed_runtime};
use crate::plan::{Origin, Plan};
use crate::runtime::Runtime;
use crate::tree::TreePath;

use super::output::Failure;

/// How many modules one process compiles: what it makes of one depends on those that it has compiled before, and must not on the
/// number of threads.
const AT_ONCE: usize = 200;

/// One module.
struct Job {
    source: PathBuf,
    path: TreePath,
    compiled: TreePath,
}

/// Adds the byte code to a plan. Returns how many modules were compiled, and by which program.
pub(super) fn compile(plan: &mut Plan, directory: &Path, runtime: &Runtime) -> Result<(usize, PathBuf), Failure> {
    let name = &runtime.name;
    let found = of_runtime(name).and_then(|(language, _, version)| Some((language.compiler()?, version)));
    let Some((compiler, version)) = found else {
        let message = format!(
            "--compile needs a runtime whose modules can be compiled; the layers are for {name}: choose another with --runtime, or omit --compile"
        );
        return Err(Failure::Error(message));
    };
    let managed = managed_runtime(name);
    let program = managed.as_ref().and_then(invoke::interpreter_of);
    let Some(program) = program else {
        let how = managed.map(|managed| managed.how_to_get).unwrap_or_default();
        let message = format!("--compile needs the interpreter of {name} on this machine, of the same version: {how}");
        return Err(Failure::Error(message));
    };
    let jobs = jobs(plan, directory, &compiler, version);
    let results = tempfile::tempdir().map_err(|error| Failure::Error(error.to_string()))?;
    let numbered: Vec<(usize, &Job)> = jobs.iter().enumerate().collect();
    let run = |chunk: &[(usize, &Job)]| compile_some(chunk, &compiler, &program, results.path());
    numbered.par_chunks(AT_ONCE).try_for_each(run)?;
    let mut count = 0;
    for (number, job) in jobs.iter().enumerate() {
        if let Ok(bytes) = fs_err::read(results.path().join(number.to_string())) {
            plan.add_generated(job.compiled.clone(), bytes);
            count += 1;
        }
    }
    Ok((count, program))
}

/// The modules of a plan without byte code that will be believed.
fn jobs(plan: &Plan, directory: &Path, compiler: &Compiler, version: &str) -> Vec<Job> {
    let on_disk = |path: &TreePath| match plan.origins.get(path) {
        None => Some(directory.join(path.as_str())),
        Some(Origin::Tree(other)) => Some(directory.join(other.as_str())),
        Some(Origin::Host(_) | Origin::Generated(_)) => None,
    };
    let files: Vec<&TreePath> = plan.kept.files().map(|(path, _)| path).collect();
    let jobs = files.into_par_iter().filter_map(|path| {
        let target = (compiler.place)(path, version)?;
        let source = on_disk(path)?;
        let existing = plan.kept.contains(&target).then(|| on_disk(&target)).flatten();
        let existing = existing.and_then(|existing| fs_err::read(existing).ok());
        let is_current = existing.is_some_and(|existing| {
            let modified = fs_err::metadata(&source).ok().and_then(|data| data.modified().ok());
            let modified = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            let seconds = modified.and_then(|time| u32::try_from(time.as_secs() & u64::from(u32::MAX)).ok());
            let content = fs_err::read(&source).unwrap_or_default();
            (compiler.is_current)(&existing, &content, seconds.unwrap_or_default())
        });
        (!is_current).then(|| Job {
            source,
            path: path.clone(),
            compiled: target,
        })
    });
    jobs.collect()
}

fn compile_some(jobs: &[(usize, &Job)], compiler: &Compiler, program: &Path, results: &Path) -> Result<(), Failure> {
    let lines: Vec<[String; 3]> = jobs
        .iter()
        .map(|(number, job)| {
            let text = |path: &Path| path.display().to_string();
            [
                text(&job.source),
                job.path.on_lambda(),
                text(&results.join(number.to_string())),
            ]
        })
        .collect();
    let failed = |error: &dyn std::fmt::Display| Failure::Error(format!("{}: {error}", program.display()));
    let mut child = Command::new(program)
        .args(compiler.arguments)
        .arg(compiler.script)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error))?;
    let input = serde_json::to_vec(&lines).map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why by its status.
        let _ = stdin.write_all(&input);
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(&format!("ended with {status} while it compiled modules")))
    }
}
