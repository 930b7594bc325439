//! The symbols of a captured library as a runtime file holds them: a line each, compressed (zlib) and in base64.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::elf::{Source, Symbols, parse_with_symbols};

/// The longest list that is unpacked, in bytes; that of the largest library has a tenth.
const LONGEST: u64 = 64 << 20;

/// The symbols that an object defines, as [`Symbols::from_lines`] reads them, packed.
pub(crate) fn of(source: &dyn Source) -> std::io::Result<String> {
    let mut lines = Vec::new();
    // What cannot be read was judged when the tree was scanned.
    let _ = parse_with_symbols(source, &mut |name, version, hidden| {
        lines.push(match version {
            None => name.to_owned(),
            Some(version) => format!("{name}{}{version}", if hidden { "@" } else { "@@" }),
        });
    });
    lines.sort_unstable();
    lines.dedup();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(lines.join("\n").as_bytes())?;
    Ok(STANDARD.encode(encoder.finish()?))
}

/// Unpacks a list. `None` if it is not one.
pub(super) fn unpacked(packed: &str) -> Option<Symbols> {
    let bytes = STANDARD.decode(packed).ok()?;
    let mut lines = String::new();
    ZlibDecoder::new(&bytes[..])
        .take(LONGEST)
        .read_to_string(&mut lines)
        .ok()?;
    Some(Symbols::from_lines(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Undefined;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let bytes = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let own = crate::elf::parse(&bytes.as_slice()).unwrap().unwrap();
        let unpacked = unpacked(&of(&bytes.as_slice()).unwrap()).unwrap();
        // A program defines few symbols for others; what it takes from them is not recorded.
        assert!(unpacked.undefined.is_empty());
        let printf = Undefined::new("no_such_symbol", None);
        assert_eq!(unpacked.defines(&printf), own.symbols.unwrap().defines(&printf));
        assert!(super::unpacked("no base64").is_none());
    }
}
