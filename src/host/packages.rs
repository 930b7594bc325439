//! Which package of this machine a file comes from, as its package manager says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::OsRelease;
use crate::elf::PackageNote;

/// The package managers that are asked, by the names that package URLs have for them (purl-spec, types).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// dpkg, of Debian and Ubuntu.
    Deb,
    /// RPM, of Amazon Linux, Fedora and their kin.
    Rpm,
    /// apk, of Alpine.
    Apk,
}

/// A package of the machine that a file came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostPackage {
    /// What manages it.
    pub manager: PackageManager,
    /// Its name.
    pub name: String,
    /// Its version, as the package manager writes it.
    pub version: String,
    /// Its architecture, as the package manager writes it.
    pub arch: String,
    /// The source package that it was built from, if that has another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The distribution, such as `debian`: `ID` of os-release(5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// Its release, such as `12`: `VERSION_ID` of os-release(5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The license, if the package manager records one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

impl HostPackage {
    /// The package that a note in an object names; `None` for kinds of packages that are not known, and without a version.
    pub fn noted(note: &PackageNote) -> Option<Self> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let manager = match note.kind.as_str() {
            "deb" => PackageManager::Deb,
            "rpm" => PackageManager::Rpm,
            "apk" => PackageManager::Apk,
            _ => return None,
        };
        Some(Self {
            manager,
            name: text(&note.name)?,
            version: text(&note.version)?,
            arch: note.architecture.clone(),
            source: None,
            distribution: text(&note.os),
            release: text(&note.os_version),
            license: None,
        })
    }
}

/// A text that says what may be done with a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LicenseFile {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// Where it belongs in a layer: below the root, by names.
    pub place: String,
}

/// Where licenses come to be in a layer.
const LICENSES: &str = "share/licenses";
/// Where Debian has the texts that its packages refer to (Debian Policy, section 12.5).
const COMMON_LICENSES: &str = "usr/share/common-licenses";
/// No license text is longer, in bytes.
const LONGEST: u64 = 4 << 20;

/// The packages that own files, by file, as far as one of these systems knows. The files are below the root of the first of
/// them that holds them.
pub(super) fn owners(files: &[PathBuf], roots: &[PathBuf]) -> BTreeMap<PathBuf, HostPackage> {
    let mut owners = BTreeMap::new();
    for root in roots {
        let inside: Vec<(&PathBuf, Vec<String>)> = files
            .iter()
            .filter(|file| !owners.contains_key(*file))
            .filter_map(|file| Some((file, names(file, root)?)))
            .collect();
        if inside.is_empty() {
            continue;
        }
        let names: BTreeSet<&str> = inside.iter().flat_map(|(_, names)| names).map(String::as_str).collect();
        let known = System::of(root).owners(&names);
        for (file, names) in inside {
            if let Some(package) = names.iter().find_map(|name| known.get(name)) {
                owners.insert(file.clone(), package.clone());
            }
        }
    }
    owners
}

/// The names that a package manager may have for a file: as it was found and as it is there when links are followed, each
/// with and without `/usr`, which on merged systems are one. `None` if the file is not below the root.
fn names(file: &Path, root: &Path) -> Option<Vec<String>> {
    let inside = |path: &Path| Some(format!("/{}", path.strip_prefix(root).ok()?.to_str()?));
    let found = inside(file)?;
    let followed = file.canonicalize().ok().and_then(|path| inside(&path));
    let mut names = Vec::new();
    for name in std::iter::once(found).chain(followed) {
        let other = match name.strip_prefix("/usr/") {
            Some(rest) => format!("/{rest}"),
            None => format!("/usr{name}"),
        };
        names.extend([name, other]);
    }
    Some(names)
}

/// A system with a package manager.
struct System<'a> {
    root: &'a Path,
    release: OsRelease,
}

