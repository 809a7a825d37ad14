//! Where records end: lines, sequences and rows, found while the bytes stream by.

use memchr::{memchr_iter, memchr2};

use super::wrong::{Place, Why, Wrong};
use crate::Form;

/// Nothing is wrong so far.
pub(super) type Checked = Result<(), Wrong>;

/// Finds the ends of records, whatever the pieces are in which it sees the bytes.
#[derive(Debug)]
pub(super) enum Scanner {
    Lines(Lines),
    Fixed(Fixed),
    Fasta(Fasta),
    Fastq(Fastq),
    Csv(Csv),
}

impl Scanner {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Lines => Self::Lines(Lines),
            Form::Fixed(record) => Self::Fixed(Fixed { record, filled: 0, seen: 0 }),
            Form::Fasta => Self::Fasta(Fasta { last: b'\n', begun: false }),
            Form::Fastq => Self::Fastq(Fastq::default()),
            Form::Csv { separator, header: _ } => {
                Self::Csv(Csv { separator, quote: Quote::Out, last: b'\n', line: 1, opened: 1 })
            }
        }
    }

    /// Tells `end` where in these bytes records end.
    pub(super) fn scan(&mut self, bytes: &[u8], end: impl FnMut(usize) -> Checked) -> Checked {
        match self {
            Self::Lines(Lines) => memchr_iter(b'\n', bytes).map(|at| at + 1).try_for_each(end),
            Self::Fixed(fixed) => fixed.scan(bytes, end),
            Self::Fasta(fasta) => fasta.scan(bytes, end),
            Self::Fastq(fastq) => fastq.scan(bytes, end),
            Self::Csv(csv) => csv.scan(bytes, end),
        }
    }

    /// Whether what came last is a whole record, though nothing ends it.
    pub(super) fn finish(&mut self) -> Checked {
        match self {
            Self::Lines(Lines) | Self::Fasta(_) => Ok(()),
            Self::Fixed(fixed) => fixed.finish(),
            Self::Fastq(fastq) => fastq.finish(),
            Self::Csv(csv) => csv.finish(),
        }
    }
}

/// Whatever ends with a line feed; a carriage return before it belongs to the line.
#[derive(Debug)]
pub(super) struct Lines;

/// Records of one size.
#[derive(Debug)]
pub(super) struct Fixed {
    record: u64,
    filled: u64,
    seen: u64,
}

impl Fixed {
    fn scan(&mut self, bytes: &[u8], mut end: impl FnMut(usize) -> Checked) -> Checked {
        let mut at = 0;
        loop {
            let left = bytes.len() - at;
            let need = self.record - self.filled;
            if (left as u64) < need {
                self.filled += left as u64;
                return Ok(());
            }
            at += need as usize;
            self.filled = 0;
            self.seen += 1;
            end(at)?;
        }
    }

    fn finish(&self) -> Checked {
        if self.filled == 0 {
            return Ok(());
        }
        let why = Why::Short { record: self.record, has: self.filled };
        Err(Wrong { place: Place::Record(self.seen + 1), why })
    }
}

/// Sequences that begin with a `>` line.
#[derive(Debug)]
pub(super) struct Fasta {
    last: u8,
    begun: bool,
}

impl Fasta {
    fn scan(&mut self, bytes: &[u8], mut end: impl FnMut(usize) -> Checked) -> Checked {
        if !self.begun && bytes.first().is_some_and(|first| *first != b'>') {
            return Err(Wrong { place: Place::Line(1), why: Why::FastaStart });
        }
        for at in memchr_iter(b'>', bytes) {
            let before = if at == 0 { self.last } else { bytes[at - 1] };
            if before == b'\n' && self.begun {
                end(at)?;
            }
            self.begun = true;
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        Ok(())
    }
}

/// Reads of four lines: `@` and a name, bases, `+`, one quality for each base.
#[derive(Debug, Default)]
pub(super) struct Fastq {
    /// Whole lines so far.
    lines: u64,
    first: Option<u8>,
    last: Option<u8>,
    len: u64,
    bases: u64,
}

impl Fastq {
    fn scan(&mut self, bytes: &[u8], mut end: impl FnMut(usize) -> Checked) -> Checked {
        let mut from = 0;
        for at in memchr_iter(b'\n', bytes) {
            self.take(&bytes[from..at]);
            self.end_line()?;
            from = at + 1;
            if self.lines.is_multiple_of(4) {
                end(from)?;
            }
        }
        self.take(&bytes[from..]);
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) {
        self.first = self.first.or(piece.first().copied());
        self.last = piece.last().copied().or(self.last);
        self.len += piece.len() as u64;
    }

    fn end_line(&mut self) -> Checked {
        let len = self.len - u64::from(self.last == Some(b'\r'));
        let wrong = |why| Err(Wrong { place: Place::Line(self.lines + 1), why });
        match self.lines % 4 {
            0 if self.first != Some(b'@') => return wrong(Why::FastqStart),
            1 => self.bases = len,
            2 if self.first != Some(b'+') => return wrong(Why::FastqPlus),
            3 if len != self.bases => {
                return wrong(Why::FastqLengths { bases: self.bases, qualities: len });
            }
            _ => {}
        }
        self.lines += 1;
        (self.first, self.last, self.len) = (None, None, 0);
        Ok(())
    }

    fn finish(&mut self) -> Checked {
        match (self.lines % 4, self.len) {
            (0, 0) => Ok(()),
            (3, _) => self.end_line(),
            (_, _) => {
                let line = self.lines + u64::from(self.len != 0);
                Err(Wrong { place: Place::Line(line), why: Why::FastqCut })
            }
        }
    }
}

/// Rows as RFC 4180 has them: a field that begins with a quote may hold line ends.
#[derive(Debug)]
pub(super) struct Csv {
    separator: u8,
    quote: Quote,
    last: u8,
    line: u64,
    /// Where the quote is that was opened last.
    opened: u64,
}

#[derive(Clone, Copy, Debug)]
enum Quote {
    Out,
    In,
    /// After a quote within quotes, which closes them unless another follows.
    Closing,
}

impl Csv {
    fn scan(&mut self, bytes: &[u8], mut end: impl FnMut(usize) -> Checked) -> Checked {
        let mut from = 0;
        while from < bytes.len() {
            if let Quote::Closing = self.quote {
                let again = bytes[from] == b'"';
                self.quote = if again { Quote::In } else { Quote::Out };
                from += usize::from(again);
                continue;
            }
            let Some(found) = memchr2(b'\n', b'"', &bytes[from..]) else { break };
            let at = from + found;
            from = at + 1;
            match (self.quote, bytes[at]) {
                (Quote::In, b'"') => self.quote = Quote::Closing,
                (Quote::Out, b'"') => {
                    let before = if at == 0 { self.last } else { bytes[at - 1] };
                    if before == self.separator || before == b'\n' {
                        (self.quote, self.opened) = (Quote::In, self.line);
                    }
                }
                (Quote::Out, _) => {
                    self.line += 1;
                    end(from)?;
                }
                (Quote::In | Quote::Closing, _) => self.line += 1,
            }
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        Ok(())
    }

    fn finish(&self) -> Checked {
        match self.quote {
            Quote::Out | Quote::Closing => Ok(()),
            Quote::In => Err(Wrong { place: Place::Line(self.opened), why: Why::OpenQuote }),
        }
    }
}
