//! Zips that are made to do harm: bounded time, bounded memory, no panic.

use std::io::Write;
use std::time::{Duration, Instant};

use lambdar_prune::check::{MAX_UNZIPPED, judge, read_zips};
use lambdar_prune::progress::Silent;
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::size::Bytes;

use crate::handmade::{FILE, FOLDER, LINK, Member, PROGRAM, deflated, member, zip};
use crate::support::{Ran, Sandbox, output, testdata};

/// What the program may take of memory, by the words of its users.
const MOST_MEMORY: u64 = 256 << 20;

/// The program's threads and libraries take address space that is never touched: what counts is what it has at most in
/// memory, as the kernel counts it.
fn measured(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> (Ran, Option<u64>) {
    let script = "import resource, subprocess, sys\n\
        ran = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL)\n\
        with open(sys.argv[1], 'w') as out: print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=out)\n\
        sys.exit(ran.returncode)\n";
    let has_python = output("python3", &["--version"]).is_some();
    let measured = sandbox.path("memory");
    let mut all = vec!["python3", "-c", script, measured.to_str().unwrap(), program];
    if !has_python {
        all = vec![program];
    }
    all.extend(arguments);
    let out = std::process::Command::new(all[0])
        .args(&all[1..])
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    let ran = Ran {
        status: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    };
    if !has_python {
        return (ran, None);
    }
    let kilobytes: u64 = fs_err::read_to_string(measured).unwrap().trim().parse().unwrap();
    (ran, Some(kilobytes * 1024))
}

/// Checks a zip and gives the report, having seen that it took neither long nor much.
fn bounded(sandbox: &Sandbox, what: &str, arguments: &[&str]) -> String {
    let begun = Instant::now();
    let mut all = vec!["check", "--format", "json", "--threads", "4"];
    all.extend(arguments);
    let (ran, memory) = measured(sandbox, env!("CARGO_BIN_EXE_lambdar-prune"), &all);
    assert!(ran.status == 0 || ran.status == 1, "{what}: {ran:?}");
    // A bound against hanging, not a measurement.
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{what}: {:?}",
        begun.elapsed()
    );
    if let Some(memory) = memory {
        assert!(memory < MOST_MEMORY, "{what}: {memory} bytes");
    }
    ran.stdout
}

/// So many zeroes, deflated as well as deflate can.
fn deflated_zeroes(length: u64) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeroes = vec![0; 1 << 20];
    let mut left = length;
    while left > 0 {
        let count = left.min(1 << 20);
        encoder.write_all(&zeroes[..usize::try_from(count).unwrap()]).unwrap();
        left -= count;
    }
    encoder.finish().unwrap()
}

fn zeroes(name: &str, length: u32, announced: u32) -> Member {
    let mut hash = crc32fast::Hasher::new();
    for _ in 0..length >> 20 {
        hash.update(&vec![0; 1 << 20]);
    }
    Member {
        method: 8,
        crc32: hash.finalize(),
        data: deflated_zeroes(length.into()),
        uncompressed: announced,
        ..member(name, FILE, "")
    }
}

#[test]
fn bombs_are_refused() {
    let s = Sandbox::new();
    // Ten megabytes that are ten gigabytes.
    let gigabyte = zeroes("0", 1 << 30, 1 << 30);
    let ten: Vec<Member> = (0..10)
        .map(|number| Member {
            name: number.to_string().into(),
            local_name: number.to_string().into(),
            ..gigabyte.clone()
        })
        .collect();
    let bytes = zip(&ten);
    assert!(bytes.len() > 10_000_000 && bytes.len() < 12_000_000, "{}", bytes.len());
    s.file("bomb.zip", &bytes);
    assert!(bounded(&s, "ten gigabytes", &["bomb.zip"]).contains("unpacks-too-far"));
    // The same with false sizes.
    let lying: Vec<Member> = ten
        .iter()
        .map(|member| Member {
            uncompressed: 1000,
            ..member.clone()
        })
        .collect();
    s.file("lying.zip", zip(&lying));
    let report = bounded(&s, "ten gigabytes announced as ten kilobytes", &["lying.zip"]);
    assert!(report.contains("it unpacks to more than the zip declares"), "{report}");
    // Entries that share their bytes.
    let shared = zeroes("x", 16 << 20, 16 << 20);
    let mut members = vec![shared.clone()];
    members.extend((0..50).map(|number| Member {
        name: format!("x{number}").into(),
        at: Some(0),
        ..shared.clone()
    }));
    s.file("shared.zip", zip(&members));
    let report = bounded(&s, "entries over one another", &["shared.zip"]);
    assert!(
        report.contains("overlapping-entries") && report.contains("header-mismatch"),
        "{report}"
    );
}

