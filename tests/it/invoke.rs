//! Handlers run on layers in a sandbox. Needs bubblewrap, user namespaces and curl; without them it is said and passed over.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::Value;

use crate::schemas;
use crate::support::{Ran, Sandbox, output, skipped, testdata};

/// A bootstrap in the style of AWS's tutorial. The event says what it is to do.
const BOOTSTRAP: &str = r#"#!/bin/sh
API="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime"
count=0
while true; do
    headers="$(mktemp)"
    curl -sS -D "$headers" -o /tmp/event "$API/invocation/next"
    id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
    rm "$headers"
    count=$((count + 1))
    case "$(head -c 40 /tmp/event | tr -d '\0"')" in
        exit*) exit 3 ;;
        leave*) exit 0 ;;
        die*) kill -9 $$ ;;
        hang*) sleep 7531.9 & sleep 7531.9 ;;
        eat*) head -c 300000000 /dev/zero | tail -c 290000000 >/dev/null ;;
        log*) head -c 1048576 /dev/zero | tr '\0' l; echo; echo the end >&2 ;;
        fail*)
            curl -sS -o /dev/null "$API/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: Sh.Error' \
                -d '{"errorMessage":"it failed","errorType":"Sh.Error","stackTrace":["a","b"]}'
            continue ;;
        vast*) head -c 7000000 /dev/zero | curl -sS -o /tmp/said "$API/invocation/$id/response" --data-binary @-
            cat /tmp/said >&2
            continue ;;
        count*) echo "$count $_HANDLER $(cat /tmp/kept 2>/dev/null)" >/tmp/event; echo kept >/tmp/kept ;;
        bare*) echo "$HOME|$(id -u)|$(pwd)|$(ulimit -n)|$LD_LIBRARY_PATH|$MINE" >/tmp/event ;;
    esac
    curl -sS -o /dev/null "$API/invocation/$id/response" --data-binary @/tmp/event
done
"#;

/// Whether a sandbox can be made here at all.
pub(crate) fn possible() -> bool {
    let made = Command::new("bwrap")
        .args([
            "--unshare-all",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "true",
        ])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    let possible = made && output("curl", &["--version"]).is_some();
    if !possible {
        skipped("no bubblewrap, user namespaces or curl here: invoke is not tested");
    }
    possible
}

fn with_bootstrap(bootstrap: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("opt/bootstrap", bootstrap).mode("opt/bootstrap", 0o755);
    sandbox
}

/// A sandbox with this bootstrap, if it can be run here.
fn runnable(bootstrap: &str) -> Option<Sandbox> {
    possible().then(|| with_bootstrap(bootstrap))
}

/// Sends events to the bootstrap in opt.
fn invoke(sandbox: &Sandbox, events: &[&[u8]], more: &[&str]) -> Ran {
    let mut arguments: Vec<String> = ["invoke", "opt", "--handler", "test.handler"]
        .map(String::from)
        .to_vec();
    for (number, event) in events.iter().enumerate() {
        let file = format!("event-{number}");
        sandbox.file(&file, event);
        arguments.extend(["--event".to_owned(), file]);
    }
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    sandbox.run(arguments)
}

fn invocations(sandbox: &Sandbox, events: &[&[u8]], more: &[&str], status: i32) -> Vec<Value> {
    let more = [&["--format", "json"], more].concat();
    let ran = invoke(sandbox, events, &more).expect_status(status);
    let document = ran.json();
    assert_eq!(schemas::error("invoke", &document), None);
    document["invocations"].as_array().unwrap().clone()
}

fn error(invocation: &Value) -> String {
    let message = invocation["error"]["errorMessage"].as_str().unwrap_or_default();
    let message = message.split_once(" Error: ").map_or(message, |(_, message)| message);
    format!(
        "{}: {message}",
        invocation["error"]["errorType"].as_str().unwrap_or_default()
    )
}

