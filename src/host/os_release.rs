//! What an installed system says of itself: os-release(5).

use std::path::Path;

use crate::open;

/// Where the file is, the first one that is there.
const PLACES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// The system below a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`, such as `debian`.
    pub id: Option<String>,
    /// `VERSION_ID`, such as `12`.
    pub version: Option<String>,
    /// `PRETTY_NAME`, such as `Debian GNU/Linux 12 (bookworm)`.
    pub title: Option<String>,
}

impl OsRelease {
    /// What the files below a root say. A link in the place of the first file usually leads to the second, and is not followed: it
    /// could lead out of the root.
    pub fn of(root: &Path) -> Self {
        let text = PLACES
            .iter()
            .find_map(|place| open::read_regular_text(&root.join(place)).ok())
            .unwrap_or_default();
        let field = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            let value = value.trim().trim_matches(['"', '\'']);
            (!value.is_empty() && !value.contains(char::is_control)).then(|| value.to_owned())
        };
        Self {
            id: field("ID"),
            version: field("VERSION_ID"),
            title: field("PRETTY_NAME"),
        }
    }

    /// A short name, such as `debian-12`; of a rolling release, its `ID` alone.
    pub fn name(&self) -> Option<String> {
        let id = self.id.clone()?;
        Some(match &self.version {
            Some(version) => format!("{id}-{version}"),
            None => id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_the_root_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc", "usr/lib"] {
            fs_err::create_dir_all(root.path().join(directory)).unwrap();
        }
        assert_eq!(OsRelease::of(root.path()), OsRelease::default());
        std::os::unix::fs::symlink("/usr/lib/os-release", root.path().join("etc/os-release")).unwrap();
        fs_err::write(
            root.path().join("usr/lib/os-release"),
            "PRETTY_NAME=\"Own OS 7 (x)\"\nID=own\nVERSION_ID='7'\n",
        )
        .unwrap();
        let release = OsRelease::of(root.path());
        assert_eq!(release.name().as_deref(), Some("own-7"));
        assert_eq!(release.title.as_deref(), Some("Own OS 7 (x)"));
    }
}