impl<'a> System<'a> {
    fn of(root: &'a Path) -> Self {
        Self {
            root,
            release: OsRelease::of(root),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.root.join(name).exists()
    }

    fn owners(&self, files: &BTreeSet<&str>) -> BTreeMap<String, HostPackage> {
        if self.has("var/lib/dpkg/status") {
            self.of_dpkg(files)
        } else if self.has("lib/apk/db/installed") {
            self.of_apk(files)
        } else if self.has("var/lib/rpm") || self.has("usr/lib/sysimage/rpm") {
            self.of_rpm(files)
        } else {
            BTreeMap::new()
        }
    }

    fn package(&self, manager: PackageManager, name: &str, version: &str, arch: &str) -> HostPackage {
        HostPackage {
            manager,
            name: name.to_owned(),
            version: version.to_owned(),
            arch: arch.to_owned(),
            source: None,
            distribution: self.release.id.clone(),
            release: self.release.version.clone(),
            license: None,
        }
    }

    /// dpkg-query(1).
    fn of_dpkg(&self, files: &BTreeSet<&str>) -> BTreeMap<String, HostPackage> {
        let database = self.root.join("var/lib/dpkg");
        let query = |arguments: &[&str]| {
            let mut command = Command::new("dpkg-query");
            command.arg("--admindir").arg(&database).args(arguments);
            output(command)
        };
        // A name with a character that means something to dpkg-query stands for others as well.
        let plain = files.iter().filter(|name| !name.contains(['*', '?', '[', '\\']));
        let found = query(&[&["--search", "--"][..], &plain.copied().collect::<Vec<_>>()].concat());
        // PACKAGE:ARCH: /path, or "PACKAGE, PACKAGE: /path" for a path that several have.
        let owned: Vec<(String, String)> = found
            .lines()
            .filter(|line| !line.starts_with("diversion by "))
            .filter_map(|line| {
                let (packages, path) = line.split_once(": ")?;
                let package = packages.split(", ").next()?;
                Some((path.to_owned(), package.to_owned()))
            })
            .collect();
        if owned.is_empty() {
            return BTreeMap::new();
        }
        let names: BTreeSet<&str> = owned.iter().map(|(_, package)| package.as_str()).collect();
        let format =
            "--showformat=${binary:Package}\\t${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\n";
        let names: Vec<&str> = names.into_iter().collect();
        let shown = query(&[&["--show", format, "--"][..], &names].concat());
        let packages: BTreeMap<&str, HostPackage> = shown
            .lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let [qualified, name, version, arch, source] = fields[..] else {
                    return None;
                };
                let mut package = self.package(PackageManager::Deb, name, version, arch);
                package.source = (source != name && !source.is_empty()).then(|| source.to_owned());
                Some((qualified, package))
            })
            .collect();
        let of = |package: &str| {
            let short = package.split(':').next().unwrap_or(package);
            packages.get(package).or_else(|| packages.get(short))
        };
        owned
            .into_iter()
            .filter_map(|(path, package)| Some((path, of(&package)?.clone())))
            .collect()
    }

    /// rpm(8), asked for each file, as its answers do not name them.
    fn of_rpm(&self, files: &BTreeSet<&str>) -> BTreeMap<String, HostPackage> {
        let database = ["usr/lib/sysimage/rpm", "var/lib/rpm"].map(|name| self.root.join(name));
        let Some(database) = database.into_iter().find(|path| path.exists()) else {
            return BTreeMap::new();
        };
        let format = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t%{LICENSE}\\n";
        let owner = |file: &str| {
            let mut command = Command::new("rpm");
            command.arg("--dbpath").arg(&database);
            command.args(["--query", "--queryformat", format, "--file", file]);
            let shown = output(command);
            let fields: Vec<&str> = shown.lines().next()?.split('\t').collect();
            let [name, version, arch, source, license] = fields[..] else {
                return None;
            };
            let mut package = self.package(PackageManager::Rpm, name, version, arch);
            // NAME-VERSION-RELEASE.src.rpm
            let source = source.rsplitn(3, '-').nth(2).filter(|source| *source != name);
            package.source = source.map(ToOwned::to_owned);
            package.license = Some(license.to_owned()).filter(|license| !license.is_empty());
            Some(package)
        };
        files
            .iter()
            .filter_map(|file| Some(((*file).to_owned(), owner(file)?)))
            .collect()
    }

    /// The database of apk, which is plain text: a stanza for each package, with a letter for each field (Alpine wiki, "Apk
    /// spec").
    fn of_apk(&self, files: &BTreeSet<&str>) -> BTreeMap<String, HostPackage> {
        let mut owners = BTreeMap::new();
        let text = fs_err::read_to_string(self.root.join("lib/apk/db/installed")).unwrap_or_default();
        for stanza in text.split("\n\n") {
            let field = |letter: &str| stanza.lines().find_map(|line| line.strip_prefix(letter));
            let (Some(name), Some(version)) = (field("P:"), field("V:")) else {
                continue;
            };
            let mut package = self.package(PackageManager::Apk, name, version, field("A:").unwrap_or_default());
            package.source = field("o:").filter(|source| *source != name).map(ToOwned::to_owned);
            package.license = field("L:").map(ToOwned::to_owned);
            let mut directory = "";
            for line in stanza.lines() {
                if let Some(next) = line.strip_prefix("F:") {
                    directory = next;
                } else if let Some(file) = line.strip_prefix("R:") {
                    let path = format!("/{directory}/{file}");
                    if files.contains(path.as_str()) {
                        owners.insert(path, package.clone());
                    }
                }
            }
        }
        owners
    }
}

