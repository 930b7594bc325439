//! Zips written byte by byte, for what no program would write (PKWARE APPNOTE.TXT 6.3.10).

/// One entry: what its headers say, and what is behind them.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    /// The name in the entry's own header.
    pub(crate) local_name: Vec<u8>,
    pub(crate) made_by: u16,
    pub(crate) needed: u16,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc32: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) uncompressed: u32,
    pub(crate) mode: u32,
    pub(crate) extra: Vec<u8>,
    /// The place of another entry, for one that has none of its own.
    pub(crate) at: Option<u32>,
}

/// A stored entry as Info-ZIP makes it.
pub(crate) fn member(name: &str, mode: u32, content: impl AsRef<[u8]>) -> Member {
    let content = content.as_ref();
    Member {
        name: name.into(),
        local_name: name.into(),
        made_by: 0x314, // Unix, 2.0
        needed: 20,
        flags: 0,
        method: 0,
        crc32: crc32fast::hash(content),
        data: content.to_vec(),
        uncompressed: u32::try_from(content.len()).unwrap(),
        mode,
        extra: Vec::new(),
        at: None,
    }
}

/// A deflated entry.
pub(crate) fn deflated(name: &str, mode: u32, content: &[u8]) -> Member {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    Member {
        method: 8,
        data: encoder.finish().unwrap(),
        ..member(name, mode, content)
    }
}

pub(crate) const FILE: u32 = 0o100_644;
pub(crate) const PROGRAM: u32 = 0o100_755;
pub(crate) const FOLDER: u32 = 0o040_755;
pub(crate) const LINK: u32 = 0o120_777;

/// The bytes of a zip with these entries.
pub(crate) fn zip(members: &[Member]) -> Vec<u8> {
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let offset = member.at.unwrap_or(u32::try_from(zip.len()).unwrap());
        let compressed = u32::try_from(member.data.len()).unwrap();
        let fields = |name: &[u8], extra: &[u8]| {
            let mut fields = Vec::new();
            for value in [member.needed, member.flags, member.method, 0, 33] {
                fields.extend(value.to_le_bytes());
            }
            for value in [member.crc32, compressed, member.uncompressed] {
                fields.extend(value.to_le_bytes());
            }
            for length in [name.len(), extra.len()] {
                fields.extend(u16::try_from(length).unwrap().to_le_bytes());
            }
            fields
        };
        if member.at.is_none() {
            zip.extend(b"PK\x03\x04");
            zip.extend(fields(&member.local_name, &[]));
            zip.extend(&member.local_name);
            zip.extend(&member.data);
        }
        directory.extend(b"PK\x01\x02");
        directory.extend(member.made_by.to_le_bytes());
        directory.extend(fields(&member.name, &member.extra));
        directory.extend([0; 6]);
        directory.extend((member.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&member.name);
        directory.extend(&member.extra);
    }
    let start = u32::try_from(zip.len()).unwrap();
    let size = u32::try_from(directory.len()).unwrap();
    let count = u16::try_from(members.len()).unwrap();
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    for value in [count, count] {
        zip.extend(value.to_le_bytes());
    }
    for value in [size, start] {
        zip.extend(value.to_le_bytes());
    }
    zip.extend([0, 0]);
    zip
}
