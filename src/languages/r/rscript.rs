//! `Rscript`, the program that runs R scripts: it has the path of R's directory compiled in (R's src/unix/Rscript.c).

use crate::elf::Source;

/// Its name.
pub const NAME: &str = "Rscript";

/// It has some twenty kilobytes; a larger one is another program.
const LARGEST: u64 = 1 << 20;
/// `PATH_MAX`, the longest path that it accepts.
const LONGEST: usize = 4096;

/// The directory that it takes for R's: the text in it that is an absolute path ending in `/R`, as configure makes it of
/// the library directory, such as `/opt/R/lib/R`. `None` where there is no such text, or where there are several.
pub fn home(source: &dyn Source) -> Option<String> {
    if source.length() > LARGEST {
        return None;
    }
    let bytes = source.read(0, usize::try_from(source.length()).ok()?)?;
    let mut homes: Vec<&str> = bytes
        .split(|byte| *byte == 0)
        .filter(|text| text.starts_with(b"/") && text.ends_with(b"/R") && text.len() <= LONGEST)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .filter(|text| !text.ends_with("/bin/R") && !text.contains(|c: char| c.is_control() || c == '%'))
        .collect();
    homes.dedup();
    match homes[..] {
        [home] => Some(home.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_found_among_other_texts() {
        let check = |texts: &[&str], expected: Option<&str>| {
            let bytes = texts.join("\0").into_bytes();
            assert_eq!(home(&bytes.as_slice()).as_deref(), expected, "{texts:?}");
        };
        check(
            &[
                "\u{7f}ELF",
                "/lib64/ld-linux-x86-64.so.2",
                "%s/bin/R",
                "/opt/R/lib/R",
                "x",
            ],
            Some("/opt/R/lib/R"),
        );
        check(&["/usr/lib/R", "/opt/R/lib/R"], None);
        check(&["/bin/R", "/usr/%s/R"], None);
    }
}