/// What a command prints; nothing if there is no such command. dpkg-query fails as soon as one of many files is nobody's, so
/// that its status says nothing.
fn output(mut command: Command) -> String {
    let run = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    run.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// The texts that come with a package, sorted by place: its copyright file with the licenses that this refers to (Debian
/// Policy, section 12.5), or its directory of licenses (Fedora Packaging Guidelines, "License Text").
pub(super) fn license_files(package: &HostPackage, roots: &[PathBuf]) -> Vec<LicenseFile> {
    let mut files = BTreeSet::new();
    for root in roots {
        let documentation = root.join("usr/share/doc").join(&package.name).join("copyright");
        if package.manager == PackageManager::Deb
            && let Some((path, text)) = short_text(&documentation, root)
        {
            // Packages from one source share the file, by a link.
            let owner = path.parent().and_then(|directory| directory.file_name()?.to_str());
            let owner = owner.unwrap_or(&package.name).to_owned();
            files.extend(common_licenses(&text, root));
            files.insert(LicenseFile {
                path,
                place: format!("{LICENSES}/{owner}/copyright"),
            });
        }
        let directory = root.join("usr/share/licenses").join(&package.name);
        let entries = fs_err::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_str().map(ToOwned::to_owned);
            if let (Some(name), Some((path, _))) = (name, short_text(&entry.path(), root)) {
                files.insert(LicenseFile {
                    path,
                    place: format!("{LICENSES}/{}/{name}", package.name),
                });
            }
        }
        if !files.is_empty() {
            break;
        }
    }
    files.into_iter().collect()
}

/// The common licenses that a copyright file names by their paths.
fn common_licenses(text: &str, root: &Path) -> Vec<LicenseFile> {
    let mut licenses = Vec::new();
    for (at, found) in text.match_indices(COMMON_LICENSES) {
        let rest = text[at + found.len()..].strip_prefix('/').unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-.+".contains(c));
        let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        let path = root.join(COMMON_LICENSES).join(name);
        if !name.is_empty() && path.is_file() {
            licenses.push(LicenseFile {
                path,
                place: format!("{LICENSES}/common-licenses/{name}"),
            });
        }
    }
    licenses
}

