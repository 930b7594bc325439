//! For every kind of finding the smallest zip or tree that causes it, and a near miss that does not.

use std::collections::BTreeSet;
use std::io::Write;

use lambdar_prune::finding::Code;

use crate::handmade::{FILE, FOLDER, LINK, Member, PROGRAM, deflated, member, zip};
use crate::support::{Ran, Sandbox, output, testdata};

/// A runtime with a language: it asks for no bootstrap.
const WITH_LANGUAGE: &[&str] = &["--runtime", "python3.13"];
const WITHOUT_LANGUAGE: &[&str] = &["--runtime", "provided.al2023"];

/// Runs the program on what is in the sandbox and gives the codes that it finds.
struct Case<'a> {
    sandbox: &'a Sandbox,
    bad: Vec<String>,
    good: Vec<String>,
}

impl<'a> Case<'a> {
    fn check(sandbox: &'a Sandbox, runtime: &[&str], bad: &[&str], good: &[&str]) -> Self {
        let arguments = |paths: &[&str]| {
            let all = ["check"].iter().chain(paths).chain(runtime);
            all.map(ToString::to_string).collect()
        };
        Self {
            sandbox,
            bad: arguments(bad),
            good: arguments(good),
        }
    }

    /// Two zips, each by its entries.
    fn zips(sandbox: &'a Sandbox, bad: &[Member], good: &[Member]) -> Self {
        Self::bytes(sandbox, zip(bad), zip(good))
    }

    fn bytes(sandbox: &'a Sandbox, bad: Vec<u8>, good: Vec<u8>) -> Self {
        sandbox.file("bad.zip", bad).file("good.zip", good);
        Self::check(sandbox, WITH_LANGUAGE, &["bad.zip"], &["good.zip"])
    }

    /// The same for a runtime that starts a bootstrap.
    fn bootstraps(sandbox: &'a Sandbox, bad: &[Member], good: &[Member]) -> Self {
        Self::zips(sandbox, bad, good);
        Self::check(sandbox, WITHOUT_LANGUAGE, &["bad.zip"], &["good.zip"])
    }

    /// One tree, looked at with these arguments.
    fn analyze(sandbox: &'a Sandbox, bad: &[&str], good: &[&str]) -> Self {
        let arguments = |more: &[&str]| {
            let all = ["analyze", "tree"].iter().chain(more);
            all.map(ToString::to_string).collect()
        };
        Self {
            sandbox,
            bad: arguments(bad),
            good: arguments(good),
        }
    }

    fn trees(sandbox: &'a Sandbox) -> Self {
        Self::check(sandbox, WITH_LANGUAGE, &["bad"], &["good"])
    }
}

