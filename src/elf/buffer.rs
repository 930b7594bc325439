//! Memory for the large tables of one object after the other: what was used for one serves the next, which the system would
//! otherwise have to clear anew.

use std::cell::RefCell;
use std::ops::Deref;

/// How many buffers a thread keeps, and the longest of them, in bytes.
const MOST: usize = 4;
const LONGEST: usize = 16 << 20;

thread_local! {
    static UNUSED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// What a function puts into an empty buffer; `None` if it fails.
    pub(super) fn filled(fill: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<Self> {
        let mut buffer = Self(UNUSED.with_borrow_mut(Vec::pop).unwrap_or_default());
        buffer.0.clear();
        fill(&mut buffer.0).map(|()| buffer)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        if bytes.capacity() == 0 || bytes.capacity() > LONGEST {
            return;
        }
        // A thread that ends has none any more.
        let _ = UNUSED.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < MOST {
                unused.push(bytes);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_used_again_is_empty() {
        let fill = |text: &'static [u8]| {
            Buffer::filled(move |bytes| {
                bytes.extend_from_slice(text);
                Some(())
            })
        };
        drop(fill(b"longer"));
        assert_eq!(fill(b"new").as_deref(), Some(&b"new"[..]));
        assert!(Buffer::filled(|_| None).is_none());
    }
}