/// Where a text is when links are followed as in that root, and the text; `None` for what cannot be read, or is too long for a
/// license.
fn short_text(path: &Path, root: &Path) -> Option<(PathBuf, String)> {
    let path = super::followed(path, root)?;
    let metadata = fs_err::metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return None;
    }
    let bytes = fs_err::read(&path).ok()?;
    Some((path, String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_a_file_is_the_one_that_apk_records() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write(
            "etc/os-release",
            "ID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine\"\n",
        );
        write("lib/libz.so.1.3.1", "");
        write("usr/lib/libquadmath.so.0", "");
        write(
            "lib/apk/db/installed",
            "C:Q1x\nP:zlib\nV:1.3.1-r1\nA:x86_64\nL:Zlib\no:zlib\nF:lib\nR:libz.so.1.3.1\na:0:0:755\n\n\
             P:libquadmath\nV:13.2.1_git20240309-r1\nA:x86_64\nL:GPL-2.0-or-later AND LGPL-2.1-or-later\no:gcc\nF:usr\n\
             F:usr/lib\nR:libquadmath.so.0\n\n",
        );
        std::os::unix::fs::symlink("libz.so.1.3.1", root.path().join("lib/libz.so.1")).unwrap();
        let files = ["lib/libz.so.1", "usr/lib/libquadmath.so.0", "lib/none"].map(|name| root.path().join(name));
        let found = owners(&files, &[root.path().to_owned()]);
        assert_eq!(found.len(), 2);
        let zlib = &found[&files[0]];
        assert_eq!(
            (zlib.name.as_str(), zlib.version.as_str(), &zlib.source),
            ("zlib", "1.3.1-r1", &None)
        );
        assert_eq!(
            (zlib.distribution.as_deref(), zlib.release.as_deref()),
            (Some("alpine"), Some("3.20.3"))
        );
        assert_eq!(found[&files[1]].source.as_deref(), Some("gcc"));
        assert_eq!(
            found[&files[1]].license.as_deref(),
            Some("GPL-2.0-or-later AND LGPL-2.1-or-later")
        );
    }

    /// dpkg-query itself is asked where this machine has it.
    #[test]
    fn packages_of_debian_bring_their_copyright_and_what_it_refers_to() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let status = "Package: libx5\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\
                      Source: gcc-x (12.2.0-1)\nVersion: 12.2.0-14\nMaintainer: x <x@example.org>\nDescription: x\n\n";
        write("var/lib/dpkg/status", status);
        write("var/lib/dpkg/available", "");
        write("var/lib/dpkg/info/format", "1\n");
        write(
            "var/lib/dpkg/info/libx5:amd64.list",
            "/.\n/usr\n/usr/lib\n/usr/lib/libx.so.5\n",
        );
        write("usr/lib/libx.so.5", "");
        write(
            "usr/share/doc/gcc-x-base/copyright",
            "see /usr/share/common-licenses/GPL-3.\n",
        );
        write("usr/share/common-licenses/GPL-3", "text\n");
        // Absolute, as in a root whose links were not made relative.
        std::os::unix::fs::symlink("/usr/share/doc/gcc-x-base", root.path().join("usr/share/doc/libx5")).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
        let roots = [root.path().to_owned()];
        let file = root.path().join("lib/libx.so.5");
        let found = owners(std::slice::from_ref(&file), &roots);
        let package = match found.get(&file) {
            Some(package) => package.clone(),
            None if Command::new("dpkg-query").arg("--version").output().is_err() => return,
            None => panic!("dpkg-query says nothing of {}", file.display()),
        };
        assert_eq!(
            (package.name.as_str(), package.version.as_str(), package.arch.as_str()),
            ("libx5", "12.2.0-14", "amd64")
        );
        assert_eq!(package.source.as_deref(), Some("gcc-x"));
        let places: Vec<String> = license_files(&package, &roots)
            .into_iter()
            .map(|file| file.place)
            .collect();
        assert_eq!(
            places,
            [
                "share/licenses/common-licenses/GPL-3",
                "share/licenses/gcc-x-base/copyright"
            ]
        );
    }
}