#[test]
fn events_are_answered_by_one_process_with_lambdas_environment() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let ran = invoke(
        &sandbox,
        &[b"\"count\"", b"\"count\"", b"\"bare\""],
        &["--env", "MINE=yes"],
    )
    .expect_status(0);
    assert_eq!(
        ran.stdout,
        "1 test.handler \n2 test.handler kept\n|993|/var/task|1024|/var/lang/lib:/lib64:/usr/lib64:/var/runtime:\
         /var/runtime/lib:/var/task:/var/task/lib:/opt/lib|yes\n"
    );
    assert_eq!(ran.stderr.matches("REPORT RequestId: ").count(), 3);
    assert_eq!(ran.stderr.matches("Init Duration: ").count(), 1);
}

#[test]
fn a_failed_event_is_told_in_lambdas_words_and_the_next_one_is_served() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let events: [&[u8]; 9] = [
        b"\"exit\"",
        b"\"count\"",
        b"\"leave\"",
        b"\"die\"",
        b"\"fail\"",
        b"\"count\"",
        b"\"hang\"",
        b"\"count\"",
        b"\"vast\"",
    ];
    let invocations = invocations(&sandbox, &events, &["--timeout", "4"], 1);
    let expected = [
        "Runtime.ExitError: Runtime exited with error: exit status 3",
        "1 test.handler ",
        "Runtime.ExitError: Runtime exited without providing a reason",
        "Runtime.ExitError: Runtime exited with error: signal: killed",
        "Sh.Error: it failed",
        // The same process goes on after an error that it has reported, and /tmp outlives every process.
        "2 test.handler kept",
        "Sandbox.Timedout: Task timed out after 4.00 seconds",
        "1 test.handler kept",
        "Function.ResponseSizeTooLarge: Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    ];
    for (invocation, expected) in invocations.iter().zip(expected) {
        let said = invocation["response"]
            .as_str()
            .map_or_else(|| error(invocation), |text| text.trim_end_matches('\n').to_owned());
        assert_eq!(said, expected, "{invocation:#}");
    }
    assert_eq!(invocations[4]["error"]["stackTrace"], serde_json::json!(["a", "b"]));
    let said = invocations[8]["log_tail"].as_str().unwrap();
    assert!(
        said.contains("Exceeded maximum allowed payload size (6291556 bytes)."),
        "{said}"
    );
}

#[test]
fn a_function_that_uses_too_much_memory_is_ended() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let invocations = invocations(
        &sandbox,
        &[b"\"eat\"", b"{}"],
        &["--memory", "128", "--timeout", "60"],
        1,
    );
    assert_eq!(
        error(&invocations[0]),
        "Runtime.ExitError: Runtime exited with error: signal: killed"
    );
    assert!(invocations[0]["error"]["help"].as_str().unwrap().contains("128 MB"));
    assert!(invocations[0]["max_memory_bytes"].as_u64().unwrap() > 128 << 20);
    assert_eq!(invocations[1]["response"], "{}");
    let invocations = self::invocations(&sandbox, &[b"\"eat\""], &["--memory", "512", "--timeout", "60"], 0);
    assert!(invocations[0]["max_memory_bytes"].as_u64().unwrap() > 200 << 20);
}

#[test]
fn payloads_come_through_byte_by_byte() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let every: Vec<u8> = (0..=255).collect();
    let large = format!("\"{}\"", "x".repeat(6_291_456 - 2)).into_bytes();
    let too_large = format!("\"{}\"", "x".repeat(6_291_456 - 1)).into_bytes();
    let invocations = invocations(&sandbox, &[&every, &large, &too_large, b"{}"], &[], 1);
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(invocations[0]["response_base64"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes, every);
    assert!(
        invocations[1]["response"].as_str().unwrap().as_bytes() == large,
        "{}",
        error(&invocations[1])
    );
    assert_eq!(
        error(&invocations[2]),
        "RequestEntityTooLargeException: 6291457 byte payload is too large for the RequestResponse invocation type \
         (limit 6291456 bytes)"
    );
    assert_eq!(invocations[3]["response"], "{}");
}

