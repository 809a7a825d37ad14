//! Datasets out of files, patterns and streams: what becomes a part, and what is refused.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::JobFile;
use crate::prepare::job::prepare_with;
use crate::prepare::tests::{folder, named, parts, stage};

type Parts = Vec<(String, Vec<u8>)>;

#[track_caller]
fn cut(folder: &Path, keys: &str) -> Parts {
    parts(&stage(folder, &format!("parts = {{ {keys} }}")).unwrap())
}

#[track_caller]
fn refused(folder: &Path, keys: &str, why: &str, remedy: &str) {
    let (error, hint) = stage(folder, &format!("parts = {{ {keys} }}")).map(drop).unwrap_err();
    assert!(error.contains(why) && hint.contains(remedy), "{error}: {hint}");
}

/// The parts of a job whose standard input this is.
fn from_stdin(mut stdin: impl Read, keys: &str) -> Result<Parts, (String, String)> {
    let folder = folder(&[]);
    let text = format!(
        "name = \"x\"\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\nparts = {{ path = \"-\", {keys} }}"
    );
    let job = JobFile::parse(&folder.path().join("job.toml"), &text).unwrap();
    prepare_with(job, Some(&mut stdin))
        .map(|prepared| parts(&prepared))
        .map_err(|error| (error.to_string(), error.hint()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_part_of_a_table_has_its_header() {
    let folder = folder(&[("x.csv", b"n,t\r\n1,\"a\nb\"\r\n2,c\r\n3,d")]);
    let got = cut(folder.path(), "path = \"x.csv\", by = \"csv\", size = 2");
    assert_eq!(got, named(&[("0", b"n,t\r\n1,\"a\nb\"\r\n2,c\r\n"), ("1", b"n,t\r\n3,d")]));
    refused(
        folder.path(),
        "path = \"x.csv\", by = \"fasta\", size = 2",
        "x.csv: line 1: FASTA",
        "FASTA",
    );
}

#[test]
fn several_files_are_cut_one_after_the_other() {
    let folder = folder(&[
        ("r/a.fq", b"@a\nA\n+\nI\n@b\nC\n+\nI\n"),
        ("r/b.fq", b"@c\nG\n+\nI"),
        ("r/c", b""),
    ]);
    let got = cut(folder.path(), "path = \"r/*.fq\", by = \"fastq\", size = 1");
    let want: [(&str, &[u8]); 3] =
        [("0", b"@a\nA\n+\nI\n"), ("1", b"@b\nC\n+\nI\n"), ("2", b"@c\nG\n+\nI")];
    assert_eq!(got, named(&want));
}

#[test]
fn files_of_a_pattern_are_named_below_its_first_wildcard() {
    let folder =
        folder(&[("d/a/x.txt", b"1"), ("d/b/x.txt", b"2"), ("d/y.txt", b"3"), ("d/.z.txt", b"4")]);
    let cut = |path: &str| cut(folder.path(), &format!("path = \"{path}\", by = \"file\""));
    assert_eq!(cut("d/*/x.txt"), named(&[("a/x.txt", b"1"), ("b/x.txt", b"2")]));
    assert_eq!(cut("d/?.txt"), named(&[("y.txt", b"3")]));
    assert_eq!(cut("d/**/*.txt"), named(&[("a/x.txt", b"1"), ("b/x.txt", b"2"), ("y.txt", b"3")]));
    assert_eq!(cut("d/**"), cut("d/**/*.txt"), "files, and not their folders");
    assert_eq!(cut("d/**/**"), cut("d/**"));
    let absolute = format!("{}/d/[a-c]/x.txt", folder.path().display());
    assert_eq!(cut(&absolute), named(&[("a/x.txt", b"1"), ("b/x.txt", b"2")]));
    let refused = |path: &str, why: &str| {
        refused(folder.path(), &format!("path = \"{path}\", by = \"file\""), why, "");
    };
    refused("d/*.md", "d/*.md: no file matches it");
    refused("d/[", "d/[: ");
    refused("e/*", "e: No such file");
    refused("d/*", "a: it is not a file");
}

#[test]
fn a_file_that_several_wildcards_find_in_many_ways_is_one_file() {
    // C(40, 4) ways, which are more than there may be parts.
    let path = format!("{}x", "a/".repeat(40));
    let folder = folder(&[(&path, b"1\n")]);
    let keys = "path = \"**/a/**/a/**/a/**/a/**/x\", by = \"lines\", size = 1";
    assert_eq!(cut(folder.path(), keys), named(&[("0", b"1\n")]));
}

#[test]
fn a_name_that_looks_like_a_pattern_is_a_name_if_there_is_such_a_file() {
    let folder = folder(&[("x[1].txt", b"1\n"), ("x1.txt", b"2\n")]);
    let got = cut(folder.path(), "path = \"x[1].txt\", by = \"lines\", size = 1");
    assert_eq!(got, named(&[("0", b"1\n")]));
}

#[test]
fn folders_within_a_folder_are_parts_if_that_is_meant() {
    let folder = folder(&[("d/b", b"2"), ("d/e/f", b"1")]);
    let got = cut(folder.path(), "path = \"d\", by = \"file\", recursive = true");
    assert_eq!(got, named(&[("b", b"2"), ("e/f", b"1")]));
    fs::create_dir(folder.path().join("empty")).unwrap();
    refused(folder.path(), "path = \"empty\", by = \"file\"", "nothing in it", "at least one");
}

#[test]
fn links_in_a_circle_are_named() {
    let folder = folder(&[("d/b", b"2")]);
    symlink("..", folder.path().join("d/up")).unwrap();
    symlink(".", folder.path().join("d/self")).unwrap();
    let keys = "path = \"d\", by = \"file\", recursive = true";
    refused(folder.path(), keys, "a link leads in a circle", "remove the link");
    refused(folder.path(), "path = \"d\", by = \"file\"", "it is not a file", "");
    assert_eq!(cut(folder.path(), "path = \"d/**/b\", by = \"file\"").len(), 1);
}

#[test]
fn names_that_are_no_utf_8_are_refused_where_they_would_be_lost() {
    let folder = folder(&[("d/b.txt", b"2")]);
    let name = std::ffi::OsStr::from_bytes(b"\xff.txt");
    fs::write(folder.path().join("d").join(name), b"1").unwrap();
    refused(folder.path(), "path = \"d\", by = \"file\"", "not valid UTF-8", "rename");
    refused(folder.path(), "path = \"d/*.txt\", by = \"file\"", "not valid UTF-8", "rename");
    assert_eq!(cut(folder.path(), "path = \"d/b*\", by = \"file\"").len(), 1);
}

#[test]
fn what_is_packed_is_unpacked_before_it_is_cut_into_records() {
    let twice = [gzip(b"a\nb\n"), gzip(b"c\n")].concat();
    let folder = folder(&[("x.gz", &twice), ("cut.gz", &twice[..twice.len() - 4])]);
    let got = cut(folder.path(), "path = \"x.gz\", by = \"lines\", size = 2");
    assert_eq!(got, named(&[("0", b"a\nb\n"), ("1", b"c\n")]));
    let got = cut(folder.path(), "path = \"x.gz\", by = \"bytes\", size = 1000");
    assert_eq!(got, named(&[("0", &twice)]), "bytes are bytes");
    refused(folder.path(), "path = \"cut.gz\", by = \"lines\", size = 2", "cut.gz: ", "damaged");
    assert_eq!(from_stdin(&*twice, "by = \"lines\", size = 9"), Ok(named(&[("0", b"a\nb\nc\n")])));
}

#[test]
fn standard_input_is_cut_as_it_comes() {
    let got = from_stdin(&b"a\nb\nc"[..], "by = \"lines\", size = 2");
    assert_eq!(got, Ok(named(&[("0", b"a\nb\n"), ("1", b"c")])));
    let got = from_stdin(&b"h\n1\n2\n"[..], "by = \"csv\", size = 1");
    assert_eq!(got, Ok(named(&[("0", b"h\n1\n"), ("1", b"h\n2\n")])));
    let (why, _) = from_stdin(io::empty(), "by = \"lines\", size = 2").unwrap_err();
    assert_eq!(why, "standard input: there is nothing in it");
    let (why, _) = from_stdin(&b"a"[..], "by = \"records\", record = 2, size = 2").unwrap_err();
    assert_eq!(why, "standard input: record 1: the data ends after 1 of its 2 bytes");
}

#[test]
fn one_stage_alone_can_read_standard_input() {
    let folder = folder(&[]);
    let one = |name: &str| {
        format!(
            "[[stage]]\nname = \"{name}\"\nmodule = \"m.wasm\"\n\
             parts = {{ path = \"-\", by = \"lines\", size = 1 }}\n"
        )
    };
    let text = format!("name = \"x\"\n{}{}", one("a"), one("b"));
    let job = JobFile::parse(&folder.path().join("job.toml"), &text).unwrap();
    let error = prepare_with(job.clone(), Some(&mut &b"a\n"[..])).unwrap_err();
    assert!(error.hint().contains("< data"), "{error}");
    assert!(prepare_with(job, None).is_err());
}

#[test]
fn a_file_that_is_gone_when_it_is_sent_is_said_to_have_changed() {
    let folder = folder(&[("x", b"1\n2\n")]);
    let lines = "parts = { path = \"x\", by = \"lines\", size = 1 }";
    let prepared = stage(folder.path(), lines).unwrap();
    fs::remove_file(folder.path().join("x")).unwrap();
    let part = prepared.blobs.iter().find(|source| source.blob().size == 2).unwrap();
    let error = part.reader().map(drop).unwrap_err();
    assert!(error.to_string().ends_with("x: it changed while it was being read"), "{error}");
}

#[test]
fn too_many_parts_of_several_files_are_refused() {
    let lines = vec![b'\n'; 40_000];
    let folder = folder(&[("d/a", &lines), ("d/b", &lines)]);
    let keys = "path = \"d/*\", by = \"lines\", size = 1";
    refused(folder.path(), keys, "more than 65536 parts", "make the parts larger");
}
