//! Names that nothing else has: request numbers, identifiers of extensions, traces.

use std::time::{SystemTime, UNIX_EPOCH};

/// Sixteen random bytes.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without random numbers the time has to do: these are names, and no secrets.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        bytes = now.as_nanos().to_le_bytes();
    }
    bytes
}

/// A random UUID (RFC 9562, version 4), which is what Lambda's request numbers are.
pub(super) fn uuid() -> String {
    let mut bytes = random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = base16ct::lower::encode_string(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A trace header of X-Ray that is not sampled.
pub(super) fn trace_id() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let hex = base16ct::lower::encode_string(&random());
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &hex[..24], &hex[16..])
}