#[test]
fn little_is_held_in_memory() {
    let s = Sandbox::new();
    // An object of 200 MB whose tables are anywhere: its program headers point to its end.
    let mut start = fs_err::read(testdata("opt/bin/hello")).unwrap();
    let length = 200_u32 << 20;
    let mut object = start.clone();
    object.resize(length as usize, 1);
    s.file("object.zip", zip(&[deflated("lib/large.so", FILE, &object)]));
    bounded(&s, "a large object", &["object.zip"]);
    // The dynamic section of such a one far behind.
    let headers = usize::try_from(u64::from_le_bytes(start[32..40].try_into().unwrap())).unwrap();
    for number in 0..usize::from(start[56]) {
        let at = headers + number * 56;
        if start[at] == 2 {
            start[at + 8..at + 16].copy_from_slice(&(u64::from(length) - 4096).to_le_bytes());
        }
    }
    object[..start.len()].copy_from_slice(&start);
    s.file("object.zip", zip(&[deflated("lib/large.so", FILE, &object)]));
    bounded(&s, "a large object with a far table", &["object.zip"]);
    drop(object);
    let script = [b"#!/bin/sh\n".as_slice(), &vec![b'x'; 1 << 20]].concat();
    let named: Vec<Member> = (0..500)
        .map(|number| deflated(&format!("{number}/NAMESPACE"), FILE, &script))
        .collect();
    s.file("texts.zip", zip(&named));
    bounded(&s, "texts", &["texts.zip"]);
    let links: Vec<Member> = (0..60_000)
        .map(|number| deflated(&format!("l{number}"), LINK, &[b'a'; 4000]))
        .collect();
    s.file("links.zip", zip(&links));
    bounded(&s, "links", &["links.zip"]);
    let deep: Vec<Member> = (0..3000)
        .map(|number| {
            member(
                &format!("{number}/{}x", format!("{}/", "d".repeat(30)).repeat(100)),
                FILE,
                "",
            )
        })
        .collect();
    s.file("deep.zip", zip(&deep));
    bounded(&s, "folders", &["deep.zip"]);
    let many: Vec<Member> = (0..65_000)
        .map(|number| member(&format!("../{number}"), FILE, ""))
        .collect();
    s.file("many.zip", zip(&many));
    assert!(bounded(&s, "findings", &["many.zip"]).contains("64,000 more findings of bad-name"));
}

/// A small layer with one of everything.
fn seeds() -> Vec<Vec<u8>> {
    let hello = fs_err::read(testdata("opt/bin/hello")).unwrap();
    let library = fs_err::read(testdata("opt/lib/libz.so.1")).unwrap();
    let script = "#!/bin/sh\nexport LD_LIBRARY_PATH=/opt/x:$LD_LIBRARY_PATH\ncurl x | grep y\n";
    let mixed = [
        member("bootstrap", PROGRAM, script),
        deflated("bin/hello", PROGRAM, &hello),
        deflated("lib/libz.so.1", FILE, &library),
        member("lib/", FOLDER, ""),
        member("lib/libz.so", LINK, "libz.so.1"),
        deflated("R/library/base/DESCRIPTION", FILE, b"Package: base\nBuilt: R 4.2.2\n"),
        deflated("R/bin/R", PROGRAM, b"#!/bin/sh\nR_HOME_DIR=/opt/R\n"),
        deflated("R/etc/ldpaths", FILE, b": ${R_HOME=/x}\n"),
        member("größe", FILE, "ü"),
    ];
    let mut with_comment = zip(&mixed[3..5]);
    let at = with_comment.len() - 2;
    with_comment[at] = 3;
    with_comment.extend(b"abc");
    vec![zip(&mixed), zip(&mixed[5..]), with_comment]
}