#[test]
fn a_megabyte_of_log_goes_to_stderr() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let ran = invoke(&sandbox, &[b"\"log\"", b"{}"], &[]).expect_status(0);
    assert_eq!(ran.stdout, "\"log\"\n{}\n");
    assert!(ran.stderr.contains(&"l".repeat(1 << 20)));
    // Everything that was written comes before the report on the event.
    let end = ran.stderr.find("the end\n").unwrap();
    assert!(end < ran.stderr.find("REPORT").unwrap());
    let quiet = invoke(&sandbox, &[b"\"log\""], &["-q"]).expect_status(0);
    // The function's own log is not the program's to keep back.
    assert_eq!(quiet.stdout, "\"log\"\n");
    assert!(quiet.stderr.ends_with("the end\n") && !quiet.stderr.contains("REPORT"));
}

#[test]
fn a_bootstrap_that_cannot_start_is_told_as_lambda_does() {
    if !possible() {
        return;
    }
    for (bootstrap, mode, expected) in [
        (
            "#!/bin/sh\n",
            0o644,
            "Runtime.InvalidEntrypoint: fork/exec /opt/bootstrap: permission denied",
        ),
        // Others may not execute it, and on Lambda nobody is its owner.
        (
            "#!/bin/sh\n",
            0o744,
            "Runtime.InvalidEntrypoint: fork/exec /opt/bootstrap: permission denied",
        ),
        (
            "#!/bin/sh\r\n",
            0o755,
            "Runtime.InvalidEntrypoint: fork/exec /opt/bootstrap: no such file or directory",
        ),
        (
            "echo no first line\n",
            0o755,
            "Runtime.InvalidEntrypoint: fork/exec /opt/bootstrap: exec format error",
        ),
        (
            "#!/bin/sh\nnothing-like-this\n",
            0o755,
            "Runtime.ExitError: Runtime exited with error: exit status 127",
        ),
        (
            "#!/bin/sh\ncurl -sS -o /dev/null -d '{\"errorMessage\":\"no\",\"errorType\":\"A.B\"}' \
             http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error; exit 1\n",
            0o755,
            "A.B: no",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox
            .file("task/bootstrap", bootstrap)
            .mode("task/bootstrap", mode)
            .file("opt/x", "");
        let file = format!("task/bootstrap: {bootstrap:?}");
        if mode == 0o744 {
            // A folder is laid out as pack would pack it; a zip has the modes that it has.
            zip(&sandbox.path("task.zip"), bootstrap, mode);
        }
        let task = if mode == 0o744 { "task.zip" } else { "task" };
        let expected = expected.replace("/opt/", "/var/task/");
        let invocations = invocations(&sandbox, &[b"{}", b"{}"], &["--task", task], 1);
        assert_eq!(
            invocations.iter().map(error).collect::<Vec<_>>(),
            [expected.clone(), expected],
            "{file}"
        );
    }
    let sandbox = Sandbox::new();
    sandbox.file("opt/deep/bootstrap", BOOTSTRAP);
    let invocations = invocations(&sandbox, &[b"{}"], &[], 1);
    assert_eq!(
        error(&invocations[0]),
        "Runtime.InvalidEntrypoint: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    );
}

fn zip(path: &Path, bootstrap: &str, mode: u32) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create_new(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().unix_permissions(mode);
    zip.start_file("bootstrap", options).unwrap();
    zip.write_all(bootstrap.as_bytes()).unwrap();
    zip.finish().unwrap();
}

#[test]
fn later_layers_win_and_findings_stand_beside_what_they_explain() {
    if !possible() {
        return;
    }
    let sandbox = Sandbox::new();
    zip(&sandbox.path("1.zip"), "#!/bin/sh\nexit 9\n", 0o755);
    zip(&sandbox.path("2.zip"), BOOTSTRAP, 0o755);
    zip(&sandbox.path("3.zip"), "#!/opt/bin/perl\n", 0o755);
    let run = |zips: &[&str]| {
        let arguments = [&["invoke"], zips, &["--handler", "a.b"]].concat();
        sandbox.run(arguments)
    };
    assert_eq!(run(&["1.zip", "2.zip"]).expect_status(0).stdout, "{}\n");
    let ran = run(&["2.zip", "1.zip"]).expect_status(1);
    assert!(
        ran.stderr.contains("Runtime exited with error: exit status 9"),
        "{}",
        ran.stderr
    );
    let ran = run(&["1.zip", "3.zip"]).expect_status(1);
    assert!(
        ran.stderr
            .contains("fork/exec /opt/bootstrap: no such file or directory"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("error[missing-interpreter] 3.zip: bootstrap\n"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.is_empty());
}

#[test]
fn a_compiled_bootstrap_keeps_its_connection() {
    let sandbox = Sandbox::new();
    sandbox.folder("opt");
    let source = testdata("sources/bootstrap.c");
    let to = sandbox.path("opt/bootstrap");
    if !possible() || output("gcc", &["-O1", "-o", to.to_str().unwrap(), source.to_str().unwrap()]).is_none() {
        return;
    }
    let ran = invoke(&sandbox, &[b"{}", b"[\"two\"]"], &[]).expect_status(0);
    assert_eq!(ran.stdout, "1:{}\n2:[\"two\"]\n");
}

/// Runs commands in the sandbox's shell.
fn shell(sandbox: &Sandbox, commands: &str) -> Ran {
    sandbox.file("commands", commands);
    sandbox.run_with(["invoke", "opt", "--shell"], |command| {
        let commands = fs_err::File::open(sandbox.path("commands")).unwrap().into_parts().0;
        command.stdin(commands).env("SECRET_OF_THE_HOST", "x");
    })
}

#[test]
fn nothing_of_the_host_is_there_but_what_the_runtime_has() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let here = sandbox.path("");
    let commands = format!(
        "ls -d {} /home /root /var/log /etc/shadow 2>/dev/null\n\
         for place in /opt /etc /usr/bin /var/task /var /dev /; do touch $place/x 2>/dev/null && echo writable $place; done\n\
         touch /tmp/x && echo tmp\n\
         grep -c : /proc/net/dev\n\
         echo \"host: $SECRET_OF_THE_HOST\"; uname -n\n\
         grep CapEff /proc/self/status\n\
         command -v which perl tar find || echo as on Lambda\n\
         (exec 3<>/dev/tcp/192.0.2.1/80) 2>&1 | grep -om1 'Network is unreachable'\n",
        here.display()
    );
    let ran = shell(&sandbox, &commands);
    assert_eq!(
        ran.stdout, "tmp\n1\nhost: \nlambda\nCapEff:\t0000000000000000\nas on Lambda\nNetwork is unreachable\n",
        "{}",
        ran.stderr
    );
}

/// What this machine's own builds need beyond the runtime is there for them, and for nothing else.
#[test]
fn what_only_this_machine_needs_is_hidden_from_layers() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    let ran = shell(
        &sandbox,
        "curl --version >/dev/null && echo curl runs\n\
         for file in /usr/lib/*/~* /usr/lib64/~*; do\n\
             [ -e \"$file\" ] || continue\n\
             name=l${file##*/?}\n\
             LD_PRELOAD=$name /usr/bin/true 2>&1 | grep -q 'cannot be preloaded' || echo \"$name is visible\"\n\
         done\n\
         LD_PRELOAD=libz.so.1 /usr/bin/true 2>&1\n",
    )
    .expect_status(0);
    assert_eq!(ran.stdout, "curl runs\n", "{}", ran.stderr);
}

/// How many processes have the words in their command line.
fn processes_with(words: &str) -> usize {
    fs_err::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").contains(words))
        .count()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_process_survives_and_no_folder_is_left() {
    if !possible() {
        return;
    }
    for (number, signal) in ["INT", "TERM", "KILL"].iter().enumerate() {
        // The function has a process in the background that ignores signals, and in a session of its own.
        let mark = format!("8642.{}{number}", std::process::id());
        let bootstrap =
            format!("#!/bin/sh\ntrap '' INT TERM HUP\n(trap '' INT TERM HUP; sleep {mark}) & sleep {mark}\n");
        let sandbox = with_bootstrap(&bootstrap);
        sandbox.folder("tmp");
        let mut child = Command::new(env!("CARGO_BIN_EXE_lambdar-prune"))
            .args(["invoke", "opt", "--handler", "a.b"])
            .current_dir(sandbox.path(""))
            .env("TMPDIR", sandbox.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sleep = format!("sleep {mark}");
        wait_until("it does not start", || processes_with(&sleep) >= 2);
        output("kill", &[&format!("-{signal}"), &child.id().to_string()]);
        let status = child.wait().unwrap();
        wait_until("a process is left", || processes_with(&sleep) == 0);
        if *signal != "KILL" {
            assert_eq!(status.code(), Some(130), "{signal}");
            assert_eq!(fs_err::read_dir(sandbox.path("tmp")).unwrap().count(), 0, "{signal}");
        }
    }
}

#[test]
fn an_ordinary_user_can_do_it_too() {
    let Some(sandbox) = runnable(BOOTSTRAP) else { return };
    sandbox.folder("opt/closed").file("opt/closed/x", "x");
    sandbox.folder("tmp").mode("tmp", 0o777);
    if let Some(ran) = sandbox.run_as_nobody(&["invoke", "opt", "--handler", "test.handler"]) {
        assert_eq!(ran.expect_status(0).stdout, "{}\n");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let sandbox = with_bootstrap("#!/bin/sh\n");
    let ran = sandbox.run(["invoke", "opt"]).expect_status(2);
    assert!(ran.stderr.contains("--handler"), "{}", ran.stderr);
    let ran = sandbox.run(["invoke", "nothing", "--handler", "a.b"]).expect_status(2);
    assert!(ran.stderr.contains("nothing"), "{}", ran.stderr);
    let ran = sandbox
        .run(["invoke", "opt", "--handler", "a.b", "--event", "none.json"])
        .expect_status(2);
    assert!(ran.stderr.contains("cannot read the event none.json"), "{}", ran.stderr);
    for wrong in [["--timeout", "1801"], ["--memory", "64"], ["--env", "=x"]] {
        let arguments = [&["invoke", "opt", "--handler", "a.b"], &wrong[..]].concat();
        sandbox.run(arguments).expect_status(2);
    }
    let ran = sandbox
        .run_with(["invoke", "opt", "--handler", "a.b"], |command| {
            command.env("PATH", "/nonexistent");
        })
        .expect_status(2);
    assert!(ran.stderr.contains("install bubblewrap"), "{}", ran.stderr);
    if possible() {
        let ran = sandbox
            .run(["invoke", "opt", "--handler", "a.b", "--rootfs", "opt"])
            .expect_status(2);
        assert!(
            ran.stderr.contains("is not the root of an unpacked image"),
            "{}",
            ran.stderr
        );
        let ran = sandbox
            .run(["invoke", "opt", "--handler", "a.b", "--arch", "arm64"])
            .expect_status(2);
        assert!(ran.stderr.contains("the layers are for arm64"), "{}", ran.stderr);
    }
    zip_named(&sandbox.path("evil.zip"), "../up");
    let ran = sandbox.run(["invoke", "evil.zip", "--handler", "a.b"]).expect_status(1);
    assert!(
        ran.stderr.contains("AWS would not take these layers") && ran.stderr.contains("bad-name"),
        "{}",
        ran.stderr
    );
}

fn zip_named(path: &Path, name: &str) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create_new(path).unwrap());
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
}

/// Says a word for each way out that works. The sysctls are written with the values that they have.
const ESCAPES: &str = r#"#!/bin/bash
echo began
[[ $(cat /proc/sys/vm/swappiness) ]] && echo read-sysctl
for file in vm/swappiness kernel/core_pattern kernel/hostname net/ipv4/ip_forward; do
    value=$(cat /proc/sys/$file) && { echo "$value" >/proc/sys/$file; } 2>/dev/null && echo "OUT $file"
done
for file in /proc/sysrq-trigger /proc/mtrr /proc/irq/default_smp_affinity; do [[ -w $file ]] && echo "OUT $file"; done
for number in 3 4 5 6 7 8 9; do [[ -e /proc/$$/fd/$number ]] && echo "OUT descriptor $number"; done
cat /proc/self/fd/7/secret /proc/self/cwd/link /opt/link "$SECRET" 2>/dev/null | grep -q secret && echo OUT secret
for place in / /etc /usr /opt /var/task /dev /dev/shm /var; do { : >$place/planted; } 2>/dev/null && echo "OUT $place"; done
ls /proc/1/fd /proc/1/root >/dev/null 2>&1 && echo OUT first process
{ : </proc/1/mem; } 2>/dev/null && echo OUT memory
{ : </dev/tty; } 2>/dev/null && echo OUT terminal
(exec 3<>/dev/tcp/192.0.2.1/53) 2>/dev/null && echo OUT network
kill -STOP 1; kill -KILL 1; sleep 0.2
[[ -d /proc/1 ]] && echo first-lives
(echo >/tmp/x) && echo wrote-tmp
[[ $(id -u):$(id -g) == 993:990 && $(awk '/^Cap(Prm|Eff)/ {print $2}' /proc/self/status | sort -u) == 0000000000000000 ]] && echo nobody
awk '/^(NoNewPrivs|Seccomp):/ {print $1 $2}' /proc/self/status
ulimit -u
"#;

#[test]
fn a_function_cannot_leave_its_sandbox() {
    let Some(sandbox) = runnable(ESCAPES) else { return };
    sandbox.file("secret", "secret").link("opt/link", "../secret");
    let secret = sandbox.path("secret");
    // What the caller has open is not the function's: a directory to read, a file to write.
    let script = "exec 7<. 8>>written; exec \"$0\" invoke opt --handler a.b --env \"SECRET=$1\"";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_lambdar-prune")])
        .arg(&secret)
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    for word in [
        "began",
        "read-sysctl",
        "first-lives",
        "wrote-tmp",
        "nobody",
        "NoNewPrivs:1",
        "Seccomp:2",
        "1024",
    ] {
        assert!(log.lines().any(|line| line == word), "{word}: {log}");
    }
    assert!(!log.contains("OUT"), "{log}");
    assert_eq!(fs_err::metadata(sandbox.path("written")).unwrap().len(), 0);
}

#[test]
fn files_in_tmp_are_no_memory() {
    if !possible() {
        return;
    }
    let sandbox = with_bootstrap("#!/bin/sh\nhead -c 300000000 /dev/zero >/tmp/x && sleep 0.2 && echo written\n");
    let ran = sandbox.run(["invoke", "opt", "--handler", "a.b", "--memory", "128"]);
    assert!(ran.stderr.contains("\nwritten\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("try a larger --memory"), "{}", ran.stderr);
}

/// Whatever the function does to the processes around it, its time is over in time.
#[test]
fn a_function_that_signals_everything_ends_in_time() {
    if !possible() {
        return;
    }
    let sandbox = with_bootstrap(
        "#!/bin/bash\nexec 9<>\"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\\/}\"\n\
         printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&9; read -r line <&9\n\
         (trap '' TERM; kill -STOP 1 2; kill -TERM -1; kill -KILL 1; sleep 60) & sleep 60\n",
    );
    let begun = Instant::now();
    let ran = sandbox.run(["invoke", "opt", "--handler", "a.b", "--timeout", "1"]);
    let ran = ran.expect_status(1);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}: {}",
        begun.elapsed(),
        ran.stderr
    );
}

/// An extension that writes what it is told. A file next to it says what else it does.
const EXTENSION: &str = r#"#!/bin/bash
API="http://${AWS_LAMBDA_RUNTIME_API}/2020-01-01/extension"
echo "extension starts, handler <$_HANDLER>, task <$LAMBDA_TASK_ROOT>, in $(pwd)"
[[ -e /opt/crash-early ]] && exit 5
[[ -e /opt/late ]] && sleep 1
echo registering
curl -sS -D /tmp/headers -o /tmp/registered "$API/register" -H "Lambda-Extension-Name: ${0##*/}" -d '{"events":["INVOKE","SHUTDOWN"]}'
id=$(grep -i Lambda-Extension-Identifier /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
echo "registered $(cat /tmp/registered)"
while true; do
    event=$(curl -sS "$API/event/next" -H "Lambda-Extension-Identifier: $id")
    echo "told $event"
    case $event in
        *SHUTDOWN*) sleep 0.2; echo "extension ends"; exit 0 ;;
        *) [[ -e /opt/crash ]] && exit 6; [[ -e /opt/slow ]] && sleep 1 ;;
    esac
done
"#;

fn with_extension(more: &str) -> Sandbox {
    let sandbox =
        with_bootstrap(&BOOTSTRAP.replacen('\n', "\necho runtime starts\ntrap 'echo runtime ends; exit' TERM\n", 1));
    sandbox
        .file("opt/extensions/watch", EXTENSION)
        .mode("opt/extensions/watch", 0o755);
    sandbox.file(&format!("opt/{more}"), "");
    sandbox.folder("opt/extensions/directory");
    sandbox
}

#[test]
fn extensions_are_started_told_and_ended() {
    if !possible() {
        return;
    }
    let sandbox = with_extension("late");
    let ran = invoke(&sandbox, &[b"\"one\"", b"\"two\""], &[]).expect_status(0);
    let log = &ran.stderr;
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text}: {log}"));
    assert!(
        at("extension starts, handler <>, task <>, in /\n") < at("runtime starts"),
        "{log}"
    );
    at(r#"registered {"functionName":"function","functionVersion":"$LATEST","handler":"test.handler"}"#);
    // The runtime is started once it has registered.
    assert!(
        at("registering
") < at("runtime starts"),
        "{log}"
    );
    assert_eq!(log.matches(r#""eventType":"INVOKE""#).count(), 2, "{log}");
    assert!(log.contains(r#""shutdownReason":"spindown""#), "{log}");
    assert!(at("runtime ends") < at("extension ends"), "{log}");
    // The event is done with once the extension has asked for the next one.
    let slow = with_extension("slow");
    let invocations = invocations(&slow, &[b"\"one\""], &[], 0);
    assert!(
        invocations[0]["duration_ms"].as_f64().unwrap() >= 1000.0,
        "{invocations:?}"
    );
}

#[test]
fn an_extension_that_fails_fails_the_event() {
    if !possible() {
        return;
    }
    for (file, expected) in [
        ("crash-early", "Extension.Crash: extension watch: exit status 5"),
        ("crash", "Extension.Crash: extension watch: exit status 6"),
    ] {
        let sandbox = with_extension(file);
        let invocations = invocations(&sandbox, &[b"\"one\""], &[], 1);
        assert_eq!(error(&invocations[0]), expected);
    }
    let sandbox = with_extension("x");
    sandbox.mode("opt/extensions/watch", 0o644);
    let invocations = invocations(&sandbox, &[b"\"one\""], &[], 1);
    let expected = "Extension.LaunchError: fork/exec /opt/extensions/watch: permission denied";
    assert_eq!(error(&invocations[0]), expected);
}

#[test]
fn an_extension_hears_why_all_ends() {
    if !possible() {
        return;
    }
    let sandbox = with_extension("x");
    let ran = invoke(&sandbox, &[b"\"hang\"", b"\"exit\"", b"\"fine\""], &["--timeout", "3"]).expect_status(1);
    for (reason, count) in [("timeout", 1), ("failure", 1), ("spindown", 1)] {
        let text = format!(r#""shutdownReason":"{reason}""#);
        assert_eq!(ran.stderr.matches(&text).count(), count, "{reason}: {}", ran.stderr);
    }
    assert_eq!(ran.stdout, "\"fine\"\n");
}

/// The version of an interpreter on PATH, by what it prints; nothing where there is none.
fn version(program: &str, arguments: &[&str]) -> Option<String> {
    output(program, arguments).map(|text| text.trim().to_owned())
}

#[test]
fn a_python_handler_runs_on_this_machines_interpreter() {
    let Some(version) = version("python3", &["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]) else {
        return;
    };
    let known = ["3.10", "3.11", "3.12", "3.13", "3.14"].contains(&version.as_str());
    if !possible() || !known {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.file("layer/python/of_layer.py", "VALUE = 7").file(
        "task/app.py",
        "import ssl, sys, of_layer\n\
         def handler(event, context):\n\
         \x20   if event.get('raise'): raise KeyError('no')\n\
         \x20   if event.get('set'): return {1}\n\
         \x20   return [of_layer.VALUE, sys.prefix, context.function_name, context.get_remaining_time_in_millis() > 0]\n",
    );
    for (name, text) in [("plain", "{}"), ("raise", "{\"raise\": 1}"), ("set", "{\"set\": 1}")] {
        sandbox.file(&format!("{name}.json"), text);
    }
    let runtime = format!("python{version}");
    let run = |handler: &str, events: &[&str]| {
        let mut arguments = vec![
            "invoke",
            "layer",
            "--task",
            "task",
            "--handler",
            handler,
            "--runtime",
            &runtime,
        ];
        arguments.extend(["--format", "json"]);
        for event in events {
            arguments.extend(["--event", event]);
        }
        sandbox.run(arguments).json()["invocations"].clone()
    };
    let ran = run("app.handler", &["plain.json", "raise.json", "set.json"]);
    let response: Value = serde_json::from_str(ran[0]["response"].as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!(response, serde_json::json!([7, "/var/lang", "function", true]), "{ran}");
    // The kinds and texts are those of awslambdaric.
    assert_eq!(error(&ran[1]), "KeyError: 'no'");
    let expected = "Runtime.MarshalError: Unable to marshal response: Object of type set is not JSON serializable";
    assert_eq!(error(&ran[2]), expected);
    let ran = run("none.handler", &["plain.json"]);
    assert_eq!(
        error(&ran[0]),
        "Runtime.ImportModuleError: Unable to import module 'none': No module named 'none'"
    );
    let ran = run("app.none", &["plain.json"]);
    assert_eq!(
        error(&ran[0]),
        "Runtime.HandlerNotFound: Handler 'none' missing on module 'app'"
    );
}

#[test]
fn a_node_handler_runs_on_this_machines_interpreter() {
    let Some(version) = version("node", &["-p", "process.versions.node.split('.')[0]"]) else {
        return;
    };
    if !possible() || !["18", "20", "22", "24"].contains(&version.as_str()) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.file("layer/nodejs/node_modules/of_layer/index.js", "module.exports = 7;").file(
        "task/index.js",
        "const seven = require('of_layer');\n\
         exports.promise = async (event, context) => [seven, context.functionName];\n\
         exports.callback = (event, context, done) => { setTimeout(() => done(null, 'called'), 20); };\n\
         exports.nothing = () => {};\n\
         exports.stream = awslambda.streamifyResponse(async (event, stream) => { stream.write('a'); stream.end('b'); });\n\
         exports.fails = async () => { throw new TypeError('no'); };\n",
    );
    let runtime = format!("nodejs{version}.x");
    let run = |handler: &str| {
        let arguments = [
            "invoke",
            "layer",
            "--task",
            "task",
            "--handler",
            handler,
            "--runtime",
            &runtime,
            "--format",
            "json",
        ];
        sandbox.run(arguments).json()["invocations"][0].clone()
    };
    for (handler, expected) in [
        ("index.promise", "[7,\"function\"]"),
        ("index.callback", "\"called\""),
        ("index.nothing", "null"),
        ("index.stream", "ab"),
    ] {
        assert_eq!(run(handler)["response"], expected, "{handler}");
    }
    assert_eq!(error(&run("index.fails")), "TypeError: no");
    let expected = "Runtime.HandlerNotFound: index.none is undefined or not exported";
    assert_eq!(error(&run("index.none")), expected);
}

#[test]
fn a_runtime_whose_interpreter_is_not_here_is_refused() {
    if !possible() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.file("layer/python/x.py", "").file("task/app.py", "");
    for (runtime, help) in [("ruby3.3", "--rootfs"), ("nodejs16.x", "nvm install 16")] {
        let arguments = [
            "invoke",
            "layer",
            "--task",
            "task",
            "--handler",
            "app.handler",
            "--runtime",
            runtime,
        ];
        let ran = sandbox.run_with(arguments, |command| {
            command.env("HOME", "/nonexistent");
        });
        let ran = ran.expect_status(2);
        assert!(ran.stderr.contains(help), "{}", ran.stderr);
    }
}
