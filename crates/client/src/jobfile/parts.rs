//! `parts = { … }`: a dataset's place and its cut, read and checked.

use std::time::Duration;

use protocol::Hash;

use super::read::{bytes, duration, optional};
use super::section::{Fault, Item, Section};
use super::{Amount, Cut, DataSpec, Fill, Form, PartsSpec, UrlSpec};
use crate::parse_bytes;

const KEYS: [&str; 13] = [
    "path",
    "url",
    "by",
    "size",
    "record",
    "stable",
    "max",
    "recursive",
    "separator",
    "header",
    "blake3",
    "limit",
    "timeout",
];

/// What a part may have if its size is given in records.
const PART_BYTES_DEFAULT: u64 = 1 << 30;
const PART_BYTES_MAX: u64 = 1 << 40;
const URL_BYTES_DEFAULT: u64 = 64 << 30;
const URL_BYTES_MAX: u64 = 1 << 44;
const URL_MS_DEFAULT: u64 = 6 * 3_600_000;
const URL_MS_MAX: u64 = 7 * 86_400_000;

pub(super) fn parts(item: &Item<'_>) -> Result<PartsSpec, Fault> {
    let parts = item.section("`parts`", &KEYS)?;
    let cut = cut(&parts)?;
    let data = data(&parts, cut)?;
    Ok(PartsSpec { data, cut })
}

fn data(parts: &Section<'_>, cut: Cut) -> Result<DataSpec, Fault> {
    let url = parts.get("url");
    if url.is_none() {
        for key in ["blake3", "limit", "timeout"] {
            useless(parts, key, "without `url`", "leave it out, or give `url = \"https://…\"`")?;
        }
    }
    let by_file = matches!(cut, Cut::File { .. });
    let one_stream = |item: &Item<'_>| {
        let hint = "by file, give a folder or a pattern of files; else `by = \"lines\"` and so on";
        if by_file { item.refuse("is one stream, which has no files", hint) } else { Ok(()) }
    };
    match (parts.get("path"), url) {
        (Some(path), None) => match path.string()? {
            "" => path.refuse("is empty", "give a path, relative to the job file"),
            "-" => one_stream(&path).map(|()| DataSpec::Stdin),
            text => Ok(DataSpec::Path(text.to_owned())),
        },
        (None, Some(url)) => {
            one_stream(&url)?;
            Ok(DataSpec::Url(UrlSpec {
                url: address(&url)?,
                blake3: optional(parts, "blake3", hash)?,
                limit_bytes: optional(parts, "limit", |item| bytes(item, URL_BYTES_MAX))?
                    .unwrap_or(URL_BYTES_DEFAULT),
                within: Duration::from_millis(
                    optional(parts, "timeout", |item| duration(item, URL_MS_MAX))?
                        .unwrap_or(URL_MS_DEFAULT),
                ),
            }))
        }
        (Some(_), Some(url)) => {
            url.refuse("stands beside `path`", "a dataset has one place: keep one of the two")
        }
        (None, None) => {
            let hint = "add `path = \"…\"`, relative to the job file, or `url = \"https://…\"`";
            Err(Fault::new(parts.at(), "`parts` lacks `path` or `url`", hint))
        }
    }
}

fn cut(parts: &Section<'_>) -> Result<Cut, Fault> {
    let by = parts.need("by", "`by = \"lines\"`, `\"bytes\"`, `\"file\"` or another")?;
    let form = match by.string()? {
        "file" => return file(parts),
        "bytes" => return plain_bytes(parts),
        "lines" => Form::Lines,
        "records" => Form::Fixed(record(parts)?),
        "fasta" => Form::Fasta,
        "fastq" => Form::Fastq,
        "csv" => Form::Csv {
            separator: optional(parts, "separator", separator)?.unwrap_or(b','),
            header: optional(parts, "header", Item::boolean)?.unwrap_or(true),
        },
        other => {
            let other: String = other.chars().take(40).collect();
            let hint = "known are \"lines\", \"records\", \"fasta\", \"fastq\", \"csv\" and \"bytes\" \
                        of files, and \"file\" of a folder or pattern";
            return by.refuse(format!("is `{other}`"), hint);
        }
    };
    useless(parts, "recursive", "here", "it is for `by = \"file\"`; leave it out")?;
    if !matches!(form, Form::Fixed(_)) {
        useless(parts, "record", "here", "it is for `by = \"records\"`; leave it out")?;
    }
    if !matches!(form, Form::Csv { .. }) {
        useless(parts, "separator", "here", "it is for `by = \"csv\"`; leave it out")?;
        useless(parts, "header", "here", "it is for `by = \"csv\"`; leave it out")?;
    }
    Ok(Cut::Records { form, fill: fill(parts, form)? })
}

