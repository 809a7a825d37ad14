//! Templates and windows: which job files will do, and where windows end.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use super::{Lines, Template};
use crate::{DraftSource, JobFile};

const STAGES: &str = "[[stage]]\nname = \"one\"\nmodule = \"m.wasm\"\nstdin = \"part\"\n\
    parts = { path = \"-\", by = \"lines\", size = 2 }\n\
    [[stage]]\nname = \"all\"\nmodule = \"m.wasm\"\ngather = \"one\"\n";

/// A template for windows of so many lines.
fn template(stages: &str, count: u64) -> Result<Template, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let path = folder.path().join("job.toml");
    let job = JobFile::parse(&path, &format!("name = \"x\"\n{stages}")).unwrap();
    let made = Template::new(job, "feed".to_owned(), count, None);
    let (template, blobs) = made.map_err(|error| error.to_string())?;
    assert_eq!(blobs.len(), 1, "the module and nothing else");
    Ok(template)
}

/// What is written when, told by a test.
struct Told(Receiver<&'static str>);

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let text = self.0.recv().unwrap_or("");
        buffer[..text.len()].copy_from_slice(text.as_bytes());
        Ok(text.len())
    }
}

/// Lines and parts of every window.
fn windows(template: &Template, mut lines: Lines) -> Vec<(u64, Vec<String>)> {
    let mut all = Vec::new();
    while let Some(filled) = lines.fill(template, all.len() as u64).unwrap() {
        let parts = filled.blobs[..filled.blobs.len() - 1].iter().map(|source| {
            let mut text = String::new();
            source.reader().unwrap().read_to_string(&mut text).unwrap();
            text
        });
        let parts: Vec<String> = parts.collect();
        let DraftSource::Parts { tree, count } = filled.draft.stages[0].source else { panic!() };
        assert_eq!(count, parts.len() as u64);
        assert_ne!(tree, template.hole);
        all.push((filled.lines, parts));
    }
    all
}

#[test]
fn windows_end_after_so_many_lines_and_the_last_one_where_the_lines_do() {
    let template = template(STAGES, 3).unwrap();
    let texts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let lines = Lines::new(io::Cursor::new("a\nb\nc\nd\ne\nf\ng"));
    let expected =
        [(3, texts(&["a\nb\n", "c\n"])), (3, texts(&["d\ne\n", "f\n"])), (1, texts(&["g"]))];
    assert_eq!(windows(&template, lines), expected);
    assert!(windows(&template, Lines::new(io::empty())).is_empty());
}

#[test]
fn a_window_ends_when_its_time_is_over_but_never_within_a_line() {
    let template = Template { every_ms: Some(1), ..template(STAGES, 1000).unwrap() };
    let (say, told) = mpsc::sync_channel(0);
    let mut lines = Lines::new(Told(told));
    let writer = std::thread::spawn(move || {
        say.send("a\nb").unwrap();
        // Taken only once the first half was read.
        say.send("b\n").unwrap();
        say
    });
    let first = lines.fill(&template, 0).unwrap().unwrap();
    // Whether the second line came in time or not, it is whole.
    let mut text = String::new();
    first.blobs[0].reader().unwrap().read_to_string(&mut text).unwrap();
    assert!(text == "a\n" || text == "a\nbb\n", "{text:?}");
    drop(writer.join().unwrap());
}

#[test]
fn a_line_that_no_part_can_hold_is_named_with_its_window() {
    let stages = STAGES.replace("size = 2", "size = \"64B\"");
    let template = template(&stages, 10).unwrap();
    let text = format!("short\n{}\n", "x".repeat(100));
    let mut lines = Lines::new(io::Cursor::new(text));
    let said = lines.fill(&template, 7).unwrap_err().to_string();
    assert!(said.starts_with("standard input, window 7: line 2: it has more than"), "{said}");
}

#[test]
fn the_last_window_has_one_empty_part() {
    let (draft, blobs) = template(STAGES, 10).unwrap().last().unwrap();
    assert_eq!(blobs[0].blob().size, 0);
    assert!(matches!(draft.stages[0].source, DraftSource::Parts { count: 1, .. }));
}

#[test]
fn a_job_file_is_a_template_only_if_one_stage_reads_lines_of_standard_input() {
    let range = "[[stage]]\nname = \"one\"\nmodule = \"m.wasm\"\nrange = { to = 3 }\n";
    assert!(template(range, 10).unwrap_err().contains("no stage, or more than one"));
    let bytes = STAGES.replace("by = \"lines\"", "by = \"bytes\"");
    assert!(template(&bytes, 10).unwrap_err().contains("otherwise than by lines"));
    let name = Path::new("job.toml");
    assert!(JobFile::parse(name, STAGES).is_err(), "a template is a job file");
}

#[test]
fn a_template_is_read_back_as_it_was_written() {
    let template = template(STAGES, 10).unwrap();
    let text = serde_json::to_string(&template).unwrap();
    assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);
}
