//! What each cut makes of bytes, whatever the pieces are in which they come.

use protocol::BlobRef;

use super::super::wrong::{Place, Why, Wrong};
use super::{CutError, Cutter};
use crate::{Amount, Cut, Fill, Form};

const CSV: Form = Form::Csv { separator: b',', header: true };

fn by(form: Form, size: Amount) -> Cut {
    let max_bytes = match size {
        Amount::Records(_) => 1 << 30,
        Amount::Bytes(bytes) => bytes,
    };
    Cut::Records { form, fill: Fill { size, stable: false, max_bytes } }
}

fn stable(form: Form, size: Amount) -> Cut {
    match by(form, size) {
        Cut::Records { form, fill } => Cut::Records { form, fill: Fill { stable: true, ..fill } },
        other => other,
    }
}

/// Bytes of every part, if the data comes in pieces of `step` bytes.
fn cut_in_steps(by: Cut, data: &[u8], step: usize) -> Result<Vec<Vec<u8>>, CutError> {
    let mut cutter = Cutter::new(by);
    for piece in data.chunks(step) {
        cutter.take(piece)?;
    }
    let done = cutter.finish()?;
    let bytes = |piece: &super::Piece| {
        let len = piece.blob.size as usize - done.header.len();
        let at = piece.at as usize;
        let bytes = [&done.header, &data[at..at + len]].concat();
        assert_eq!(BlobRef::of(&bytes), piece.blob, "a part is named by its bytes");
        bytes
    };
    Ok(done.pieces.iter().map(bytes).collect())
}

#[track_caller]
fn cut(by: Cut, data: &[u8]) -> Result<Vec<Vec<u8>>, Wrong> {
    let whole = cut_in_steps(by, data, data.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(cut_in_steps(by, data, step), whole, "in steps of {step}");
    }
    whole.map_err(|error| match error {
        CutError::Wrong(wrong) => wrong,
        CutError::TooMany => panic!("too many"),
    })
}

