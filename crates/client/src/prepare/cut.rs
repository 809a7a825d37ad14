//! Cutting bytes into parts while they stream by: no record and no part is ever held in memory.

#[cfg(test)]
mod tests;

use blake3::Hasher;
use protocol::limits::TREE_ENTRIES_MAX;
use protocol::{BlobId, BlobRef};

use super::records::Scanner;
use super::stable::Chooser;
use super::wrong::{Place, Why, Wrong};
use crate::{Amount, Cut, Fill, Form};

/// A row of names that goes into every part.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// A part: what it is, and where in the data its bytes begin that follow the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) blob: BlobRef,
}

/// All parts of one stream of data.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Goes before the bytes of every part.
    pub(super) header: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
}

/// Why there are no parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutError {
    Wrong(Wrong),
    TooMany,
}

/// Cuts one stream.
#[derive(Debug)]
pub(super) struct Cutter {
    scanner: Scanner,
    parts: Parts,
}

impl Cutter {
    /// `by` anything but files.
    pub(super) fn new(by: Cut) -> Self {
        let (form, fill) = match by {
            Cut::Records { form, fill } => (form, fill),
            Cut::Bytes(max_bytes) => {
                let size = Amount::Records(1);
                (Form::Fixed(max_bytes), Fill { size, stable: false, max_bytes })
            }
            Cut::File { .. } => unreachable!("files are not cut"),
        };
        let may_be_short = matches!(by, Cut::Bytes(_));
        Self { scanner: Scanner::new(form), parts: Parts::new(form, fill, may_be_short) }
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), CutError> {
        let Self { scanner, parts } = self;
        scanner.scan(bytes, |end| parts.end_record(bytes, end)).map_err(CutError::Wrong)?;
        parts.end_bytes(bytes).map_err(CutError::Wrong)?;
        parts.check_count()
    }

    /// The data is at its end.
    pub(super) fn finish(mut self) -> Result<Pieces, CutError> {
        if !self.parts.may_be_short {
            self.scanner.finish().map_err(CutError::Wrong)?;
        }
        self.parts.finish()
    }
}

/// The part that is being read, and those that are finished. Offsets are those of the data.
///
/// Whether a record still fits into a part is known at its end only, when its first bytes may be gone.
/// Therefore three hashes are kept of what was seen: with that beginning, without it, and of it alone.
#[derive(Debug)]
struct Parts {
    fill: Fill,
    chooser: Option<Chooser>,
    looks_back: bool,
    may_be_short: bool,
    counts_lines: bool,
    header: Header,
    /// Where the bytes begin that are at hand.
    base: u64,
    /// Where the part begins.
    start: u64,
    /// Where its last whole record ends.
    mark: u64,
    /// Whole records of the part, and of everything.
    records: u64,
    seen: u64,
    /// How far `whole` and the chooser have come.
    hashed: u64,
    chosen: u64,
    /// The part with the record that is being read; without it; that record alone.
    whole: Hasher,
    kept: Hasher,
    fresh: Hasher,
    done: Vec<Piece>,
}

#[derive(Debug)]
enum Header {
    None,
    Awaited(Vec<u8>),
    Known(Vec<u8>),
}

impl Parts {
    fn new(form: Form, fill: Fill, may_be_short: bool) -> Self {
        let header = match form {
            Form::Csv { header: true, .. } => Header::Awaited(Vec::new()),
            Form::Csv { header: false, .. }
            | Form::Lines
            | Form::Fixed(_)
            | Form::Fasta
            | Form::Fastq => Header::None,
        };
        Self {
            fill,
            chooser: fill.stable.then(|| Chooser::new(fill.size)),
            looks_back: matches!(fill.size, Amount::Bytes(_)),
            may_be_short,
            counts_lines: matches!(form, Form::Lines),
            header,
            base: 0,
            start: 0,
            mark: 0,
            records: 0,
            seen: 0,
            hashed: 0,
            chosen: 0,
            whole: Hasher::new(),
            kept: Hasher::new(),
            fresh: Hasher::new(),
            done: Vec::new(),
        }
    }

    /// A record ends at `bytes[..end]`.
    fn end_record(&mut self, bytes: &[u8], end: usize) -> Result<(), Wrong> {
        let upto = self.base + end as u64;
        if let Header::Awaited(_) = self.header {
            return self.end_header(bytes, upto);
        }
        let record = upto - self.mark;
        self.check_record(upto)?;
        let mut size = self.size(upto);
        if self.fill.max_bytes < size {
            if !self.looks_back {
                return Err(self.wrong(Why::LargePart { max_bytes: self.fill.max_bytes }));
            }
            self.end_part(bytes);
            size = self.size(upto);
        }
        self.mark = upto;
        self.records += 1;
        self.seen += 1;
        let is_full = match self.fill.size {
            Amount::Records(records) => self.records == records,
            Amount::Bytes(most) => size == most,
        };
        let mut is_chosen = false;
        if let Some(chooser) = &mut self.chooser {
            chooser.take(part_of(bytes, self.base, self.chosen, upto));
            self.chosen = upto;
            is_chosen = chooser.ends(record, self.records, size);
        }
        if is_full || is_chosen {
            self.end_part(bytes);
        }
        Ok(())
    }

