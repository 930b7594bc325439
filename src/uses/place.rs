//! Uses by absolute path: the targets of links, and what the kernel starts a program or script through.

use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::root::{Location, Root, link_target};
use crate::shell::Shebang;
use crate::tree::Entry;

/// What an absolute path uses in the tree: every link on the way, and what it leads to; nothing if it leads elsewhere.
pub(crate) fn used_at(root: Root<'_>, absolute: &str) -> Vec<Used> {
    let mut used = Vec::new();
    let Ok(Location::Tree(place)) = root.walk(absolute, |link| used.push(Used::Path(link))) else {
        return Vec::new();
    };
    used.push(match root.tree.get(&place) {
        Some(Entry::Directory(_)) => Used::Directory {
            marker: place.clone(),
            path: place,
        },
        _ => Used::Path(place),
    });
    used
}

/// Finds what symbolic links lead to.
pub struct LinkTargets<'a>(pub Root<'a>);

impl FindUses for LinkTargets<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::Symlink(target) = source.entry else {
            return Vec::new();
        };
        let used = used_at(self.0, &link_target(source.path, target));
        used.into_iter()
            .map(|used| source.uses(used, UseKind::LinkTarget, Evidence::of(target)))
            .collect()
    }
}

/// Finds the loaders of programs and the interpreters of scripts.
pub struct Interpreters<'a>(pub Root<'a>);

impl FindUses for Interpreters<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let object = file.content.object().and_then(|object| object.interpreter.clone());
        let script = file.content.text().into_iter();
        let paths = object.into_iter().chain(script.flat_map(|text| self.of_script(text)));
        paths
            .flat_map(|path| {
                let used = used_at(self.0, &path).into_iter();
                used.map(move |used| source.uses(used, UseKind::Interpreter, Evidence::of(&path)))
            })
            .collect()
    }
}

impl Interpreters<'_> {
    /// The absolute paths of the programs that a script's first line asks for.
    fn of_script(&self, script: &str) -> Vec<String> {
        let Some(Shebang { program, command }) = Shebang::of(script) else {
            return Vec::new();
        };
        let found = command.and_then(|command| {
            let directories = self.0.runtime.command_path().into_iter();
            directories
                .map(|directory| format!("{directory}/{command}"))
                .find(|path| self.0.resolve(path).is_ok())
        });
        std::iter::once(program.to_owned()).chain(found).collect()
    }
}
