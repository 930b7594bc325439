//! For which Pythons and platforms a distribution was built, by the tags in its WHEEL file (PEP 425, PEP 427, PEP 600, PEP 656).

use crate::runtime::Arch;

/// The file that says how a wheel was built, in the metadata of a distribution.
pub(super) const WHEEL: &str = "WHEEL";

/// Why no tag of a distribution fits a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is for another Python: which, for people, and its version as runtimes have it in their names.
    Python(String, Option<String>),
    /// It is for another platform: which, for people.
    Platform(String),
    /// It is source code for Python 2 alone.
    Source,
}

/// One combination of what a wheel's file name allows.
struct Tag<'t> {
    python: &'t str,
    abi: &'t str,
    platform: &'t str,
}

/// Why a distribution with this WHEEL file has nothing that a Python of this version loads; `None` if it has, if nothing of it
/// depends on a version, and if the file says nothing.
pub(super) fn misfit(wheel: &str, version: &str, arch: Arch) -> Option<Misfit> {
    let values = |key: &'static str| {
        let lines = wheel.lines();
        lines.filter_map(move |line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim))
    };
    let written: Vec<&str> = values("Tag").collect();
    let tags: Vec<Tag<'_>> = written.iter().flat_map(|tag| combinations(tag)).collect();
    let is_of_python_2 = |tag: &Tag<'_>| ["py2", "cp2"].iter().any(|begin| tag.python.starts_with(begin));
    if !tags.is_empty() && tags.iter().all(|tag| is_of_python_2(tag) && tag.platform == "any") {
        return Some(Misfit::Source);
    }
    if values("Root-Is-Purelib").any(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let minor: u32 = version.strip_prefix("3.")?.parse().ok()?;
    let on_platform: Vec<&Tag<'_>> = tags.iter().filter(|tag| tag.fits_platform(arch)).collect();
    if tags.is_empty() || on_platform.iter().any(|tag| tag.fits_python(minor)) {
        return None;
    }
    match on_platform.last() {
        Some(tag) => Some(Misfit::Python(tag.python_shown(), tag.version())),
        None => tags.last().map(|tag| Misfit::Platform(tag.platform_shown().to_owned())),
    }
}

/// What a tag such as `cp312.cp313-abi3-manylinux_2_17_x86_64` stands for.
fn combinations(tag: &str) -> Vec<Tag<'_>> {
    let mut parts = tag.splitn(3, '-');
    let (Some(pythons), Some(abis), Some(platforms)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let pythons = pythons.split('.');
    let with_abi = pythons.flat_map(|python| abis.split('.').map(move |abi| (python, abi)));
    with_abi
        .flat_map(|(python, abi)| platforms.split('.').map(move |platform| Tag { python, abi, platform }))
        .collect()
}

impl Tag<'_> {
    fn minor(&self) -> Option<u32> {
        self.python.strip_prefix("cp3")?.parse().ok()
    }

    fn fits_python(&self, minor: u32) -> bool {
        match self.abi {
            // Nothing in it is bound to an interpreter.
            "none" => self.python.starts_with("py3") || self.python.starts_with("cp3"),
            "abi3" => self.minor().is_some_and(|least| least <= minor),
            abi => abi == self.python && self.minor() == Some(minor),
        }
    }

    fn fits_platform(&self, arch: Arch) -> bool {
        let machine = match arch {
            Arch::X86_64 => "_x86_64",
            Arch::Arm64 => "_aarch64",
        };
        let is_linux = self.platform.starts_with("linux_") || self.platform.starts_with("manylinux");
        self.platform == "any" || is_linux && self.platform.ends_with(machine)
    }

    fn python_shown(&self) -> String {
        let build = match self.abi.strip_suffix('t') {
            Some(abi) if abi == self.python => "free-threaded ",
            _ => "",
        };
        match (self.minor(), self.abi) {
            (Some(minor), "abi3") => format!("CPython 3.{minor} and newer ones"),
            (Some(minor), _) => format!("{build}CPython 3.{minor}"),
            (None, _) => format!("another Python ({})", self.python),
        }
    }

    fn version(&self) -> Option<String> {
        let is_regular = self.abi == self.python || self.abi == "abi3";
        self.minor().filter(|_| is_regular).map(|minor| format!("3.{minor}"))
    }

    fn platform_shown(&self) -> &str {
        let names = [("macosx", "macOS"), ("win", "Windows"), ("musllinux", "musl")];
        let name = names.iter().find(|(begin, _)| self.platform.starts_with(begin));
        name.map_or(self.platform, |(_, shown)| shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `pip install` of Python 3.13 on x86_64 says of wheels with these tags (packaging.tags.sys_tags).
    #[test]
    fn tags_that_pip_takes_fit() {
        let check = |tags: &[&str], expected: Option<Misfit>| {
            let lines: Vec<String> = tags.iter().map(|tag| format!("Tag: {tag}")).collect();
            let wheel = format!("Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{}\n", lines.join("\n"));
            assert_eq!(misfit(&wheel, "3.13", Arch::X86_64), expected, "{tags:?}");
        };
        let python =
            |shown: &str, version: Option<&str>| Some(Misfit::Python(shown.to_owned(), version.map(ToOwned::to_owned)));
        let platform = |shown: &str| Some(Misfit::Platform(shown.to_owned()));
        check(
            &["cp313-cp313-manylinux_2_17_x86_64", "cp313-cp313-manylinux2014_x86_64"],
            None,
        );
        check(&["cp39-abi3-manylinux_2_28_x86_64"], None);
        check(&["py3-none-manylinux1_x86_64"], None);
        check(&["py2.py3-none-any"], None);
        check(&["cp313-cp313-linux_x86_64"], None);
        check(
            &["cp312-cp312-manylinux_2_17_x86_64"],
            python("CPython 3.12", Some("3.12")),
        );
        check(
            &["cp313-cp313t-manylinux_2_17_x86_64"],
            python("free-threaded CPython 3.13", None),
        );
        check(
            &["cp314-abi3-manylinux_2_17_x86_64"],
            python("CPython 3.14 and newer ones", Some("3.14")),
        );
        check(
            &["pp310-pypy310_pp73-manylinux_2_17_x86_64"],
            python("another Python (pp310)", None),
        );
        check(&["cp313-cp313-musllinux_1_2_x86_64"], platform("musl"));
        check(&["cp313-cp313-macosx_11_0_arm64"], platform("macOS"));
        check(&["cp313-cp313-win_amd64"], platform("Windows"));
        check(
            &["cp313-cp313-manylinux_2_17_aarch64"],
            platform("manylinux_2_17_aarch64"),
        );
        check(&["py2-none-any"], Some(Misfit::Source));
        check(&["nonsense"], None);
        check(&[], None);
        let pure = "Root-Is-Purelib: true\nTag: cp312-cp312-linux_x86_64\n";
        assert_eq!(misfit(pure, "3.13", Arch::X86_64), None);
    }
}
