//! Writing to people and to programs: nothing that a peer has sent can steer a terminal.

use std::io::{self, IsTerminal, Read, Write};

use serde::Serialize;

use crate::cli::failure::{End, Failure, Outcome};

/// Text without characters that move a cursor, colour, ring or turn the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Says one line to the person.
pub(crate) fn talk(text: impl AsRef<str>) {
    // A person who has closed stderr does not want to hear it.
    let _ = writeln!(io::stderr().lock(), "{}", clean(text.as_ref()));
}

/// Writes one line of data.
pub(crate) fn data(line: impl AsRef<str>) -> Outcome<()> {
    writeln!(io::stdout().lock(), "{}", clean(line.as_ref())).map_err(|error| stdout(&error))
}

/// Writes data as JSON.
pub(crate) fn json(data: &impl Serialize) -> Outcome<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, data)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .map_err(|error| stdout(&error))
}

/// Writes one line of JSON.
pub(crate) fn json_line(data: &impl Serialize) -> Outcome<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, data)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .map_err(|error| stdout(&error))
}

/// Copies bytes to stdout as they are, but filtered where stdout is a terminal.
pub(crate) fn copy(reader: &mut dyn Read) -> Outcome<()> {
    let mut out = io::stdout().lock();
    let guarded = out.is_terminal();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = match reader.read(&mut buffer) {
            Ok(0) => return out.flush().map_err(|error| stdout(&error)),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::of(End::NoNode, &error)),
        };
        let bytes = &mut buffer[..len];
        if guarded {
            bytes.iter_mut().filter(|byte| is_unfit(**byte)).for_each(|byte| *byte = b'?');
        }
        out.write_all(bytes).map_err(|error| stdout(&error))?;
    }
}

/// A table with a heading, its columns as wide as they need to be.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Outcome<()> {
    for line in aligned(heading, rows) {
        data(line)?;
    }
    Ok(())
}

fn aligned(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading: Vec<String> = heading.iter().map(|&name| name.to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(&heading)
        .chain(rows)
        .map(|row| row.iter().map(|cell| clean(cell)).collect())
        .collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..heading.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// Everything but text in ASCII or UTF-8, tabs and line ends. C1 controls in UTF-8 begin with 0xc2,
/// which is why the bytes 0x80 to 0x9f alone would not tell; terminals in UTF-8 ignore them.
const fn is_unfit(byte: u8) -> bool {
    byte < 0x20 && byte != b'\n' && byte != b'\t' || byte == 0x7f
}

fn stdout(error: &io::Error) -> Failure {
    let end = if error.kind() == io::ErrorKind::BrokenPipe { End::Done } else { End::Failed };
    Failure::of(end, &format!("stdout: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_peers_cannot_steer_a_terminal() {
        assert_eq!(
            clean("a\u{1b}]0;title\u{7}\r\nb"),
            "a\u{fffd}]0;title\u{fffd}\u{fffd}\u{fffd}b"
        );
        assert_eq!(clean("x\u{9b}2J\u{202e}y"), "x\u{fffd}2J\u{fffd}y");
        assert_eq!(clean("Größe 漢字 ✓"), "Größe 漢字 ✓");
        assert!(is_unfit(0x1b) && is_unfit(b'\r') && !is_unfit(b'\n') && !is_unfit(0xc3));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["1".to_owned(), "größer".to_owned()], vec!["22".to_owned(), "b".to_owned()]];
        assert_eq!(aligned(&["N", "NAME"], &rows), ["N   NAME", "1   größer", "22  b"]);
    }
}