#[track_caller]
fn check(by: Cut, data: &str, parts: &[&str]) {
    let got = cut(by, data.as_bytes()).map(|parts| {
        parts.into_iter().map(|part| String::from_utf8(part).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(got, Ok(parts.iter().map(|&part| part.to_owned()).collect()));
}

#[track_caller]
fn refused(by: Cut, data: &str, text: &str) {
    assert_eq!(cut(by, data.as_bytes()).map_err(|wrong| wrong.to_string()), Err(text.to_owned()));
}

/// Numbers without a pattern, the same every time.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

fn lines(count: usize) -> Vec<String> {
    let mut next = noise(1);
    (0..count)
        .map(|_| format!("{}\n", "ab".repeat((next() % 20) as usize) + &next().to_string()))
        .collect()
}

#[test]
fn lines_are_counted_with_whatever_ends_them() {
    let two = by(Form::Lines, Amount::Records(2));
    check(two, "a\nb\n\nc\nend", &["a\nb\n", "\nc\n", "end"]);
    check(two, "a\r\nb\r\nc\r\n", &["a\r\nb\r\n", "c\r\n"]);
    check(two, "a\nb\n", &["a\nb\n"]);
    check(two, "", &[]);
}

#[test]
fn a_size_in_bytes_is_the_most_that_a_part_has() {
    let six = by(Form::Lines, Amount::Bytes(6));
    check(six, "a\nb\nc\nd\ne", &["a\nb\nc\n", "d\ne"]);
    check(six, "aaaa\nb\nccccc\nd", &["aaaa\n", "b\n", "ccccc\n", "d"]);
}

#[test]
fn a_record_that_no_part_can_hold_is_named_by_its_line() {
    let six = by(Form::Lines, Amount::Bytes(6));
    refused(six, "12345\n1234567", "line 2: it has more than the 6 B that a part may have");
    refused(six, "1\n2\n1234567\n3\n", "line 3: it has more than the 6 B that a part may have");
    let fill = Fill { size: Amount::Records(3), stable: false, max_bytes: 6 };
    let counted = Cut::Records { form: Form::Lines, fill };
    check(counted, "1\n2\n3\n4\n", &["1\n2\n3\n", "4\n"]);
    refused(counted, "11\n22\n3\n", "line 3: with it a part has more than 6 B");
}

#[test]
fn records_of_one_size_must_fill_the_data() {
    let pairs = by(Form::Fixed(2), Amount::Records(2));
    check(pairs, "aabbccdd", &["aabb", "ccdd"]);
    check(pairs, "aabbcc", &["aabb", "cc"]);
    refused(pairs, "aabbc", "record 3: the data ends after 1 of its 2 bytes");
    check(by(Form::Fixed(2), Amount::Bytes(5)), "aabbccdd", &["aabb", "ccdd"]);
    check(Cut::Bytes(3), "aabbccdd", &["aab", "bcc", "dd"]);
}

#[test]
fn a_sequence_begins_with_its_name() {
    let one = by(Form::Fasta, Amount::Records(1));
    check(one, ">a x>y\nAC\nGT\n>b\nA\n>c", &[">a x>y\nAC\nGT\n", ">b\nA\n", ">c"]);
    check(one, ">a\r\nAC\r\n>b\r\nA", &[">a\r\nAC\r\n", ">b\r\nA"]);
    check(by(Form::Fasta, Amount::Bytes(12)), ">a\nA\n>b\nA\n>c\n", &[">a\nA\n>b\nA\n", ">c\n"]);
    refused(one, "AC\n>a\n", "line 1: FASTA begins with `>`");
}

#[test]
fn reads_have_four_lines_and_a_quality_for_each_base() {
    let one = by(Form::Fastq, Amount::Records(1));
    check(one, "@a\nAC\n+\n@I\n@b\nA\n+b\nI", &["@a\nAC\n+\n@I\n", "@b\nA\n+b\nI"]);
    check(one, "@a\r\nAC\r\n+\r\nII\r\n", &["@a\r\nAC\r\n+\r\nII\r\n"]);
    check(one, "@a\n\n+\n", &["@a\n\n+\n"]);
    refused(one, "@a\nAC\n+\nI\n", "line 4: 1 qualities for 2 bases");
    refused(one, "@a\nAC\n+\nI", "line 4: 1 qualities for 2 bases");
    refused(one, "@a\nAC\n+\nII\n@b\nAC\n", "line 6: the data ends within a FASTQ record");
    refused(one, "@a\nAC\n+\nII\n@b\nA", "line 6: the data ends within a FASTQ record");
    refused(one, "@a\nAC\nII\n", "line 3: the third line of a FASTQ record begins with `+`");
    refused(one, ">a\nAC\n", "line 1: a FASTQ record begins with `@`");
}

#[test]
fn a_row_may_hold_line_ends_in_quotes_and_every_part_has_the_header() {
    let one = by(CSV, Amount::Records(1));
    check(one, "h\n1\n\"2\n3\"\n", &["h\n1\n", "h\n\"2\n3\"\n"]);
    check(
        one,
        "\"h\n\",i\r\n1,\"a\"\"\n\"\r\n2,5\" pipe\r\n",
        &["\"h\n\",i\r\n1,\"a\"\"\n\"\r\n", "\"h\n\",i\r\n2,5\" pipe\r\n"],
    );
    check(by(CSV, Amount::Bytes(6)), "h\n1\n2\n3\n4", &["h\n1\n2\n", "h\n3\n4"]);
    check(one, "h\n", &[]);
    check(one, "h", &[]);
    let plain = by(Form::Csv { separator: b';', header: false }, Amount::Records(1));
    check(plain, "1;\"\n\"\n2,\"\n", &["1;\"\n\"\n", "2,\"\n"]);
    refused(one, "h\n1\n2,\"a\nb\n", "line 3: the quote that opens here is never closed");
    refused(
        by(CSV, Amount::Bytes(3)),
        "hhh\n1\n",
        "line 1: a header has at most 1 MiB and fits into a part",
    );
    refused(
        by(CSV, Amount::Bytes(5)),
        "hh\n1\n22\n",
        "record 3: it has more than the 5 B that a part may have",
    );
}

#[test]
fn parts_that_choose_their_ends_are_whole_and_within_their_size() {
    let lines = lines(3000);
    let data = lines.concat();
    for size in [Amount::Bytes(1000), Amount::Records(40)] {
        let parts = cut(stable(Form::Lines, size), data.as_bytes()).unwrap();
        assert_eq!(parts.concat(), data.as_bytes());
        let small = |part: &Vec<u8>| match size {
            Amount::Bytes(bytes) => part.len() as u64 <= bytes,
            Amount::Records(records) => {
                part.iter().filter(|byte| **byte == b'\n').count() as u64 <= records
            }
        };
        assert!(parts.iter().all(small));
        assert!((60..240).contains(&parts.len()), "{} parts", parts.len());
    }
}

#[test]
fn an_inserted_line_moves_few_of_the_parts_that_choose_their_ends() {
    let before = lines(20_000);
    let by = stable(Form::Lines, Amount::Bytes(2000));
    let old = cut_in_steps(by, before.concat().as_bytes(), 4096).unwrap();
    for at in [0, 777, 10_000, 19_999] {
        let mut after = before.clone();
        after.insert(at, "something new\n".to_owned());
        let new = cut_in_steps(by, after.concat().as_bytes(), 4096).unwrap();
        let moved = new.iter().filter(|part| !old.contains(part)).count();
        assert!((1..=4).contains(&moved), "{moved} of {} parts moved", new.len());
    }
}

#[test]
fn where_parts_end_is_the_same_in_every_version() {
    let data = lines(2000).concat();
    let parts = cut(stable(Form::Lines, Amount::Bytes(4000)), data.as_bytes()).unwrap();
    let sizes: Vec<usize> = parts.iter().map(Vec::len).take(6).collect();
    assert_eq!(sizes, [3584, 3659, 2497, 3662, 3236, 1371]);
}

#[test]
fn too_many_parts_are_seen_before_the_data_ends() {
    let mut cutter = Cutter::new(Cut::Bytes(1));
    assert_eq!(cutter.take(&[0; 65_536]), Ok(()));
    assert_eq!(cutter.take(&[0]), Err(CutError::TooMany));
}

#[test]
fn what_is_wrong_has_a_remedy() {
    let wrong = Wrong { place: Place::Line(1), why: Why::LargeHeader };
    assert!(wrong.hint().contains("header = false"));
}