fn file(parts: &Section<'_>) -> Result<Cut, Fault> {
    let hint = "each file is one part; leave it out";
    for key in ["size", "max", "stable", "record", "separator", "header"] {
        useless(parts, key, "by file", hint)?;
    }
    Ok(Cut::File { recursive: optional(parts, "recursive", Item::boolean)?.unwrap_or(false) })
}

fn plain_bytes(parts: &Section<'_>) -> Result<Cut, Fault> {
    let hint = "parts have exactly `size` bytes; leave it out";
    for key in ["recursive", "max", "stable", "record", "separator", "header"] {
        useless(parts, key, "by bytes", hint)?;
    }
    match size(parts)? {
        Amount::Records(bytes) | Amount::Bytes(bytes) => Ok(Cut::Bytes(bytes)),
    }
}

fn fill(parts: &Section<'_>, form: Form) -> Result<Fill, Fault> {
    let size = size(parts)?;
    let stable = optional(parts, "stable", Item::boolean)?;
    Ok(match size {
        Amount::Records(_) => Fill {
            size,
            stable: stable.unwrap_or(false),
            max_bytes: optional(parts, "max", |item| bytes(item, PART_BYTES_MAX))?
                .unwrap_or(PART_BYTES_DEFAULT),
        },
        Amount::Bytes(max_bytes) => {
            useless(parts, "max", "beside a size in bytes", "`size` is the largest part already")?;
            if let Form::Fixed(record) = form
                && max_bytes < record
            {
                let hint = "a part holds at least one record";
                return parts.need("size", "")?.refuse("is smaller than `record`", hint);
            }
            Fill { size, stable: stable.unwrap_or(true), max_bytes }
        }
    })
}

/// A number of records, or a size such as `"1MiB"`.
fn size(parts: &Section<'_>) -> Result<Amount, Fault> {
    let item = parts.need("size", "`size = 100` records or `size = \"1MiB\"` to a part")?;
    if item.is_string() {
        at_least_one_byte(&item).map(Amount::Bytes)
    } else {
        item.integer(1, i64::MAX as u64).map(Amount::Records)
    }
}

/// Bytes of a record, as a number or as `1KiB`.
fn record(parts: &Section<'_>) -> Result<u64, Fault> {
    let item = parts.need("record", "`record = 16`: how many bytes make one record")?;
    if item.is_string() { at_least_one_byte(&item) } else { item.integer(1, PART_BYTES_MAX) }
}

fn at_least_one_byte(item: &Item<'_>) -> Result<u64, Fault> {
    match parse_bytes(item.string()?) {
        Ok(bytes) if (1..=PART_BYTES_MAX).contains(&bytes) => Ok(bytes),
        Ok(0) => item.refuse("is zero", "a part has at least one byte"),
        Ok(_) => item.refuse("is out of range", "a part has at most 1 TiB"),
        Err(error) => item.refuse("is not a size", error.to_string()),
    }
}

fn separator(item: &Item<'_>) -> Result<u8, Fault> {
    match *item.string()?.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
        _ => item.refuse("is not one ASCII character", "give `\",\"`, `\";\"` or `\"\\t\"`"),
    }
}

fn address(item: &Item<'_>) -> Result<String, Fault> {
    let text = item.string()?;
    let known = ["https://", "http://", "s3://"].iter().any(|scheme| text.starts_with(scheme));
    if !known || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return item.refuse(
            "is not an address that can be fetched",
            "give `https://host/path`, `http://…` or `s3://bucket/key`",
        );
    }
    Ok(text.to_owned())
}

fn hash(item: &Item<'_>) -> Result<Hash, Fault> {
    let text = item.string()?;
    let digit = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Vec<u8> = (0..64).step_by(2).map_while(digit).collect();
    match <[u8; 32]>::try_from(bytes) {
        Ok(bytes) if text.len() == 64 && !text.contains('+') => Ok(Hash::new(bytes)),
        Ok(_) | Err(_) => {
            item.refuse("is not a BLAKE3 hash", "give 64 hex digits, as `b3sum` does")
        }
    }
}

/// Refuses a key that would have no effect.
fn useless(parts: &Section<'_>, key: &str, when: &str, hint: &str) -> Result<(), Fault> {
    match parts.get(key) {
        Some(item) => item.refuse(format!("has no meaning {when}"), hint),
        None => Ok(()),
    }
}
