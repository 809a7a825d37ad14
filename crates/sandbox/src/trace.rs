//! The non-zero blocks of a guest's final memory, without touching what the guest never touched.
//!
//! Blocks are defined by their content. A page that was never written reads as zeros, and the kernel
//! knows which those are; reading them would cost a page fault each (2.3 µs measured).

use std::fs::File;
use std::os::unix::fs::FileExt;

const BLOCK_BYTES: usize = 4096;
static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// An entry of the page map is eight bytes; these bits say that a page has content of its own.
const ENTRY_BYTES: usize = 8;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// Entries read at once.
const ENTRIES: usize = 8192;

/// Tells which pages of this process hold anything.
#[derive(Debug)]
pub(crate) struct Pages {
    map: Option<File>,
    page_bytes: usize,
    buffer: Vec<u8>,
}

impl Pages {
    /// Where the kernel does not tell, all pages count as used.
    pub(crate) fn new() -> Self {
        let page_bytes = rustix::param::page_size();
        let map = File::open("/proc/self/pagemap").ok();
        let map = map.filter(|_| page_bytes.is_multiple_of(BLOCK_BYTES));
        Self { map, page_bytes, buffer: vec![0; ENTRIES * ENTRY_BYTES] }
    }

    /// The non-zero blocks of `memory` as (index, BLAKE3), by ascending index.
    ///
    /// Up to `image_bytes` a page can have content without having been touched: the module's data
    /// lies in the file that it is mapped from.
    pub(crate) fn blocks(&mut self, memory: &[u8], image_bytes: u64) -> Vec<(u32, [u8; 32])> {
        let mut found = Vec::new();
        let image = usize::try_from(image_bytes).unwrap_or(usize::MAX).min(memory.len());
        let image = image.next_multiple_of(self.page_bytes).min(memory.len());
        hash_blocks(memory, 0, image, &mut found);
        let mut at = image;
        while at < memory.len() {
            let pages = (memory.len() - at).div_ceil(self.page_bytes).min(ENTRIES);
            let end = (at + pages * self.page_bytes).min(memory.len());
            if self.read_map(memory, at, pages) {
                for page in 0..pages {
                    let entry = &self.buffer[page * ENTRY_BYTES..][..ENTRY_BYTES];
                    let entry = u64::from_ne_bytes(entry.try_into().expect("eight bytes"));
                    if entry & (PRESENT | SWAPPED) != 0 {
                        let start = at + page * self.page_bytes;
                        hash_blocks(memory, start, (start + self.page_bytes).min(end), &mut found);
                    }
                }
            } else {
                hash_blocks(memory, at, end, &mut found);
            }
            at = end;
        }
        found
    }

    /// Reads the map's entries for `pages` pages from `memory[at..]` on.
    fn read_map(&mut self, memory: &[u8], at: usize, pages: usize) -> bool {
        let Some(map) = &self.map else { return false };
        let address = memory[at..].as_ptr() as usize;
        if !address.is_multiple_of(self.page_bytes) {
            return false;
        }
        let offset = (address / self.page_bytes * ENTRY_BYTES) as u64;
        map.read_exact_at(&mut self.buffer[..pages * ENTRY_BYTES], offset).is_ok()
    }
}

fn hash_blocks(memory: &[u8], start: usize, end: usize, found: &mut Vec<(u32, [u8; 32])>) {
    let (blocks, _) = memory[start..end].as_chunks::<BLOCK_BYTES>();
    for (index, block) in (start / BLOCK_BYTES..).zip(blocks) {
        if *block != ZEROS {
            found.push((index as u32, *blake3::hash(block).as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortcut_gives_the_blocks_that_a_full_look_gives() {
        let mut memory = vec![0u8; 64 << 20];
        for at in [4095, 4096, 1 << 20, (1 << 20) + 1, 33 << 20, (64 << 20) - 1] {
            memory[at] = 7;
        }
        // Read, so that it is there, but still zero.
        assert_eq!(memory[20 << 20], 0);
        let mut full = Vec::new();
        hash_blocks(&memory, 0, memory.len(), &mut full);
        let start = memory.as_ptr().align_offset(4096);
        let memory = &memory[start..][..(64 << 20) - (1 << 16)];
        let mut aligned = Vec::new();
        hash_blocks(memory, 0, memory.len(), &mut aligned);
        assert_eq!(Pages::new().blocks(memory, 0), aligned);
        assert_eq!(Pages::new().blocks(memory, 5000), aligned);
        assert_eq!(full.len(), 5, "two of the six bytes share a block");
    }

    #[test]
    fn pages_nobody_touched_are_not_read() {
        let memory = vec![0u8; 64 << 20];
        let memory = &memory[memory.as_ptr().align_offset(4096)..][..48 << 20];
        let mut pages = Pages::new();
        assert_eq!(pages.blocks(memory, 0), []);
        assert!(pages.read_map(memory, 0, ENTRIES), "the kernel tells");
        let entries = pages.buffer.chunks(ENTRY_BYTES);
        let present = entries.filter(|entry| entry[7] & 0x80 != 0).count();
        assert!(present < 10, "{present} pages were mapped by looking");
    }
}
