//! What can be wrong with a dataset, where, and what to do about it.

/// What is wrong with a dataset, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) place: Place,
    pub(super) why: Why,
}

/// Counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Line(u64),
    Record(u64),
}

/// What can be wrong with a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// More bytes than a part may have.
    LargeRecord {
        max_bytes: u64,
    },
    LargePart {
        max_bytes: u64,
    },
    LargeHeader,
    /// It ends within a record of so many bytes.
    Short {
        record: u64,
        has: u64,
    },
    FastaStart,
    FastqStart,
    FastqPlus,
    FastqLengths {
        bases: u64,
        qualities: u64,
    },
    FastqCut,
    OpenQuote,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Record(record) => write!(f, "record {record}: ")?,
        }
        let show = crate::show_bytes;
        match self.why {
            Why::LargeRecord { max_bytes } => {
                write!(f, "it has more than the {} that a part may have", show(max_bytes))
            }
            Why::LargePart { max_bytes } => {
                write!(f, "with it a part has more than {}", show(max_bytes))
            }
            Why::LargeHeader => f.write_str("a header has at most 1 MiB and fits into a part"),
            Why::Short { record, has } => {
                write!(f, "the data ends after {has} of its {record} bytes")
            }
            Why::FastaStart => f.write_str("FASTA begins with `>`"),
            Why::FastqStart => f.write_str("a FASTQ record begins with `@`"),
            Why::FastqPlus => f.write_str("the third line of a FASTQ record begins with `+`"),
            Why::FastqLengths { bases, qualities } => {
                write!(f, "{qualities} qualities for {bases} bases")
            }
            Why::FastqCut => f.write_str("the data ends within a FASTQ record"),
            Why::OpenQuote => f.write_str("the quote that opens here is never closed"),
        }
    }
}

impl Wrong {
    pub(super) fn hint(&self) -> &'static str {
        match self.why {
            Why::LargeRecord { .. } => {
                "raise `size` (or `max`, where `size` counts records), or see whether `by` fits the data"
            }
            Why::LargePart { .. } => "make `size` smaller, or raise `max`",
            Why::LargeHeader => {
                "give `header = false` if the first row is no header, or raise `size`"
            }
            Why::Short { .. } => "see whether `record` is right and the data whole",
            Why::FastaStart => "see whether it is FASTA",
            Why::FastqStart | Why::FastqPlus | Why::FastqLengths { .. } => {
                "records of exactly four lines are read; see whether the data is whole"
            }
            Why::FastqCut => "the data is cut short: bring it again",
            Why::OpenQuote => "mend that row, or cut `by = \"lines\"`, which knows no quotes",
        }
    }
}
