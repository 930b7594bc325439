//! The version of Node that an addon registers itself for at the time that it is loaded: the first field of the `node_module`
//! that it hands to `node_module_register` (node.h), which the loader's relocations tell from other data.

use std::collections::BTreeMap;

use object::elf::{R_AARCH64_RELATIVE, R_X86_64_RELATIVE};
use object::read::elf::ElfFile64;
use object::{Architecture, Endianness, Object, ObjectSegment, ObjectSymbol, RelocationFlags};

use super::abi::VERSIONS;
use crate::elf::Source;

/// What an addon calls that registers itself when it is loaded.
const REGISTER: &[u8] = b"node_module_register";

/// Larger addons are not looked into, in bytes: those that are not built for Node-API are older and smaller.
const LARGEST: u64 = 32 << 20;
/// No addon has nearly as many relocations.
const MOST_RELOCATIONS: usize = 1 << 20;

/// Where fields of `node_module` are, in bytes from its beginning (node.h, on 64-bit systems): the version is the first, then
/// come the flags and a handle that is null before it is registered.
const FLAGS: u64 = 4;
const HANDLE: u64 = 8;
const FILE_NAME: u64 = 16;
const FUNCTIONS: [u64; 2] = [24, 32];
const MODULE_NAME: u64 = 40;

/// The flags that there are have the lowest bits (`NM_F_BUILTIN`, `NM_F_LINKED`, `NM_F_INTERNAL`, `NM_F_DELETEME`).
const MOST_FLAGS: u32 = 0xf;

/// The `NODE_MODULE_VERSION` of an addon that registers itself; `None` where nothing is certain.
pub(super) fn version(source: &dyn Source) -> Option<String> {
    if source.length() > LARGEST {
        return None;
    }
    let bytes = source.read(0, usize::try_from(source.length()).ok()?)?;
    memchr::memmem::find(&bytes, REGISTER)?;
    let file = ElfFile64::<Endianness>::parse(bytes.as_slice()).ok()?;
    let registers = file.dynamic_symbols().any(|symbol| symbol.name_bytes() == Ok(REGISTER));
    let relative = match file.architecture() {
        Architecture::X86_64 => R_X86_64_RELATIVE,
        Architecture::Aarch64 => R_AARCH64_RELATIVE,
        _ => return None,
    };
    let relocations = file.dynamic_relocations().filter(|_| registers)?;
    let pointers: BTreeMap<u64, u64> = relocations
        .take(MOST_RELOCATIONS)
        .filter(|(_, relocation)| matches!(relocation.flags(), RelocationFlags::Elf { r_type } if r_type == relative))
        .map(|(at, relocation)| (at, relocation.addend().cast_unsigned()))
        .collect();
    let word = |address: u64| {
        let data = file
            .segments()
            .find_map(|segment| segment.data_range(address, 4).ok().flatten())?;
        Some(u32::from_le_bytes(data.try_into().ok()?))
    };
    let is_module = |start: u64| {
        let has_pointer = |field: u64| pointers.contains_key(&(start + field));
        let is_zero = |field: u64| word(start + field) == Some(0);
        has_pointer(MODULE_NAME)
            && FUNCTIONS.into_iter().any(has_pointer)
            && !has_pointer(HANDLE)
            && is_zero(HANDLE)
            && is_zero(HANDLE + 4)
            && word(start + FLAGS).is_some_and(|flags| flags <= MOST_FLAGS)
    };
    let starts = pointers.keys().filter_map(|at| at.checked_sub(FILE_NAME));
    let mut versions: Vec<u32> = starts
        .filter(|start| is_module(*start))
        .filter_map(word)
        .filter(|version| VERSIONS.contains(version))
        .collect();
    versions.dedup();
    match versions[..] {
        [version] => Some(version.to_string()),
        _ => None,
    }
}
