//! Tables for people, and a line for programs.

use std::io::{self, Write};

use serde::Serialize;

/// Writes rows below a heading to stdout, columns as wide as their widest cell.
pub(crate) fn print(heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    aligned(heading, rows).iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Writes one line of JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", serde_json::to_string(value)?)
}

/// Says one line to the person.
pub(crate) fn talk(text: impl AsRef<str>) {
    // A person who has closed stderr does not want to hear it.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

fn aligned(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |row: &&Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".to_owned(), "ö".to_owned()], vec!["222".to_owned(), "b".to_owned()]];
        assert_eq!(aligned(&["N", "NAME"], &rows), ["N    NAME", "1    ö", "222  b"]);
    }
}
