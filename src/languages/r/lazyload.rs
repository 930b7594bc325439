//! R's lazy-load databases (R Internals, section 1.20): the functions of a package, compressed one by one.

use std::io::Read;

use flate2::read::ZlibDecoder;
use lzma_rust2::Lzma2Reader;
use memchr::memmem;

use super::recompress::{LZMA2_KIND, STORED_KIND, dictionary};

/// The file that holds the functions of package base.
pub const BASE_DATABASE: &str = "base.rdb";

/// No function of package base comes near this length, serialized.
const LONGEST_FUNCTION: u64 = 4 << 20;
/// All functions of package base have a tenth of this, serialized.
const LONGEST_DATABASE: u64 = 64 << 20;
/// A function's shortest form: a length and some bytes.
const SHORTEST: usize = 4 + 8;

/// The command that `Sys.which` runs, as R's configure found it on the machine that built R; `None` if there is none in
/// the database.
///
/// The path stands in the function's text, which is the only one in package base that ends in `/which`.
pub fn which_command(database: &[u8]) -> Option<String> {
    let mut rest = database;
    let mut left = LONGEST_DATABASE;
    while rest.len() >= SHORTEST {
        let (content, behind) = first(rest, LONGEST_FUNCTION.min(left))?;
        left = left.checked_sub(content.len() as u64).filter(|left| *left > 0)?;
        if let Some(path) = path_to_which(&content) {
            return Some(path);
        }
        rest = behind;
    }
    None
}

/// What is serialized in the first chunk of a database, up to so many bytes, and the database behind it; `None` for what is no
/// chunk.
///
/// A chunk is the length of its content (u32, big endian) and either a zlib stream or one byte for the kind and the content;
/// see [`recompress`](super::recompress). No zlib stream begins with such a byte (RFC 1950, section 2.2).
fn first(database: &[u8], longest: u64) -> Option<(Vec<u8>, &[u8])> {
    let (length, packed) = database.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let mut content = Vec::new();
    match packed.split_first()? {
        (&STORED_KIND, stored) => {
            let (stored, behind) = stored.split_at_checked(usize::try_from(length).ok()?)?;
            Some((stored.to_vec(), behind))
        }
        (&LZMA2_KIND, mut stream) => {
            let decoder = Lzma2Reader::new(&mut stream, dictionary(length.into()), None);
            decoder.take(longest).read_to_end(&mut content).ok()?;
            Some((content, stream))
        }
        _ => {
            let mut decoder = ZlibDecoder::new(packed);
            decoder.by_ref().take(longest).read_to_end(&mut content).ok()?;
            let used = usize::try_from(decoder.total_in()).ok().filter(|used| *used > 0)?;
            Some((content, packed.get(used..)?))
        }
    }
}

/// A text in serialized form that is an absolute path ending in `/which`.
fn path_to_which(content: &[u8]) -> Option<String> {
    // CHARSXP: flags, then the length (u32, big endian), then the bytes (R Internals, section 1.8).
    let ending = b"/which";
    memmem::find_iter(content, ending).find_map(|at| {
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
    fn the_path_is_found_however_chunks_are_compressed() {
        let mut function = b"text before".to_vec();
        function.extend(14_u32.to_be_bytes());
        function.extend(b"/usr/bin/which");
        let stored = |content: &[u8]| {
            let length = u32::try_from(content.len()).unwrap().to_be_bytes();
            [&length[..], b"0", content].concat()
        };
        // A database of R's with LZMA2 streams that begin and end it.
        let of_r = include_bytes!("../../../testdata/r/lzma.rdb");
        let found = which_command(&[of_r, &stored(&function)[..]].concat());
        assert_eq!(found.as_deref(), Some("/usr/bin/which"));
        assert_eq!(which_command(of_r), None);
        assert_eq!(which_command(&of_r[..of_r.len() / 2]), None);
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
