//! Lambda's limits on layers.

/// The largest zip that a request can carry, in bytes: AWS answers a larger one with "Zipped size must be smaller than
/// 52428800 bytes" (recorded for CreateFunction; PublishLayerVersion belongs to the same family).
pub const ZIPPED_BYTES: u64 = 52_428_799;

/// From here on a zip is called close to the limit: an older form of the limit counted the whole request, which left
/// about this much for the zip.
pub const ZIPPED_BYTES_NEAR: u64 = 52_428_000;

/// The sizes of a function's code and all its layers, unzipped, must be smaller than this many bytes: "Function code
/// combined with layers exceeds the maximum allowed size of 262144000 bytes".
pub const UNZIPPED_BYTES: u64 = 262_144_000;

/// "Cannot reference more than 5 layers."
pub const LAYERS: usize = 5;

/// The most entries of a zip without ZIP64 (APPNOTE.TXT 4.4.21, where 0xFFFF stands for "see ZIP64"); Lambda has been
/// seen to refuse ZIP64 now and then.
pub const ZIP_ENTRIES: usize = 65_534;

/// The largest zip without ZIP64 (APPNOTE.TXT 4.4.16, where 0xFFFFFFFF stands for "see ZIP64").
pub const ZIP_BYTES: u64 = 0xFFFF_FFFE;

/// The longest time that a function can have for an event, in seconds (botocore 1.44.8, `CreateFunctionRequest.Timeout`).
pub const TIMEOUT_SECONDS: f64 = 1800.0;
