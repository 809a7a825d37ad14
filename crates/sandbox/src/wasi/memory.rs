//! A guest's memory as the calls see it: every access is checked, none can panic.

use super::guest::Guest;
use crate::errno::Errno;
use crate::limits::{BUFFERS_MAX, GUEST_PATH_BYTES_MAX};

/// One call of a guest: its memory and everything else that belongs to it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) memory: Memory<'a>,
    pub(super) guest: &'a mut Guest,
}

#[derive(Debug)]
pub(super) struct Memory<'a>(pub(super) &'a mut [u8]);

/// A guest's pointer and length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Memory<'_> {
    pub(super) fn bytes(&self, at: u32, len: u32) -> Result<&[u8], Errno> {
        self.0.get(at as usize..).and_then(|rest| rest.get(..len as usize)).ok_or(Errno::Fault)
    }

    pub(super) fn bytes_mut(&mut self, at: u32, len: u32) -> Result<&mut [u8], Errno> {
        let rest = self.0.get_mut(at as usize..);
        rest.and_then(|rest| rest.get_mut(..len as usize)).ok_or(Errno::Fault)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        self.bytes_mut(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    /// A path: UTF-8, and not longer than any path may be.
    pub(super) fn path(&self, at: u32, len: u32) -> Result<&str, Errno> {
        if GUEST_PATH_BYTES_MAX < len {
            return Err(Errno::Nametoolong);
        }
        std::str::from_utf8(self.bytes(at, len)?).map_err(|_| Errno::Ilseq)
    }

    /// The buffers of a scattered read or write, all of them inside the memory.
    pub(super) fn buffers(&self, at: u32, count: u32) -> Result<Vec<Buffer>, Errno> {
        if BUFFERS_MAX < count {
            return Err(Errno::Inval);
        }
        let list = self.bytes(at, 8 * count)?;
        let (buffers, _) = list.as_chunks::<8>();
        let buffer = |&[a, b, c, d, e, f, g, h]: &[u8; 8]| {
            let [at, len] = [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes);
            self.bytes(at, len).map(|_| Buffer { at, len })
        };
        buffers.iter().map(buffer).collect()
    }
}