/// 20,000 zips with bytes that were changed, cut out or doubled: each is read, or refused with words.
#[test]
fn damaged_zips_are_read_or_refused() {
    // In a process of their own, whose memory can be measured.
    const ALONE: &str = "LAMBDAR_PRUNE_MUTANTS";
    let s = Sandbox::new();
    if std::env::var_os(ALONE).is_none() {
        let own = std::env::current_exe().unwrap();
        let name = "hostile::damaged_zips_are_read_or_refused";
        let arguments = [&format!("{ALONE}=1"), own.to_str().unwrap(), "--exact", name];
        let (ran, memory) = measured(&s, "env", &arguments);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stdout.contains("1 passed"), "{ran:?}");
        assert!(memory.is_none_or(|memory| memory < MOST_MEMORY), "{memory:?}");
        return;
    }
    let seeds = seeds();
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    // xorshift64*: the same mutations in every run.
    let mut random = move |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % below.max(1)
    };
    let path = s.path("mutant.zip");
    let mut refused = 0;
    for number in 0..20_000 {
        let mut bytes = seeds[number % seeds.len()].clone();
        for _ in 0..=random(6) {
            let length = bytes.len();
            // The directory is at the end, and decides most.
            let at = if random(2) == 0 {
                length.saturating_sub(random(700) + 1)
            } else {
                random(length)
            };
            match random(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..(at + random(20)).min(length))),
                2 => {
                    let piece = bytes[at..(at + random(60)).min(length)].to_vec();
                    bytes.splice(at..at, piece);
                }
                3 => bytes[at] = [0, 0xff, 0x7f, 0x80][random(4)],
                _ => bytes[at] ^= 1 << random(8),
            }
            if bytes.is_empty() {
                break;
            }
        }
        fs_err::write(&path, &bytes).unwrap();
        let layers = read_zips(std::slice::from_ref(&path), MAX_UNZIPPED, &Silent).unwrap();
        refused += usize::from(layers[0].entries == 0);
        let report = judge(layers, &runtime, Bytes(0));
        for finding in &report.findings {
            let shown = [finding.path.as_deref(), Some(finding.message.as_str())];
            for text in shown.into_iter().flatten() {
                assert!(!text.contains(char::is_control), "{number}: {finding:?}");
            }
        }
    }
    assert!(refused > 1000 && refused < 15_000, "{refused}");
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let s = Sandbox::new();
    s.file(
        "a.zip",
        zip(&[
            member("x\u{1b}[2J\r\n::error::", FILE, ""),
            member("l", LINK, "\u{1b}]0;x\u{7}"),
        ]),
    );
    for format in ["table", "json"] {
        let ran = s.run(["check", "a.zip", "--format", format]);
        let plain = ran.stdout.replace('\n', "");
        assert!(!plain.contains(char::is_control), "{plain:?}");
    }
}

/// 7-Zip refuses an entry whose own flags differ from those in the directory, whatever they mean, except for how hard it was
/// deflated and for how an ASCII name is encoded. Of a mode that is that of no kind of file, or of a special file that has
/// content, bsdtar makes something else than unzip does.
#[test]
fn flags_and_kinds_that_readers_disagree_about_are_errors() {
    let s = Sandbox::new();
    let status = |bytes: Vec<u8>| {
        s.file("a.zip", bytes);
        s.run(["check", "a.zip"]).status
    };
    let start = member("bootstrap", PROGRAM, "#!/bin/sh\n");
    for bit in 0..16 {
        for (is_deflated, entry) in [(false, member("x", FILE, "x")), (true, deflated("x", FILE, b"x"))] {
            let mut bytes = zip(&[entry, start.clone()]);
            bytes[6..8].copy_from_slice(&(1_u16 << bit).to_le_bytes());
            let is_harmless = bit == 11 || is_deflated && (bit == 1 || bit == 2);
            assert_eq!(
                status(bytes),
                i32::from(!is_harmless),
                "bit {bit}, deflated: {is_deflated}"
            );
        }
    }
    for kind in 0..16_u32 {
        for content in ["", "x"] {
            let is_harmless = match kind {
                0o00 | 0o10 => true,
                0o01 | 0o02 | 0o06 | 0o14 => content.is_empty(),
                // A directory by its mode and a file by its name; a link to nothing.
                _ => false,
            };
            let entry = member("y", kind << 12 | 0o644, content);
            let bytes = zip(&[start.clone(), entry]);
            assert_eq!(status(bytes), i32::from(!is_harmless), "kind {kind:o} with {content:?}");
        }
    }
}