fn codes(ran: &Ran) -> BTreeSet<String> {
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap().clone();
    findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

fn ok(name: &str) -> Member {
    member(name, FILE, "x")
}

/// Compiles a library without the C library; `None` where there is no compiler.
fn cc(sandbox: &Sandbox, name: &str, source: &str, options: &[&str]) -> Option<String> {
    let path = sandbox.path(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let file = format!("{name}.c");
    sandbox.file(&file, source);
    let file = sandbox.path(&file);
    let mut arguments = vec!["-nostdlib", "-o", path.to_str().unwrap(), file.to_str().unwrap()];
    arguments.extend(options);
    let done = output("cc", &arguments).map(|_| name.to_owned());
    fs_err::remove_file(file).unwrap();
    done
}

pub(crate) fn library(sandbox: &Sandbox, name: &str, soname: &str, source: &str, options: &[&str]) -> Option<String> {
    let soname = format!("-Wl,-soname,{soname}");
    let mut all = vec!["-shared", soname.as_str()];
    all.extend(options);
    cc(sandbox, name, source, &all)
}

/// A program that needs no C library.
pub(crate) fn program(sandbox: &Sandbox, name: &str, source: &str, options: &[&str]) -> Option<String> {
    let source = source.replace("int main(void)", "int _start(void)");
    let all = [&["-pie", "-nostartfiles"], options].concat();
    cc(sandbox, name, &source, &all)
}

/// A library with a note of what it opens (UAPI.12).
fn noting(sandbox: &Sandbox, name: &str, priority: &str, soname: &str) -> Option<String> {
    let json = format!(r#"[{{\\\"soname\\\":[\\\"{soname}\\\"],\\\"priority\\\":\\\"{priority}\\\"}}]"#);
    let source = format!(
        "__asm__(\".pushsection .note.dlopen, \\\"a\\\", %note\\n.balign 4\\n.long 2f-1f\\n.long 4f-3f\\n.long 0x407c0c0a\\n\"\n\
         \"1: .asciz \\\"FDO\\\"\\n2: .balign 4\\n3: .asciz \\\"{json}\\\"\\n4: .balign 4\\n.popsection\");\n"
    );
    library(sandbox, name, "libnoting.so", &source, &[])
}

fn hello() -> Vec<u8> {
    fs_err::read(testdata("opt/bin/hello")).unwrap()
}

/// R in miniature: a home with its start script, and what the script says.
fn r(home: &str, says: &str, mode: u32) -> Vec<Member> {
    vec![
        ok(&format!("{home}/library/base/DESCRIPTION")),
        member(
            &format!("{home}/bin/R"),
            mode,
            format!("#!/bin/sh\nR_HOME_DIR={says}\n"),
        ),
    ]
}

/// A database of package base whose Sys.which runs a command.
fn base(which: &str) -> Vec<u8> {
    let mut function = u32::try_from(which.len()).unwrap().to_be_bytes().to_vec();
    function.extend(which.bytes());
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&function).unwrap();
    let mut database = u32::try_from(function.len()).unwrap().to_be_bytes().to_vec();
    database.extend(encoder.finish().unwrap());
    database
}

/// Zeroes in a file that takes no room on the disk.
fn zeroes(sandbox: &Sandbox, name: &str, length: u64) {
    sandbox.file(name, "");
    fs_err::OpenOptions::new()
        .write(true)
        .open(sandbox.path(name))
        .unwrap()
        .set_len(length)
        .unwrap();
}

/// A zip of that length: a stored entry of zeroes.
fn of_length(length: u32) -> Vec<u8> {
    let content = vec![0; usize::try_from(length).unwrap() - 22 - 76 - 2];
    zip(&[member("x", FILE, content)])
}

/// A directory with one layer and a manifest, which lists others as well.
fn listed(s: &Sandbox, directory: &str, others: &[&str]) {
    use sha2::Digest;
    let bytes = zip(&[ok("x")]);
    let sha256 = base16ct::lower::encode_string(&sha2::Sha256::digest(&bytes));
    let layer = |file: &str| format!(r#"{{"file": "{file}", "sha256": "{sha256}", "code_sha256": ""}}"#);
    let layers: Vec<String> = ["layer-1.zip"].iter().chain(others).map(|file| layer(file)).collect();
    let head = r#""schema_version": 1, "runtime": "provided.al2023", "arch": "x86_64""#;
    s.file(
        &format!("{directory}/layers.json"),
        format!("{{{head}, \"layers\": [{}]}}", layers.join(", ")),
    );
    s.file(&format!("{directory}/layer-1.zip"), bytes);
}

/// The case of a code; `None` where this machine cannot make it. A new code does not compile without one.
#[expect(clippy::too_many_lines, reason = "a table")]
fn case(code: Code, s: &Sandbox) -> Option<Case<'_>> {
    let plain = || vec![ok("x")];
    Some(match code {
        Code::ZipTooLarge => Case::bytes(s, of_length(52_428_800), of_length(52_428_799)),
        Code::ZipNearLimit => Case::bytes(s, of_length(52_428_001), of_length(52_428_000)),
        Code::UnzippedTooLarge => {
            zeroes(s, "bad/x", 262_144_000);
            zeroes(s, "good/x", 262_143_999);
            Case::trees(s)
        }
        Code::ReserveNotLeft => {
            zeroes(s, "tree/x", 262_143_899);
            let bad = ["tree", "--reserve", "101B"];
            Case::check(s, WITH_LANGUAGE, &bad, &["tree", "--reserve", "100B"])
        }
        Code::TooManyLayers => {
            s.file("a.zip", zip(&plain()));
            Case::check(s, WITH_LANGUAGE, &["a.zip"; 6], &["a.zip"; 5])
        }
        Code::LicenseDenied | Code::LicenseMissing => {
            let package = |license: &str| format!(r#"{{"name": "a", "version": "1"{license}}}"#);
            let (bad, good) = match code {
                Code::LicenseDenied => (
                    r#", "license": "AGPL-3.0-only""#,
                    r#", "license": "AGPL-3.0-only OR MIT""#,
                ),
                _ => ("", r#", "license": "MIT""#),
            };
            s.file("bad/nodejs/node_modules/a/package.json", package(bad));
            s.file("good/nodejs/node_modules/a/package.json", package(good));
            s.file("policy.toml", "[licenses]\ndeny = ['AGPL-*']\n");
            let runtime = &["--runtime", "nodejs22.x", "--config", "policy.toml"];
            Case::check(s, runtime, &["bad"], &["good"])
        }
        Code::RuntimeDeprecated => {
            s.file("a.zip", zip(&plain()));
            let bad = ["a.zip", "--runtime", "provided"];
            Case::check(s, &[], &bad, &["a.zip", "--runtime", "provided.al2023"])
        }
        Code::UnpacksTooFar => {
            s.file("a.zip", zip(&[deflated("x", FILE, &[0; 2001])]));
            let bad = ["a.zip", "--max-unzipped", "2kB"];
            Case::check(s, WITH_LANGUAGE, &bad, &["a.zip", "--max-unzipped", "2001B"])
        }
        Code::ManifestUnreadable => {
            listed(s, "bad", &[]);
            listed(s, "good", &[]);
            s.file("bad/layers.json", "{");
            Case::check(s, WITH_LANGUAGE, &["bad"], &["good"])
        }
        Code::PackInterrupted => {
            listed(s, "bad", &[]);
            listed(s, "good", &[]);
            // What was killed before anything was in its place.
            s.file("bad/.lambdar-prune-Ab3dE6/layer-1.zip", "");
            fs_err::remove_file(s.path("bad/layers.json")).unwrap();
            fs_err::remove_file(s.path("bad/layer-1.zip")).unwrap();
            s.file("good/.lambdar-prune-Ab3dE6/layer-1.zip", "");
            Case::check(s, WITH_LANGUAGE, &["bad"], &["good"])
        }
        Code::PackSettled => {
            listed(s, "bad", &[]);
            listed(s, "good", &[]);
            s.file("bad/.lambdar-prune-Ab3dE6/layers.json", "{}");
            s.file("good/.lambdar-prune-Ab3dE6/layers.json.new", "{}");
            Case::check(s, WITH_LANGUAGE, &["bad"], &["good"])
        }
        Code::LayerMissing => {
            listed(s, "bad", &["layer-2.zip"]);
            listed(s, "good", &[]);
            Case::check(s, WITH_LANGUAGE, &["bad"], &["good"])
        }
        Code::LayerChanged => {
            listed(s, "bad", &[]);
            listed(s, "good", &[]);
            s.file("bad/layer-1.zip", zip(&[ok("other")]));
            Case::check(s, WITH_LANGUAGE, &["bad"], &["good"])
        }
        Code::LayerNotListed => {
            listed(s, "bad", &[]);
            listed(s, "good", &[]);
            s.file("bad/layer-2.zip", zip(&[ok("y")]));
            Case::check(s, WITH_LANGUAGE, &["bad"], &["good"])
        }
        Code::UnreadableZip => Case::bytes(s, b"<html>".to_vec(), zip(&plain())),
        Code::TruncatedZip => {
            let whole = zip(&plain());
            Case::bytes(s, whole[..whole.len() - 1].to_vec(), whole)
        }
        Code::EmptyZip => Case::bytes(s, zip(&[]), zip(&plain())),
        Code::DataOutsideZip => {
            let whole = zip(&plain());
            Case::bytes(s, [b"#!/bin/sh\n", &whole[..]].concat(), whole)
        }
        Code::ZipComment => {
            let mut with = zip(&plain());
            let at = with.len() - 2;
            with[at] = 2;
            with.extend(b"hi");
            Case::bytes(s, with, zip(&plain()))
        }
        Code::Zip64 => {
            let mut large = ok("x");
            large.uncompressed = u32::MAX;
            large.extra = [&1_u16.to_le_bytes()[..], &8_u16.to_le_bytes(), &1_u64.to_le_bytes()].concat();
            Case::zips(s, &[large], &plain())
        }
        Code::NewerZipVersion => Case::zips(s, &[Member { needed: 45, ..ok("x") }], &plain()),
        Code::MadeByNewerVersion => {
            let by = |version: u16| {
                [Member {
                    made_by: 0x300 | version,
                    ..ok("x")
                }]
            };
            // Info-ZIP says 3.0.
            Case::zips(s, &by(45), &by(30))
        }
        Code::DataDescriptor => Case::zips(s, &[Member { flags: 8, ..ok("x") }], &plain()),
        Code::CorruptEntry => {
            let mut longer = deflated("x", FILE, b"xxxx");
            longer.uncompressed = 5;
            Case::zips(s, &[longer], &[deflated("x", FILE, b"xxxx")])
        }
        Code::ChecksumMismatch => Case::zips(s, &[Member { crc32: 1, ..ok("x") }], &plain()),
        Code::AmbiguousZip => {
            let whole = zip(&plain());
            let (before, end) = whole.split_at(whole.len() - 22);
            Case::bytes(s, [before, b"between", end].concat(), whole.clone())
        }
        Code::GapInZip => {
            let whole = zip(&plain());
            let directory = whole.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
            let mut bad = [&whole[..directory], b"gap", &whole[directory..]].concat();
            let at = bad.len() - 6;
            bad[at..at + 4].copy_from_slice(&u32::try_from(directory + 3).unwrap().to_le_bytes());
            Case::bytes(s, bad, whole)
        }
        Code::BrokenHeader => {
            let broken = Member {
                extra: vec![0x55, 0x54, 0xff, 0xff, 0],
                ..ok("x")
            };
            Case::zips(s, &[broken], &plain())
        }
        Code::SecondName => {
            let field = [&[0x75, 0x70, 6, 0, 1][..], &crc32fast::hash(b"x").to_le_bytes(), b"y"].concat();
            let second = Member {
                extra: field,
                ..ok("x")
            };
            Case::zips(s, &[second], &plain())
        }
        Code::MisleadingName => Case::zips(s, &[ok("x\u{202e}gpj.so")], &[ok("xgpj.so")]),
        Code::DirectoryWithContent => Case::zips(
            s,
            &[member("d/", FOLDER, "abc"), ok("x")],
            &[member("d/", FOLDER, ""), ok("x")],
        ),
        Code::HeaderMismatch => {
            let other = Member {
                local_name: b"y".to_vec(),
                ..ok("x")
            };
            Case::zips(s, &[other], &plain())
        }
        Code::OverlappingEntries => {
            let again = Member {
                at: Some(0),
                local_name: b"x".to_vec(),
                ..ok("x")
            };
            Case::zips(s, &[ok("x"), again], &[ok("x"), ok("y")])
        }
        Code::UnsupportedEntry => Case::zips(s, &[Member { flags: 1, ..ok("x") }], &plain()),
        Code::BadName => Case::zips(s, &[ok("../x")], &[ok("..x"), ok("a b/ü")]),
        Code::DuplicateName => Case::zips(s, &[ok("x"), ok("x")], &[ok("x"), ok("y/x")]),
        Code::NamesDifferInCase => Case::zips(s, &[ok("x"), ok("X")], &[ok("x"), ok("a/X")]),
        Code::NotMadeByUnix => Case::zips(s, &[Member { made_by: 20, ..ok("x") }], &plain()),
        Code::FileNotReadable => Case::zips(s, &[member("x", 0o100_640, "x")], &[member("x", 0o100_604, "x")]),
        Code::FolderNotSearchable => Case::zips(s, &[member("d/", 0o040_754, "")], &[member("d/", FOLDER, "")]),
        Code::SetuidFile => Case::zips(s, &[member("x", 0o104_755, "x")], &[member("x", 0o101_755, "x")]),
        Code::ConflictingPath => {
            s.file("a.zip", zip(&[ok("x")]));
            s.file("b.zip", zip(&[member("x", FILE, "y")]));
            Case::check(s, WITH_LANGUAGE, &["a.zip", "b.zip"], &["a.zip", "a.zip"])
        }
        Code::LinkNeedsLayer => {
            s.file("a.zip", zip(&[member("l", LINK, "x")]))
                .file("b.zip", zip(&[ok("x")]));
            s.file("c.zip", zip(&[member("l", LINK, "x"), ok("x")]));
            Case::check(s, WITH_LANGUAGE, &["a.zip", "b.zip"], &["c.zip", "b.zip"])
        }
        Code::DanglingLink => Case::zips(s, &[member("l", LINK, "x")], &[member("l", LINK, "x"), ok("x")]),
        Code::LinkOutOfOpt => {
            let to = |target| [member("l", LINK, target)];
            Case::zips(s, &to("/usr/local/lib/x"), &to("../tmp/x"))
        }
        Code::LinkToRuntime => {
            let to = |target| [member("lib/l", LINK, target), ok("lib/libz.so.1")];
            Case::zips(s, &to("/usr/lib64/libz.so.1"), &to("/opt/lib/libz.so.1"))
        }
        Code::LinkLoop => {
            let to = |target| [member("l", LINK, target), member("m", LINK, "l")];
            Case::zips(s, &to("m"), &to("."))
        }
        Code::MissingLibrary => {
            library(s, "libgone.so", "libgone.so.1", "int gone(void) { return 1; }\n", &[])?;
            let gone = s.path("libgone.so");
            let options = ["-Wl,--no-as-needed", gone.to_str().unwrap()];
            library(s, "bad/lib/libx.so", "libx.so", "int x;\n", &options)?;
            library(s, "good/lib/libx.so", "libx.so", "int x;\n", &options)?;
            s.file("good/lib/libgone.so.1", fs_err::read(gone).unwrap());
            Case::trees(s)
        }
        Code::LibraryPathUnclear => {
            library(s, "libq.so.1", "libq.so.1", "int q(void) { return 1; }\n", &[])?;
            let q = s.path("libq.so.1");
            for (tree, directory) in [("bad", "$(date +%Y)"), ("good", "$(dirname \"$0\")/q")] {
                let options = ["-Wl,--no-as-needed", q.to_str().unwrap()];
                library(s, &format!("{tree}/bin/x"), "x", "int x;\n", &options)?;
                s.file(&format!("{tree}/q/libq.so.1"), fs_err::read(&q).unwrap());
                let script = format!("#!/bin/sh\nexport LD_LIBRARY_PATH={directory}\nexec /opt/bin/x\n");
                s.file(&format!("{tree}/bootstrap"), script)
                    .mode(&format!("{tree}/bootstrap"), 0o755);
            }
            Case::trees(s)
        }
        Code::DropNotObeyed => {
            s.file("tree/bin/a", "#!/opt/bin/b\n").file("tree/bin/b", "x");
            s.mode("tree/bin/a", 0o755);
            Case::analyze(s, &["--drop", "bin/b"], &["--drop", "bin/*"])
        }
        Code::GlobMatchesNothing => {
            s.file("tree/lib/x", "x");
            Case::analyze(s, &["--keep", "lib/y"], &["--keep", "lib/x"])
        }
        Code::ShadowedLayer => {
            library(
                s,
                "tree/lib/libcurl.so.4",
                "libcurl.so.4",
                "int curl(void) { return 4; }\n",
                &[],
            )?;
            let library = s.path("tree/lib/libcurl.so.4");
            let program = "int curl(void); void _start(void) { curl(); }\n";
            cc(s, "tree/bin/curl", program, &[library.to_str().unwrap()])?;
            Case::analyze(s, &[], &["--disable", "libraries"])
        }
        Code::LibraryToBringIn => {
            library(
                s,
                "host/libgone.so.1",
                "libgone.so.1",
                "int gone(void) { return 1; }\n",
                &[],
            )?;
            let gone = s.path("host/libgone.so.1");
            let options = ["-Wl,--no-as-needed", gone.to_str().unwrap()];
            library(s, "tree/lib/libx.so", "libx.so", "int x;\n", &options)?;
            let arguments = |more: &[&str]| {
                let all = ["analyze", "tree"].iter().chain(more);
                all.map(ToString::to_string).collect()
            };
            Case {
                sandbox: s,
                bad: arguments(&["--library-dir", "host"]),
                good: arguments(&["--no-import"]),
            }
        }
        Code::SymbolVersionMissing | Code::NoVersionInformation => {
            s.file("one.map", "V1 { global: one; };\n");
            s.file("two.map", "V1 { global: one; };\nV2 { global: two; } V1;\n");
            let source = "int one(void) { return 1; }\nint two(void) { return 2; }\n";
            let of = |tree: &str, map: Option<&str>| {
                let script = map.map(|map| format!("-Wl,--version-script,{}", s.path(map).display()));
                let options: Vec<&str> = script.iter().map(String::as_str).collect();
                let name = format!("{tree}/lib/libv.so.1");
                library(s, &name, "libv.so.1", source, &options)
            };
            of("good", Some("two.map"))?;
            if code == Code::SymbolVersionMissing {
                of("bad", Some("one.map"))?;
            } else {
                // It has no versions of its own, and asks for one, as what is linked with a C library does.
                let script = format!(
                    "-Wl,--version-script,{}",
                    s.file("base.map", "B1 { global: base; };\n").path("base.map").display()
                );
                library(
                    s,
                    "bad/lib/libbase.so.1",
                    "libbase.so.1",
                    "int base(void) { return 0; }\n",
                    &[&script],
                )?;
                let source = source.replace("return 1;", "int base(void); return base();");
                let base = s.path("bad/lib/libbase.so.1");
                library(s, "bad/lib/libv.so.1", "libv.so.1", &source, &[base.to_str().unwrap()])?;
            }
            let link = s.path("good/lib/libv.so.1");
            for tree in ["good", "bad"] {
                let name = format!("{tree}/lib/libuser.so");
                let source = "int two(void);\nint user(void) { return two(); }\n";
                library(s, &name, "libuser.so", source, &[link.to_str().unwrap()])?;
            }
            Case::trees(s)
        }
        Code::LibraryTooOld => {
            s.file("two.map", "XZ_5.0 { global: one; };\nXZ_9.9 { global: two; } XZ_5.0;\n");
            let source = "int one(void) { return 1; }\nint two(void) { return 2; }\n";
            let script = format!("-Wl,--version-script,{}", s.path("two.map").display());
            library(s, "good/lib/liblzma.so.5", "liblzma.so.5", source, &[&script])?;
            let link = s.path("good/lib/liblzma.so.5");
            for tree in ["good", "bad"] {
                let name = format!("{tree}/lib/libuser.so");
                let source = "int two(void);\nint user(void) { return two(); }\n";
                library(s, &name, "libuser.so", source, &[link.to_str().unwrap()])?;
            }
            let arguments = |tree: &str| ["analyze", tree].map(ToOwned::to_owned).to_vec();
            Case {
                sandbox: s,
                bad: arguments("bad"),
                good: arguments("good"),
            }
        }
        Code::CompanionMissing => {
            for tree in ["bad", "good"] {
                let name = format!("{tree}/lib/libproj.so.9");
                library(s, &name, "libproj.so.9", "int proj(void) { return 0; }\n", &[])?;
            }
            s.file("good/share/proj/proj.db", "database");
            Case::trees(s)
        }
        Code::VariableToSet => {
            let proj = "machine/usr/lib/libproj.so.9";
            library(s, proj, "libproj.so.9", "int proj(void) { return 0; }\n", &[])?;
            s.file("machine/usr/share/proj/proj.db", "database");
            let link = s.path(proj);
            for tree in ["bad", "good"] {
                let source = "int proj(void);\nint user(void) { return proj(); }\n";
                let name = format!("{tree}/lib/libuser.so");
                library(s, &name, "libuser.so", source, &[link.to_str().unwrap()])?;
            }
            let bootstrap = "#!/bin/sh\nexport PROJ_DATA=/opt/share/proj\nexport PROJ_LIB=/opt/share/proj\n";
            s.file("good/bootstrap", bootstrap);
            let arguments = |tree: &str| {
                let all = ["analyze", tree, "--library-dir", "machine/usr/lib"];
                all.map(ToOwned::to_owned).to_vec()
            };
            Case {
                sandbox: s,
                bad: arguments("bad"),
                good: arguments("good"),
            }
        }
        Code::SymbolVersionNotChecked => {
            // Which versions the OpenSSL of this runtime defines is not recorded; that of zlib is.
            s.file("one.map", "OPENSSL_3.0.0 { global: one; };\n");
            let script = format!("-Wl,--version-script,{}", s.path("one.map").display());
            for soname in ["libcrypto.so.3", "libown.so.3"] {
                library(s, soname, soname, "int one(void) { return 1; }\n", &[&script])?;
                let tree = if soname == "libcrypto.so.3" { "bad" } else { "good" };
                let link = s.path(soname);
                let source = "int one(void);\nint user(void) { return one(); }\n";
                let user = format!("{tree}/lib/libuser.so");
                library(s, &user, "libuser.so", source, &[link.to_str().unwrap()])?;
            }
            s.file("good/lib/libown.so.3", fs_err::read(s.path("libown.so.3")).unwrap());
            Case::check(s, &["--runtime", "nodejs22.x"], &["bad"], &["good"])
        }
        Code::VersionWithoutLibrary => {
            s.file("one.map", "V1 { global: one; };\n");
            let script = format!("-Wl,--version-script,{}", s.path("one.map").display());
            let name = "good/lib/libv.so.1";
            library(s, name, "libv.so.1", "int one(void) { return 1; }\n", &[&script])?;
            let link = s.path(name);
            program(
                s,
                "good/bin/user",
                "int one(void);\nint main(void) { return one(); }\n",
                &[link.to_str().unwrap()],
            )?;
            output(
                "cp",
                &["-r", s.path("good").to_str().unwrap(), s.path("bad").to_str().unwrap()],
            )?;
            let program = s.path("bad/bin/user");
            output("patchelf", &["--remove-needed", "libv.so.1", program.to_str().unwrap()])?;
            Case::trees(s)
        }
        Code::UndefinedSymbol => {
            library(s, "good/lib/libv.so.1", "libv.so.1", "int one, two;\n", &[])?;
            library(s, "bad/lib/libv.so.1", "libv.so.1", "int one;\n", &[])?;
            let link = s.path("good/lib/libv.so.1");
            for tree in ["good", "bad"] {
                let source = "extern int two;\nint main(void) { return two; }\n";
                program(
                    s,
                    &format!("{tree}/bin/user"),
                    source,
                    &["-fPIC", link.to_str().unwrap()],
                )?;
            }
            Case::trees(s)
        }
        Code::LibraryElsewhere => {
            for (tree, folder) in [("bad", "lib64"), ("good", "lib")] {
                let name = format!("{tree}/{folder}/libv.so.1");
                library(s, &name, "libv.so.1", "int one(void) { return 1; }\n", &[])?;
                let link = s.path(&name);
                let source = "int one(void);\nint main(void) { return one(); }\n";
                program(s, &format!("{tree}/bin/user"), source, &[link.to_str().unwrap()])?;
            }
            Case::trees(s)
        }
        Code::FileInTheWay => {
            for tree in ["bad", "good"] {
                let name = format!("{tree}/lib/libv.so.1");
                library(s, &name, "libv.so.1", "int one(void) { return 1; }\n", &[])?;
                let link = s.path(&name);
                let source = "int one(void);\nint main(void) { return one(); }\n";
                let options = [link.to_str().unwrap(), "-Wl,--disable-new-dtags,-rpath,/opt/a"];
                program(s, &format!("{tree}/bin/user"), source, &options)?;
            }
            s.file("bad/a/libv.so.1", "../lib/libv.so.1");
            Case::trees(s)
        }
        Code::TwoCLibraries => {
            // Stand-ins: what counts is where loader and C library are.
            library(
                s,
                "good/lib/ld-linux-x86-64.so.2",
                "ld-linux-x86-64.so.2",
                "int l;\n",
                &[],
            )?;
            library(s, "good/lib/libc.so.6", "libc.so.6", "int c(void) { return 0; }\n", &[])?;
            output(
                "cp",
                &["-r", s.path("good").to_str().unwrap(), s.path("bad").to_str().unwrap()],
            )?;
            for (tree, path) in [("good", "-Wl,--disable-new-dtags,-rpath,/opt/lib"), ("bad", "-Wl,-O1")] {
                let link = s.path("good/lib/libc.so.6");
                let options = [
                    "-nostdlib",
                    "-Wl,--dynamic-linker=/opt/lib/ld-linux-x86-64.so.2",
                    path,
                    link.to_str().unwrap(),
                ];
                let source = "int c(void);\nint _start(void) { return c(); }\n";
                program(s, &format!("{tree}/bin/user"), source, &options)?;
            }
            Case::trees(s)
        }
        Code::MissingDlopenLibrary | Code::MissingOptionalLibrary => {
            let priority = if code == Code::MissingDlopenLibrary {
                "required"
            } else {
                "recommended"
            };
            noting(s, "bad/lib/libn.so", priority, "libgone.so.1")?;
            noting(s, "good/lib/libn.so", priority, "libz.so.1")?;
            Case::trees(s)
        }
        Code::OpenedLibraryMissing => {
            let opening = |name| {
                [member(
                    "python/m.py",
                    FILE,
                    format!("import ctypes\nz = ctypes.CDLL('{name}')\n"),
                )]
            };
            Case::zips(s, &opening("libgone.so.1"), &opening("libz.so.1"))
        }
        Code::MissingInterpreter => {
            let by = |program| [member("extensions/x", PROGRAM, format!("#!{program}\n"))];
            Case::zips(s, &by("/usr/bin/perl"), &by("/bin/sh"))
        }
        Code::ScriptCannotRun => {
            let by = |program| [member("bin/x", PROGRAM, format!("#!{program}\n"))];
            Case::zips(s, &by("/usr/bin/perl"), &by("/usr/bin/env bash"))
        }
        Code::MissingCommand => {
            let calling = |command| [member("extensions/x", PROGRAM, format!("#!/bin/sh\n{command} x\n"))];
            Case::zips(s, &calling("which"), &calling("curl"))
        }
        Code::RWhichMissing => {
            let with = |which| {
                let mut members = r("R", "/opt/R", PROGRAM);
                members.push(member("R/library/base/R/base.rdb", FILE, base(which)));
                members
            };
            let mut good = with("/opt/bin/which");
            good.push(member("bin/which", PROGRAM, "#!/bin/sh\n"));
            Case::zips(s, &with("/usr/bin/which"), &good)
        }
        Code::OverBudget => {
            let whole = zip(&plain());
            let length = whole.len() as u64;
            s.file("a.zip", whole);
            let budget = |bytes: u64| format!("[[budget]]\nmax-zipped = '{bytes}B'\n");
            s.file("bad.toml", budget(length - 1)).file("good.toml", budget(length));
            let bad = ["a.zip", "--config", "bad.toml"];
            Case::check(s, WITH_LANGUAGE, &bad, &["a.zip", "--config", "good.toml"])
        }
        Code::GrownTooMuch => {
            s.file("old.zip", zip(&[member("x", FILE, vec![0; 1000])]))
                .file("new.zip", zip(&[member("x", FILE, vec![0; 1100])]))
                .file("bad.toml", "[[budget]]\nmax-growth = { percent = 5, bytes = '99B' }\n")
                .file(
                    "good.toml",
                    "[[budget]]\nmax-growth = { percent = 5, bytes = '100B' }\n",
                );
            let arguments = |config| ["new.zip", "--baseline", "old.zip", "--config", config];
            Case::check(s, WITH_LANGUAGE, &arguments("bad.toml"), &arguments("good.toml"))
        }
        Code::UnusedBudget => {
            s.file("a.zip", zip(&plain()))
                .file("bad.toml", "[[budget]]\nlayer = 'b.zip'\nmax-zipped = '1MB'\n")
                .file("good.toml", "[[budget]]\nlayer = 'a.zip'\nmax-zipped = '1MB'\n");
            let bad = ["a.zip", "--config", "bad.toml"];
            Case::check(s, WITH_LANGUAGE, &bad, &["a.zip", "--config", "good.toml"])
        }
        Code::UnusedAllow => {
            let mut with = zip(&plain());
            let at = with.len() - 2;
            with[at] = 2;
            with.extend(b"hi");
            s.file("bad.zip", zip(&plain())).file("good.zip", with);
            let bad = ["bad.zip", "--allow", "zip-comment"];
            Case::check(s, WITH_LANGUAGE, &bad, &["good.zip", "--allow", "zip-comment"])
        }
        Code::RWhichRepaired => {
            s.file("tree/R/library/base/DESCRIPTION", "x")
                .file("tree/R/bin/R", "#!/bin/sh\nR_HOME_DIR=/opt/R\n")
                .file("tree/R/library/base/R/Rprofile", "")
                .file("tree/R/library/base/R/base.rdb", base("/usr/bin/which"));
            let arguments = |more: &[&str]| {
                let all = ["analyze", "tree"].iter().chain(more);
                all.map(ToString::to_string).collect()
            };
            Case {
                sandbox: s,
                bad: arguments(&[]),
                good: arguments(&["--no-fix"]),
            }
        }
        Code::RHomeElsewhere => {
            let all = |says| r("R/lib/R", says, PROGRAM);
            // R's script finds lib64 itself.
            Case::zips(s, &all("/usr/lib/R"), &all("/opt/R/lib64/R"))
        }
        Code::RNotExecutable => Case::zips(s, &r("R", "/opt/R", FILE), &r("R", "/opt/R", PROGRAM)),
        Code::WrongMachine => {
            let mut other = hello();
            other[18] = 183; // EM_AARCH64
            s.file("bad.zip", zip(&[member("bin/x", PROGRAM, other)]));
            s.file("good.zip", zip(&[member("bin/x", PROGRAM, hello())]));
            let with = |name| [name, "--arch", "x86_64"];
            Case::check(s, WITH_LANGUAGE, &with("bad.zip"), &with("good.zip"))
        }
        Code::ForeignObject => {
            let mach_o = [&[0xcf, 0xfa, 0xed, 0xfe][..], &[0; 60]].concat();
            Case::zips(
                s,
                &[member("python/x.cpython-313-darwin.so", FILE, mach_o.clone())],
                &[member("python/x.dylib", FILE, mach_o)],
            )
        }
        Code::OtherPlatforms => {
            let mut other = hello();
            other[18] = 183; // EM_AARCH64
            let fits = member("p/prebuilds/linux-x64/a.node", FILE, hello());
            let bad = [member("p/prebuilds/linux-arm64/a.node", FILE, other), fits.clone()];
            s.file("bad.zip", zip(&bad)).file("good.zip", zip(&[fits]));
            let with = |name| [name, "--arch", "x86_64"];
            Case::check(s, WITH_LANGUAGE, &with("bad.zip"), &with("good.zip"))
        }
        Code::LinkAsText => {
            let text = |text| [member("lib/libx.so", FILE, text), ok("lib/libx.so.1")];
            Case::zips(s, &text("libx.so.1"), &text("INPUT(libx.so.1)\n"))
        }
        Code::ModulesNotFound => Case::zips(s, &[ok("six/__init__.py")], &[ok("python/six/__init__.py")]),
        Code::EditableInstall => {
            let origin = r#"{"url": "file:///src/pkg", "dir_info": {"editable": true}}"#;
            let origin = member("python/pkg-1.0.dist-info/direct_url.json", FILE, origin);
            let bad = [ok("python/other/__init__.py"), origin.clone()];
            // The source was copied beside it.
            Case::zips(s, &bad, &[ok("python/pkg/__init__.py"), origin])
        }
        Code::ModulesElsewhere => {
            let with = |place: &str| [ok("python/six.py"), ok(&format!("{place}/site-packages/x/__init__.py"))];
            Case::zips(s, &with("python/lib/python3.12"), &with("python/lib/python3.13"))
        }
        Code::OtherLanguage => {
            let axios = ok("nodejs/node_modules/axios/package.json");
            Case::zips(s, std::slice::from_ref(&axios), &[axios.clone(), ok("bin/x")])
        }
        Code::WrongAbi => {
            let module = |tag| [ok(&format!("python/x.cpython-{tag}-x86_64-linux-gnu.so"))];
            Case::zips(s, &module("312"), &module("313"))
        }
        Code::OnlyAnArchive => Case::zips(s, &[ok("layer.zip")], &[ok("layer.zip"), ok("x")]),
        Code::UnreadableObject => Case::zips(
            s,
            &[member("x", FILE, b"\x7fELF is what it says")],
            &[member("x", FILE, b"\x7fELV is another thing")],
        ),
        Code::UnreadableFile => {
            s.file("bad/x", "x").mode("bad/x", 0).file("good/x", "x");
            let mut case = Case::trees(s);
            // Only root may read it; then the case cannot be made.
            let ran = s.run_as_nobody(&["check", "bad", "--runtime", "python3.13", "--format", "json"])?;
            assert!(codes(&ran).contains("unreadable-file"), "{ran:?}");
            case.bad = Vec::new();
            case
        }
        Code::NameNotUtf8 => {
            let latin = Member {
                data: b"gr\xfcn".to_vec(),
                uncompressed: 4,
                crc32: crc32fast::hash(b"gr\xfcn"),
                ..member("l", LINK, "")
            };
            Case::zips(s, &[latin], &[member("l", LINK, "grün"), ok("grün")])
        }
        Code::SpecialFile => Case::zips(s, &[member("x", 0o010_644, "")], &[member("x", FILE, "")]),
        Code::BootstrapMissing => Case::bootstraps(s, &plain(), &[member("bootstrap", PROGRAM, "#!/bin/sh\n")]),
        Code::BootstrapTooDeep => Case::bootstraps(
            s,
            &[member("R/bootstrap", PROGRAM, "#!/bin/sh\n")],
            &[
                member("R/bootstrap", PROGRAM, "#!/bin/sh\n"),
                member("bootstrap", LINK, "R/bootstrap"),
            ],
        ),
        Code::BootstrapNotExecutable => Case::bootstraps(
            s,
            // The owner and the group may, but nobody on Lambda is one of them.
            &[member("bootstrap", 0o100_774, "#!/bin/sh\n")],
            &[member("bootstrap", 0o100_775, "#!/bin/sh\n")],
        ),
        Code::BootstrapNotRunnable => Case::bootstraps(
            s,
            &[member("bootstrap", PROGRAM, "\n#!/bin/sh\n")],
            &[member("bootstrap", PROGRAM, hello())],
        ),
        Code::BootstrapWithCrlf => Case::bootstraps(
            s,
            &[member("bootstrap", PROGRAM, "#!/bin/sh\ntrue\r\n")],
            &[member("bootstrap", PROGRAM, "#!/bin/sh\nprintf 'a\rb'\n")],
        ),
        Code::ScriptWithCrlf => Case::zips(
            s,
            &[member("bin/x", PROGRAM, "#!/bin/sh\r\n")],
            &[member("bin/x", FILE, "#!/bin/sh\r\n")],
        ),
        Code::ProgramNotExecutable => Case::zips(
            s,
            &[member("bin/x", FILE, hello())],
            &[member("bin/x", PROGRAM, hello())],
        ),
        Code::WrongTopFolder => Case::zips(s, &[ok("opt/lib/x")], &[ok("opt/lib/x"), ok("y")]),
        Code::NestedArchive => Case::zips(s, &[ok("x.tar.gz")], &[ok("x.gz"), ok("x.zip/y")]),
        Code::Leftover => Case::zips(s, &[ok(".git/config")], &[ok(".gitignore"), ok("core")]),
        Code::Secret => {
            let pem = |kind| format!("-----BEGIN {kind}-----\nMIIB\n-----END {kind}-----\n");
            Case::zips(
                s,
                &[member("x.pem", FILE, pem("PRIVATE KEY"))],
                &[member("x.pem", FILE, pem("CERTIFICATE"))],
            )
        }
        Code::MoreFindings => {
            let many = |count| {
                (0..count)
                    .map(|number| member(&number.to_string(), 0o100_600, ""))
                    .collect::<Vec<_>>()
            };
            Case::zips(s, &many(1001), &many(1000))
        }
    })
}

#[test]
fn every_finding_has_what_causes_it_and_a_near_miss() {
    for code in Code::all() {
        let sandbox = Sandbox::new();
        let Some(case) = case(code, &sandbox) else { continue };
        let name = code.to_string();
        let page = code.page().unwrap();
        if !case.bad.is_empty() {
            let ran = case
                .sandbox
                .run(case.bad.iter().map(String::as_str).chain(["--format", "json"]));
            assert!(codes(&ran).contains(&name), "{code} is not found: {ran:#?}");
            let report = ran.json();
            let findings = report["findings"].as_array().unwrap();
            let finding = findings
                .iter()
                .find(|finding| finding["code"] == name.as_str())
                .unwrap();
            assert_eq!(finding["severity"], page.severity.to_string());
            for text in ["message", "help"] {
                let text = finding[text].as_str().unwrap();
                assert!(!text.contains(['{', '}']), "{code}: {text}");
            }
        }
        let ran = case
            .sandbox
            .run(case.good.iter().map(String::as_str).chain(["--format", "json"]));
        assert!(!codes(&ran).contains(&name), "{code} is found without reason: {ran:#?}");
    }
}

/// What one code stands for may have several causes.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn other_causes_are_found_and_other_near_misses_are_not() {
    let s = Sandbox::new();
    let found = |members: &[Member], runtime: &[&str]| {
        s.file("a.zip", zip(members));
        let arguments = ["check", "a.zip", "--format", "json"];
        let ran = s.run(arguments.iter().chain(runtime));
        let codes = codes(&ran).into_iter().collect::<Vec<_>>().join(" ");
        (codes, ran.stdout)
    };
    let check = |members: &[Member], expected: &str| {
        let (codes, report) = found(members, WITH_LANGUAGE);
        assert_eq!(codes, expected, "{report}");
    };
    let starts = |members: &[Member], expected: &str| {
        let (codes, report) = found(members, WITHOUT_LANGUAGE);
        assert_eq!(codes, expected, "{report}");
    };
    for name in [
        "/x",
        "a/../x",
        "a\\x",
        "a\u{7}",
        "a//x",
        "",
        "a/./x",
        &"a/".repeat(200),
        &"a".repeat(5000),
    ] {
        check(&[member(name, FILE, "x")], "bad-name");
    }
    check(
        &[Member {
            name: b"\xff".to_vec(),
            local_name: b"\xff".to_vec(),
            ..ok("x")
        }],
        "bad-name",
    );
    check(&[member("./", FOLDER, ""), ok("./x"), member("y/", FOLDER, "")], "");
    check(&[member(".", 0o040_700, ""), ok("x")], "folder-not-searchable");
    check(&[Member { method: 12, ..ok("x") }], "unsupported-entry");
    check(
        &[Member {
            made_by: 20,
            mode: 0,
            ..ok("x")
        }],
        "not-made-by-unix",
    );
    check(&[member("x", 0, "x")], "file-not-readable");
    check(&[ok("x"), ok("x/y")], "conflicting-path");
    check(&[ok("y/z"), member("x", LINK, "y"), ok("x/z")], "conflicting-path");
    check(&[ok("x"), member("x/", FOLDER, "")], "duplicate-name");
    check(&[member("l", LINK, "l")], "link-loop");
    check(&[member("l", LINK, "")], "corrupt-entry");
    check(&[member("l", LINK, "/opt")], "");
    for target in [
        "/bin/sh",
        "/dev/null",
        "/proc/self/fd",
        "/var/task/x",
        "/usr/share/zoneinfo/UTC",
    ] {
        check(&[member("l", LINK, target)], "link-to-runtime");
    }
    for target in ["/usr/lib64/libgone.so.1", "/home/me/x", "/usr/bin/which"] {
        check(&[member("l", LINK, target)], "link-out-of-opt");
    }
    let mut core = hello()[..64].to_vec();
    core[16] = 4; // ET_CORE
    check(&[member("core.123", FILE, core)], "leftover");
    for name in [".env", "a/.env.production", "home/.aws/credentials", "id_ed25519"] {
        check(&[ok(name)], "secret");
    }
    for name in [".env.example", "environment", "id_rsa.pub", "aws/credentials"] {
        check(&[ok(name)], "");
    }
    starts(&[member("bootstrap", PROGRAM, "")], "bootstrap-not-runnable");
    starts(
        &[member("bootstrap", PROGRAM, "\u{feff}#!/bin/sh\n")],
        "bootstrap-not-runnable",
    );
    starts(&[member("bootstrap", PROGRAM, "echo\n")], "bootstrap-not-runnable");
    starts(&[member("bootstrap", PROGRAM, "#!/bin/sh\r\n")], "bootstrap-with-crlf");
    starts(
        &[member("bootstrap", PROGRAM, "#!/usr/bin/perl\n")],
        "missing-interpreter",
    );
    starts(&[member("bootstrap", LINK, "nothing")], "dangling-link");
    starts(&[member("bootstrap/x", FILE, "#!/bin/sh\n")], "bootstrap-missing");
    starts(
        &[member("opt/bootstrap", PROGRAM, "#!/bin/sh\n")],
        "bootstrap-too-deep wrong-top-folder",
    );
    starts(
        &[Member {
            made_by: 20,
            ..member("bootstrap", PROGRAM, "#!/bin/sh\n")
        }],
        "bootstrap-not-executable not-made-by-unix",
    );
    check(
        &[member("extensions/x", FILE, "#!/bin/sh\n")],
        "bootstrap-not-executable",
    );
    let bootstrap = |text: &str| {
        let mut members = r("R/lib/R", "/opt/R/lib/R", PROGRAM);
        members.push(member("bootstrap", PROGRAM, format!("#!/bin/sh\n{text}\n")));
        members
    };
    starts(&bootstrap("export RHOME=/opt/R/lib/R"), "");
    starts(&bootstrap("export R_HOME=/usr/lib/R"), "r-home-elsewhere");
    starts(&bootstrap("R_HOME=$(dirname $0)"), "");
    let mut renviron = r("R/lib/R", "/opt/R/lib/R", PROGRAM);
    renviron.push(member("R/lib/R/etc/Renviron", FILE, "R_HOME=${R_HOME-'/usr/lib/R'}\n"));
    check(&renviron, "");
    renviron[2] = member("R/lib/R/etc/Renviron", FILE, "R_HOME=/usr/lib/R\n");
    check(&renviron, "r-home-elsewhere");
}

#[test]
fn duplicates_are_named_one_by_one() {
    let s = Sandbox::new();
    s.file("a.zip", zip(&[ok("x"), ok("y"), ok("x"), ok("y"), ok("z")]));
    let report = s
        .run(["check", "a.zip", "--runtime", "python3.13", "--format", "json"])
        .expect_status(1)
        .json();
    let paths: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["x", "y"]);
}

#[test]
fn findings_are_explained() {
    let s = Sandbox::new();
    let page = s.run(["check", "--explain", "missing-library"]).expect_status(0).stdout;
    for words in [
        "error[missing-library]",
        "cannot open shared object file",
        "lambdar-prune why",
    ] {
        assert!(page.contains(words), "{page}");
    }
    let list = s.run(["check", "--explain"]).expect_status(0).stdout;
    let json = s
        .run(["check", "--explain", "--format", "json"])
        .expect_status(0)
        .json();
    for code in Code::all() {
        assert!(list.contains(&format!("{code} ")), "{code}");
        assert!(
            json["findings"]
                .as_array()
                .unwrap()
                .iter()
                .any(|page| page["code"] == code.to_string())
        );
    }
    let ran = s.run(["check", "--explain", "missing-libary"]).expect_status(2);
    assert!(ran.stderr.contains("did you mean 'missing-library'?"), "{ran:?}");
}

/// zlib defines its first functions without a version and those that came later with one; of the runtime's only the versions
/// are known.
#[test]
fn a_library_with_versions_may_define_symbols_without() {
    let s = Sandbox::new();
    s.file("z.map", "ZLIB_1.2.0 { global: compressBound; };\n");
    let script = format!("-Wl,--version-script,{}", s.path("z.map").display());
    let source = "int compress(void) { return 1; }\nint compressBound(void) { return 2; }\n";
    let made = library(&s, "libz.so.1", "libz.so.1", source, &[&script]);
    let link = s.path("libz.so.1");
    let source = "int compress(void), compressBound(void);\nint main(void) { return compress() + compressBound(); }\n";
    let made = made.and_then(|_| program(&s, "tree/bin/user", source, &[link.to_str().unwrap()]));
    if made.is_some() {
        let checked = s.run(["check", "tree", "--runtime", "provided.al2023", "--format", "json"]);
        assert!(!codes(&checked).contains("undefined-symbol"), "{checked:?}");
    }
}
