//! R's lazy-load databases (R Internals, section 1.20): the functions of a package, compressed one by one.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// The file that holds the functions of package base.
pub const BASE_DATABASE: &str = "base.rdb";

/// No function of package base comes near this length, serialized.
const LONGEST_FUNCTION: u64 = 4 << 20;
/// All functions of package base have a tenth of this, serialized.
const LONGEST_DATABASE: u64 = 64 << 20;
/// A function's shortest compressed form: a length and an empty zlib stream.
const SHORTEST: usize = 4 + 8;

/// The command that `Sys.which` runs, as R's configure found it on the machine that built R; `None` if there is none in
/// the database.
///
/// The path stands in the function's text, which is the only one in package base that ends in `/which`.
pub fn which_command(database: &[u8]) -> Option<String> {
    let mut rest = database;
    let mut left = LONGEST_DATABASE;
    while rest.len() >= SHORTEST {
        // Each entry is the length of its content (u32, big endian) and a zlib stream (R's serialize.c, lazyLoadDBfetch).
        let (_, stream) = rest.split_at(4);
        let mut decoder = ZlibDecoder::new(stream);
        let mut content = Vec::new();
        decoder
            .by_ref()
            .take(LONGEST_FUNCTION.min(left))
            .read_to_end(&mut content)
            .ok()?;
        left = left.checked_sub(content.len() as u64).filter(|left| *left > 0)?;
        if let Some(path) = path_to_which(&content) {
            return Some(path);
        }
        let used = usize::try_from(decoder.total_in()).ok()?;
        if used == 0 {
            return None;
        }
        rest = stream.get(used..)?;
    }
    None
}

/// A text in serialized form that is an absolute path ending in `/which`.
fn path_to_which(content: &[u8]) -> Option<String> {
    // CHARSXP: flags, then the length (u32, big endian), then the bytes (R Internals, section 1.8).
    let ending = b"/which";
    content
        .windows(ending.len())
        .enumerate()
        .filter(|(_, window)| window == ending)
        .find_map(|(at, _)| {
            let end = at + ending.len();
            (ending.len()..=256).find_map(|length| {
                let start = end.checked_sub(length)?;
                let announced = content.get(start.checked_sub(4)?..start)?.first_chunk::<4>()?;
                if u32::from_be_bytes(*announced) as usize != length || content.get(start) != Some(&b'/') {
                    return None;
                }
                std::str::from_utf8(content.get(start..end)?)
                    .ok()
                    .map(ToOwned::to_owned)
            })
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn database(contents: &[&[u8]]) -> Vec<u8> {
        let mut database = Vec::new();
        for content in contents {
            database.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(content).unwrap();
            database.extend(encoder.finish().unwrap());
        }
        database
    }

    #[test]
    fn the_path_is_found_in_whichever_function_it_stands() {
        let mut function = b"text before".to_vec();
        function.extend(14_u32.to_be_bytes());
        function.extend(b"/usr/bin/which");
        let found = which_command(&database(&[b"another function", &function, b"a third"]));
        assert_eq!(found.as_deref(), Some("/usr/bin/which"));
        // The length before the text must be that of the path.
        assert_eq!(which_command(&database(&[b"say which", b"\0\0\0\x09/bin/which"])), None);
        assert_eq!(which_command(&database(&[b"nothing"])), None);
        for broken in [&b""[..], b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &[0xff; 40]] {
            assert_eq!(which_command(broken), None);
        }
    }
}
