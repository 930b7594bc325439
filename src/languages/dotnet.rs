//! .NET: assemblies, which open libraries by the names in their metadata.

use super::Language;

/// How the name of an assembly ends.
const ASSEMBLY: &str = ".dll";
/// What the metadata of an assembly begins with (ECMA-335, II.24.2.1).
const METADATA: &[u8] = b"BSJB";
/// The heap of the names in the metadata, with the zeros that fill its name up (ECMA-335, II.24.2.2 and II.24.2.3).
const NAMES: &[u8] = b"#Strings\0\0\0\0";
/// How names of libraries begin that are not written with their ending. Names of other things seldom do.
const LIBRARY: &str = "lib";
/// Longer names are none of libraries, in bytes.
const LONGEST_NAME: usize = 200;

/// .NET.
#[derive(Debug)]
pub struct DotNet;

impl Language for DotNet {
    fn name(&self) -> &'static str {
        "dotnet"
    }

    fn is_compiled(&self, path: &crate::tree::TreePath) -> bool {
        path.file_name().ends_with(ASSEMBLY)
    }

    /// The names among those in the metadata that `DllImport` may have, as the runtime looks for them (Microsoft, "Native library
    /// loading"): as they are, with an ending, and with `lib` in front.
    fn opened_by_compiled(&self, content: &[u8]) -> Vec<String> {
        let names = names(content).unwrap_or_default();
        let is_library = |name: &&[u8]| {
            name.len() <= LONGEST_NAME
                && (name.starts_with(LIBRARY.as_bytes()) || memchr::memmem::find(name, b".so").is_some())
        };
        let names = names.split(|byte| *byte == 0).filter(is_library);
        let names = names.filter_map(|name| std::str::from_utf8(name).ok());
        names.flat_map(|name| [name.to_owned(), format!("{name}.so")]).collect()
    }
}

/// The heap of names.
fn names(content: &[u8]) -> Option<&[u8]> {
    let root = memchr::memmem::find(content, METADATA)?;
    let metadata = &content[root..];
    let header = memchr::memmem::find(metadata, NAMES)?.checked_sub(8)?;
    let word = |at: usize| {
        let bytes = metadata.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let (start, length) = (word(header)?, word(header + 4)?);
    metadata.get(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An assembly as far as it is read: the metadata's root with one stream, and its names.
    fn assembly(names: &[u8]) -> Vec<u8> {
        let mut bytes = b"MZ\x90\0BSJB\x01\0\x01\0\0\0\0\0\x0c\0\0\0v4.0.30319\0\0\0\0\x01\0".to_vec();
        let start = u32::try_from(bytes.len() - 4 + 20).unwrap();
        bytes.extend(start.to_le_bytes());
        bytes.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
        bytes.extend(NAMES);
        bytes.extend(names);
        bytes
    }

    #[test]
    fn names_of_libraries_are_read_from_the_metadata() {
        let opened = |names: &[u8]| DotNet.opened_by_compiled(&assembly(names));
        assert_eq!(opened(b"\0<Module>\0libz\0Main\0"), ["libz", "libz.so"]);
        assert_eq!(opened(b"\0z.so.1\0"), ["z.so.1", "z.so.1.so"]);
        assert!(opened(b"\0z\0Main\0").is_empty());
        for content in [&b""[..], b"MZ", b"BSJB", &assembly(b"libz")[..40]] {
            assert!(DotNet.opened_by_compiled(content).is_empty());
        }
    }
}