    /// All of these bytes were seen; they will not be at hand again.
    fn end_bytes(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let upto = self.base + bytes.len() as u64;
        if let Header::Awaited(header) = &mut self.header {
            header.extend_from_slice(bytes);
            self.base = upto;
            return self.check_header();
        }
        self.check_record(upto)?;
        self.hash(bytes, self.mark);
        if self.looks_back {
            if self.base <= self.mark {
                self.kept = self.whole.clone();
                self.fresh = self.empty();
            }
            self.fresh.update(part_of(bytes, self.base, self.mark, upto));
        }
        if let Some(chooser) = &mut self.chooser {
            chooser.take(part_of(bytes, self.base, self.chosen, upto));
            self.chosen = upto;
        }
        self.hash(bytes, upto);
        self.base = upto;
        Ok(())
    }

    fn end_header(&mut self, bytes: &[u8], upto: u64) -> Result<(), Wrong> {
        if let Header::Awaited(header) = &mut self.header {
            header.extend_from_slice(part_of(bytes, self.base, self.base, upto));
            self.check_header()?;
        }
        if let Header::Awaited(header) = std::mem::replace(&mut self.header, Header::None) {
            self.header = Header::Known(header);
        }
        (self.start, self.mark, self.hashed, self.chosen) = (upto, upto, upto, upto);
        self.seen += 1;
        self.whole = self.empty();
        Ok(())
    }

    /// The part ends where its last whole record does.
    fn end_part(&mut self, bytes: &[u8]) {
        let size = self.size(self.mark);
        let id = if self.mark < self.base {
            let id = self.kept.finalize();
            self.whole = std::mem::take(&mut self.fresh);
            id
        } else {
            self.hash(bytes, self.mark);
            let id = self.whole.finalize();
            self.whole = self.empty();
            id
        };
        // One too many is enough to know that there are too many.
        if self.done.len() <= TREE_ENTRIES_MAX {
            let blob = BlobRef { id: BlobId::new(*id.as_bytes()), size };
            self.done.push(Piece { at: self.start, blob });
        }
        self.start = self.mark;
        self.records = 0;
    }

    fn finish(mut self) -> Result<Pieces, CutError> {
        if self.mark < self.base && !matches!(self.header, Header::Awaited(_)) {
            // What no line end has ended.
            self.end_record(&[], 0).map_err(CutError::Wrong)?;
        }
        if self.start < self.mark {
            self.end_part(&[]);
        }
        self.check_count()?;
        let header = match self.header {
            Header::Known(header) => header,
            Header::Awaited(_) | Header::None => Vec::new(),
        };
        Ok(Pieces { header, pieces: self.done })
    }

    fn check_count(&self) -> Result<(), CutError> {
        if self.done.len() <= TREE_ENTRIES_MAX { Ok(()) } else { Err(CutError::TooMany) }
    }

    fn check_record(&self, upto: u64) -> Result<(), Wrong> {
        let max_bytes = self.fill.max_bytes;
        if upto - self.mark + self.header_bytes() <= max_bytes {
            return Ok(());
        }
        Err(self.wrong(Why::LargeRecord { max_bytes }))
    }

    fn check_header(&self) -> Result<(), Wrong> {
        let Header::Awaited(header) = &self.header else { return Ok(()) };
        if header.len() <= HEADER_BYTES_MAX && (header.len() as u64) < self.fill.max_bytes {
            return Ok(());
        }
        Err(Wrong { place: Place::Line(1), why: Why::LargeHeader })
    }

    /// Something is wrong with the record that is being read.
    fn wrong(&self, why: Why) -> Wrong {
        let number = self.seen + 1;
        let place = if self.counts_lines { Place::Line(number) } else { Place::Record(number) };
        Wrong { place, why }
    }

    /// How large the part is that ends there.
    fn size(&self, upto: u64) -> u64 {
        self.header_bytes() + upto - self.start
    }

    fn header_bytes(&self) -> u64 {
        match &self.header {
            Header::Known(header) => header.len() as u64,
            Header::Awaited(_) | Header::None => 0,
        }
    }

    /// The hash of a part that has nothing yet.
    fn empty(&self) -> Hasher {
        let mut hasher = Hasher::new();
        if let Header::Known(header) = &self.header {
            hasher.update(header);
        }
        hasher
    }

    fn hash(&mut self, bytes: &[u8], upto: u64) {
        if self.hashed < upto {
            self.whole.update(part_of(bytes, self.base, self.hashed, upto));
            self.hashed = upto;
        }
    }
}

/// What of `bytes`, which begin at `base`, lies between two offsets.
fn part_of(bytes: &[u8], base: u64, from: u64, upto: u64) -> &[u8] {
    &bytes[(from.max(base) - base) as usize..(upto - base) as usize]
}
