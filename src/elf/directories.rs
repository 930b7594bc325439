//! The default directories of a loader, which it has in its read-only data.

use super::source::Source;

/// How much of a file is looked through; a loader has a quarter of a megabyte.
const LARGEST_LOADER: u64 = 4 << 20;
/// No loader has more default directories.
const MOST: usize = 8;

/// The directories of a file whose name says that it is glibc's loader; none for any other file.
pub(super) fn of_loader(soname: Option<&str>, source: &dyn Source) -> Vec<String> {
    let is_loader = soname.is_some_and(|name| name.starts_with("ld-linux") || name.starts_with("ld.so"));
    if !is_loader || source.length() > LARGEST_LOADER {
        return Vec::new();
    }
    let length = usize::try_from(source.length()).unwrap_or_default();
    source
        .read(0, length)
        .map(|bytes| directories_in(&bytes))
        .unwrap_or_default()
}

/// The default directories that are built into a loader: glibc keeps them as one run of texts that end with a slash
/// (elf/dl-load.c, `system_dirs`).
pub fn directories_in(loader: &[u8]) -> Vec<String> {
    // One that was built with another prefix has /PREFIX/lib/ there.
    let slashes = memchr::memmem::find_iter(loader, b"\0/");
    slashes
        .map(|at| {
            loader[at + 1..]
                .split(|byte| *byte == 0)
                .map_while(|text| {
                    let text = std::str::from_utf8(text).ok()?.strip_suffix('/')?;
                    let is_library_directory = text.rsplit('/').take(2).any(|name| name.starts_with("lib"));
                    (text.starts_with('/') && is_library_directory).then(|| text.to_owned())
                })
                .take(MOST)
                .collect::<Vec<String>>()
        })
        .max_by_key(Vec::len)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_default_directories_are_found() {
        let debian =
            b"x\0/lib/x86_64-linux-gnu\0y\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0z";
        assert_eq!(
            directories_in(debian),
            ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]
        );
        assert_eq!(directories_in(b"\0/lib64/\0/usr/lib64/\0"), ["/lib64", "/usr/lib64"]);
        assert_eq!(directories_in(b"\0/etc/\0/opt/glibc/lib/\0x"), ["/opt/glibc/lib"]);
        assert_eq!(directories_in(b"nothing"), [""; 0]);
    }
}
