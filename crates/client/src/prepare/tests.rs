//! How data is cut, hashed and prepared for a node.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use protocol::{BlobRef, Entry, Tree};
use tempfile::TempDir;

use super::{BlobSource, Prepared, Warning, check, default_batch, prepare};
use crate::{Draft, DraftSource, DraftStdin, JobFile};

const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A folder with a module `m.wasm` and these files.
pub(super) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in std::iter::once(&("m.wasm", MODULE)).chain(files) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// A job of one stage with these lines.
pub(super) fn stage(folder: &Path, lines: &str) -> Result<Prepared, (String, String)> {
    let text = format!("name = \"x\"\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n{lines}\n");
    let job = JobFile::parse(&folder.join("job.toml"), &text).unwrap();
    prepare(job).map_err(|error| (error.to_string(), error.hint()))
}

pub(super) fn bytes_of(source: &BlobSource) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.reader().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(BlobRef::of(&bytes), source.blob(), "a source gives the bytes it names");
    bytes
}

/// The parts of a prepared job's only stage, by name.
pub(super) fn parts(prepared: &Prepared) -> Vec<(String, Vec<u8>)> {
    let DraftSource::Parts { tree, count } = prepared.draft.stages[0].source else {
        panic!("not cut into parts")
    };
    let entries = entries(prepared, tree.into());
    assert_eq!(entries.len() as u64, count);
    entries.iter().map(|entry| (entry.path.clone(), blob(prepared, entry.blob))).collect()
}

pub(super) fn entries(prepared: &Prepared, tree: BlobRef) -> Vec<Entry> {
    Tree::from_bytes(&blob(prepared, tree)).unwrap().entries().to_vec()
}

pub(super) fn blob(prepared: &Prepared, blob: BlobRef) -> Vec<u8> {
    bytes_of(prepared.blobs.iter().find(|source| source.blob() == blob).expect("it is carried"))
}

pub(super) fn named(parts: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    parts.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

#[test]
fn a_file_is_cut_after_every_so_many_lines() {
    let folder = folder(&[("x", b"a\nb\n\nc\nlast without end")]);
    let cut = |size: u64| {
        let lines = format!("parts = {{ path = \"x\", by = \"lines\", size = {size} }}");
        parts(&stage(folder.path(), &lines).unwrap())
    };
    assert_eq!(cut(2), named(&[("0", b"a\nb\n"), ("1", b"\nc\n"), ("2", b"last without end")]));
    assert_eq!(cut(100), named(&[("0", b"a\nb\n\nc\nlast without end")]));
    assert_eq!(cut(1).len(), 5);
}

#[test]
fn a_cut_does_not_depend_on_how_the_file_is_read() {
    let line: Vec<u8> = (0..=300_000_u32).map(|i| b'a' + (i % 26) as u8).chain([b'\n']).collect();
    let folder = folder(&[("x", &line.repeat(5))]);
    let prepared =
        stage(folder.path(), "parts = { path = \"x\", by = \"lines\", size = 2 }").unwrap();
    let two = line.repeat(2);
    assert_eq!(parts(&prepared), named(&[("0", &two), ("1", &two), ("2", &line)]));
    assert_eq!(prepared.blobs.len(), 4, "equal parts are one blob, beside module and tree");
    let prepared =
        stage(folder.path(), "parts = { path = \"x\", by = \"bytes\", size = \"256KiB\" }")
            .unwrap();
    let sizes: Vec<usize> = parts(&prepared).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(sizes, [262_144, 262_144, 262_144, 262_144, 262_144, 189_290]);
}

#[test]
fn parts_are_named_so_that_they_sort_as_numbers() {
    let folder = folder(&[("x", b"0123456789A")]);
    let prepared =
        stage(folder.path(), "parts = { path = \"x\", by = \"bytes\", size = 1 }").unwrap();
    let got = parts(&prepared);
    assert_eq!(got[10], ("10".to_owned(), b"A".to_vec()));
    assert_eq!(got[9], ("09".to_owned(), b"9".to_vec()));
}

#[test]
fn each_file_of_a_folder_is_a_part() {
    let with = folder(&[("d/b", b"2"), ("d/a.txt", b"1")]);
    let prepared = stage(with.path(), "parts = { path = \"d\", by = \"file\" }\nstdin = \"part\"");
    let prepared = prepared.unwrap();
    assert_eq!(parts(&prepared), named(&[("a.txt", b"1"), ("b", b"2")]));
    assert_eq!(prepared.draft.stages[0].stdin, DraftStdin::Part);
    let nested = folder(&[("d/b", b"2"), ("d/e/f", b"1")]);
    let refused = stage(nested.path(), "parts = { path = \"d\", by = \"file\" }").unwrap_err();
    assert!(refused.0.ends_with("e: it is not a file"), "{}", refused.0);
}

#[test]
fn too_many_parts_or_none_are_refused() {
    let folder = folder(&[("x", &vec![b'\n'; 65_537]), ("empty", b""), ("y", &vec![0; 65_536])]);
    let lines = |path: &str| {
        let lines = format!("parts = {{ path = \"{path}\", by = \"lines\", size = 1 }}");
        stage(folder.path(), &lines).map(|prepared| parts(&prepared).len())
    };
    let bytes = "parts = { path = \"y\", by = \"bytes\", size = 1 }";
    assert_eq!(stage(folder.path(), bytes).map(|p| p.draft.unit_counts()[0]), Ok(65_536));
    assert!(lines("x").is_err_and(|(_, hint)| hint.contains("larger")));
    assert!(lines("empty").is_err_and(|(why, _)| why.contains("nothing in it")));
    assert!(lines("none").is_err_and(|(_, hint)| hint.contains("relative to the folder")));
    assert!(lines(".").is_err_and(|(why, _)| why.contains("not a file")));
}

#[test]
fn files_and_folders_are_mounted_where_they_are_told() {
    let folder = folder(&[("data/x/y", b"1"), ("data/z", b"2"), ("in", b"3")]);
    let lines = "range = { to = 4 }\nstdin = \"in\"\n\
                 [stage.files]\n\"genome.fa\" = \"data/z\"\n\"deep/er\" = \"data\"";
    let prepared = stage(folder.path(), lines).unwrap();
    let stage = &prepared.draft.stages[0];
    assert_eq!((stage.inputs[0].path.as_str(), stage.inputs[0].is_tree), ("genome.fa", false));
    assert_eq!((stage.inputs[1].path.as_str(), stage.inputs[1].is_tree), ("deep/er", true));
    assert_eq!(stage.stdin, DraftStdin::Blob(BlobRef::of(b"3").into()));
    let paths: Vec<String> = entries(&prepared, stage.inputs[1].blob.into())
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    assert_eq!(paths, ["x/y", "z"]);
    for escape in ["../x", "/x", "a//b"] {
        let lines = format!("range = {{ to = 4 }}\n[stage.files]\n\"{escape}\" = \"in\"");
        let (why, _) = self::stage(folder.path(), &lines).unwrap_err();
        assert!(why.contains("cannot be mounted"), "{why}");
    }
    // Nobody could mount a file below another one, or two at one place: peers would only find out when they run it.
    for (first, second, at) in [
        ("\"x\" = \"in\"", "\"x/y\" = \"in\"", "/in/x/y"),
        ("\".\" = \"data\"", "\"z\" = \"in\"", "/in/z"),
        ("\"d\" = \"data\"", "\"d/x\" = \"in\"", "/in/d/x"),
        ("\"d/x/y/z\" = \"in\"", "\"d\" = \"data\"", "/in/d/x/y"),
    ] {
        let lines = format!("range = {{ to = 4 }}\n[stage.files]\n{first}\n{second}");
        let (why, hint) = self::stage(folder.path(), &lines).unwrap_err();
        assert!(why.contains(at) && hint.contains("of its own"), "{why}: {hint}");
    }
    let beside =
        "range = { to = 4 }\n[stage.files]\n\"d\" = \"data\"\n\"d/w\" = \"in\"\n\"x-1\" = \"in\"";
    assert!(self::stage(folder.path(), beside).is_ok());
}

#[test]
fn names_that_other_systems_cannot_have_are_told_without_being_obeyed() {
    for name in ["data/a\nb", "data/a\tb", "data/\u{1b}[31m", "data/a\\b"] {
        let folder = folder(&[(name, b"1")]);
        let lines = "range = { to = 4 }\n[stage.files]\n\"d\" = \"data\"";
        let (why, hint) = stage(folder.path(), lines).unwrap_err();
        assert!(why.contains("control character") && hint.contains("rename"), "{why}: {hint}");
        assert!(!why.contains(char::is_control), "{why:?}");
    }
}

// Whoever opens a pipe waits until somebody writes.
#[test]
fn pipes_are_refused_and_not_waited_for() {
    let folder = folder(&[("data/x", b"1")]);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("data/pipe")).status();
    assert!(made.unwrap().success());
    let lines = "range = { to = 4 }\n[stage.files]\n\"d\" = \"data\"";
    let (why, hint) = stage(folder.path(), lines).unwrap_err();
    assert!(why.contains("data/pipe") && why.contains("a pipe"), "{why}");
    assert!(hint.contains("standard input"), "{hint}");
}

#[test]
fn a_module_must_be_a_core_module() {
    let folder =
        folder(&[("t.wasm", b"#!/bin/sh\n"), ("c.wasm", b"\0asm\x0d\0\x01\0"), ("e.wasm", b"")]);
    for (module, why) in [
        ("t.wasm", "not a WebAssembly module"),
        ("c.wasm", "component"),
        ("e.wasm", "not a WebAssembly module"),
        ("none.wasm", "No such file"),
    ] {
        let text =
            format!("name = \"x\"\n[[stage]]\nname = \"s\"\nmodule = \"{module}\"\nrange.to = 1");
        let job = JobFile::parse(&folder.path().join("job.toml"), &text).unwrap();
        let error = prepare(job).unwrap_err().to_string();
        assert!(error.contains(module) && error.contains(why), "{error}");
    }
}

#[test]
fn a_gather_names_an_earlier_stage() {
    let folder = folder(&[]);
    let (why, hint) = stage(folder.path(), "gather = \"s\"").unwrap_err();
    assert!(why.contains("reads `s`") && hint.contains("above"), "{why} {hint}");
    let (why, _) = stage(folder.path(), "range = { to = 4 }\nargs = [\"{indx}\"]").unwrap_err();
    assert!(why.contains("`{indx}`") && why.contains("index, start, end"), "{why}");
}

#[test]
fn a_file_that_changes_after_it_was_hashed_is_refused() {
    let folder = folder(&[("in", b"123")]);
    let path = folder.path().join("in");
    let source = BlobSource::file(&path).unwrap();
    assert_eq!(bytes_of(&source), b"123");
    fs::write(&path, b"1234").unwrap();
    assert!(source.reader().is_err());
}

#[test]
fn the_batch_follows_the_measured_time_or_the_number_of_units() {
    assert_eq!(default_batch(64, None), 4);
    assert_eq!(default_batch(1, None), 1);
    assert_eq!(default_batch(20_000, None), 1024);
    let measured = |units, ms| default_batch(units, Some(Duration::from_millis(ms)));
    assert_eq!(measured(1 << 24, 10_000), 128, "a job may have 2^18 batches");
    assert_eq!(measured(10_000, 100), 20);
    assert_eq!(measured(10_000, 5000), 1);
    assert_eq!(measured(10_000, 0), 1024);
    assert_eq!(measured(64, 1), 16);
}

#[test]
fn doubtful_jobs_are_warned_about() {
    let folder = folder(&[]);
    let warned = |head: &str, lines: &str| {
        let text =
            format!("name = \"x\"\n{head}[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n{lines}");
        check(&prepare(JobFile::parse(&folder.path().join("j"), &text).unwrap()).unwrap())
    };
    assert_eq!(warned("", "range.to = 64\nbatch = 4"), []);
    assert_eq!(
        warned("[verify]\nquorum = 1\naudit = 0\n", "range.to = 64\nbatch = 64\nlimits.fuel = 1"),
        [
            Warning::Unverified,
            Warning::OneBatch { stage: "s".into(), units: 64 },
            Warning::Metered { stage: "s".into() },
        ]
    );
    assert_eq!(warned("verify = \"economy\"\n", "range.to = 64\nbatch = 4"), [Warning::OneVote]);
    let unaudited = warned("[verify]\naudit = 0\n", "range.to = 64\nbatch = 4");
    assert_eq!(unaudited, [Warning::NoAudits]);
    let chosen = Warning::BatchChosen { stage: "s".into(), batch: 4, units: 64 };
    assert_eq!(warned("", "range.to = 64"), [chosen]);
    assert_eq!(
        warned("expires = \"1h\"\n", "range.to = 120\nbatch = 1"),
        [Warning::LongWork { work_ms: 7_200_000 }]
    );
}

#[test]
fn a_draft_survives_json_and_becomes_the_manifest_it_describes() {
    let folder = folder(&[("x", b"1\n2\n")]);
    let lines = "parts = { path = \"x\", by = \"lines\", size = 1 }\nstdin = \"part\"\n\
                 [stage.files]\n\"x\" = \"x\"\n[stage.env]\nA = \"{name}\"";
    let prepared = stage(folder.path(), lines).unwrap();
    let json = serde_json::to_string(&prepared.draft).unwrap();
    assert_eq!(serde_json::from_str::<Draft>(&json).unwrap(), prepared.draft);
    let manifest = prepared.manifest();
    assert_eq!(manifest.policy.anchors, [manifest.submitter]);
    assert_eq!((manifest.expires_ms, manifest.unit_count()), (604_800_000, 2));
    let short = r#"{"name": "x", "expires_after_ms": 1, "stages": [{"name": "s", "batch": 1,
        "source": {"range": {"from": 0, "to": 2}}, "module": {"id": "ID", "size": 8}}]}"#;
    let short = short.replace("ID", &protocol::BlobId::of(MODULE).to_string());
    let draft: Draft = serde_json::from_str(&short).unwrap();
    assert_eq!(draft.unit_counts()[0], 2);
    assert!(serde_json::from_str::<Draft>(&short.replace("\"batch\"", "\"bacth\"")).is_err());
}

#[test]
fn a_target_becomes_a_policy_or_a_refusal_that_says_what_could_be() {
    let folder = folder(&[]);
    let prepared = |verify: &str, range: u64| {
        let text = format!(
            "name = \"x\"\n[verify]\n{verify}\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n\
             range = {{ to = {range} }}\n"
        );
        let job = JobFile::parse(&folder.path().join("job.toml"), &text).unwrap();
        prepare(job).map_err(|error| (error.to_string(), error.hint()))
    };
    let strict = prepared("target = 1e-3", 64).unwrap();
    assert_eq!((strict.draft.policy.quorum, strict.draft.policy.audit_ppm), (5, 100_000));
    assert!(strict.promise(None).error <= 1e-3);
    let (why, hint) = prepared("target = 1e-3\nquorum = 2", 64).unwrap_err();
    assert!(why.contains("job.toml: a target error of 0.1 % cannot be promised"), "{why}");
    assert!(hint.contains("quorum = 5 with audit = 0.1 reaches it"), "{hint}");
}

fn job(folder: &Path, text: &str) -> Result<Prepared, (String, String)> {
    let text = format!("name = \"x\"\n{}", text.replace("module", "module = \"m.wasm\""));
    let job = JobFile::parse(&folder.join("job.toml"), &text).unwrap();
    prepare(job).map_err(|error| (error.to_string(), error.hint()))
}

fn shape(prepared: &Prepared) -> Vec<(String, u64)> {
    let names = prepared.draft.stages.iter().map(|stage| stage.name.clone());
    names.zip(prepared.draft.unit_counts()).collect()
}

#[test]
fn a_fan_in_takes_as_many_levels_as_leave_one_unit() {
    let folder = folder(&[]);
    let text = "[[stage]]\nname = \"map\"\nmodule\nrange.to = 10000\n\
                [[stage]]\nname = \"sum\"\nmodule\ngather = { stage = \"map\", fan_in = 16 }\n\
                [[stage]]\nname = \"show\"\nmodule\ngather = \"sum\"\n";
    let prepared = job(folder.path(), text).unwrap();
    let named = |name: &str, units| (name.to_owned(), units);
    assert_eq!(
        shape(&prepared),
        [("map", 10_000), ("sum.1", 625), ("sum.2", 40), ("sum.3", 3), ("sum.4", 1), ("show", 1)]
            .map(|(name, units)| named(name, units))
    );
    let mounts = prepared.draft.stages.iter().map(|stage| stage.links.mount.as_str());
    assert_eq!(mounts.collect::<Vec<_>>(), ["", "map", "map", "map", "sum", ""]);
    let plan = protocol::Plan::new(prepared.manifest());
    let last = plan.reads(4, 0..1);
    assert_eq!((last[0].stage, last[0].units.clone()), (3, 0..3));
    assert!((0..625).all(|unit| plan.reads(1, unit..unit + 1)[0].units.clone().count() <= 16));
}

#[test]
fn a_loop_is_written_out_and_reads_the_round_before() {
    let folder = folder(&[("start", b"0")]);
    let text = "[[stage]]\nname = \"assign\"\nmodule\nrange.to = 4\nreads = [\"update\"]\n\
                first_files = { start = \"start\" }\n\
                [[stage]]\nname = \"update\"\nmodule\ngather = \"assign\"\n\
                [[stage]]\nname = \"show\"\nmodule\neach = \"update\"\nsegments = 2\n\
                [[repeat]]\nstages = [\"assign\", \"update\"]\ntimes = 3\n";
    let prepared = job(folder.path(), text).unwrap();
    let names: Vec<String> = shape(&prepared).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "assign.1", "update.1", "assign.2", "update.2", "assign.3", "update.3", "show.1",
            "show.2"
        ]
    );
    let stages = &prepared.draft.stages;
    let reads: Vec<&[u16]> = stages.iter().map(|stage| stage.links.reads.as_slice()).collect();
    assert_eq!(reads, [&[][..], &[], &[1], &[], &[3], &[], &[], &[]]);
    let converges: Vec<bool> = stages.iter().map(|stage| stage.links.converges).collect();
    assert_eq!(converges, [false, false, true, true, true, true, false, false]);
    assert_eq!((stages[0].inputs.len(), stages[2].inputs.len()), (1, 0));
    assert_eq!(stages[7].links.continues, Some(6));
    assert_eq!(stages[5].links.mount, "update");
}

#[test]
fn a_loop_of_stages_that_are_no_neighbours_and_a_cycle_are_refused() {
    let folder = folder(&[]);
    let two = "[[stage]]\nname = \"a\"\nmodule\nrange.to = 4\n\
               [[stage]]\nname = \"b\"\nmodule\ngather = \"a\"\n";
    for stages in ["\"b\", \"a\"", "\"a\", \"c\""] {
        let text = format!("{two}[[repeat]]\nstages = [{stages}]\ntimes = 2\n");
        let (why, hint) = job(folder.path(), &text).unwrap_err();
        assert!(why.contains("[[repeat]]") && hint.contains("neighbouring"), "{why} {hint}");
    }
    let cycle = two.replace("range.to = 4", "each = \"b\"");
    let (why, hint) = job(folder.path(), &cycle).unwrap_err();
    assert!(why.contains("`a` reads `b`") && hint.contains("above"), "{why} {hint}");
    let many = format!("{two}[[repeat]]\nstages = [\"a\", \"b\"]\ntimes = 200\n");
    let (why, hint) = job(folder.path(), &many).unwrap_err();
    assert!(why.contains("more than 256 stages") && hint.contains("fewer rounds"), "{why} {hint}");
    // Each by itself is allowed, and together they are 65,536.
    let long = two.replace("range.to = 4", "range.to = 4\nsegments = 256");
    let long = format!("{long}[[repeat]]\nstages = [\"a\", \"b\"]\ntimes = 128\n");
    let (why, _) = job(folder.path(), &long).unwrap_err();
    assert!(why.contains("more than 256 stages"), "{why}");
    for (line, says) in [
        ("name = \"a\"\nmodule\nrange.to = 1", "two stages are named `a`"),
        ("name = \"c\"\nmodule\nrange.to = 1\nfirst_files = { x = \"m.wasm\" }", "no `[[repeat]]`"),
        ("name = \"c\"\nmodule\nrange.to = 1\nreads = [\"d\"]", "`c` reads `d`"),
    ] {
        let (why, _) = job(folder.path(), &format!("{two}[[stage]]\n{line}\n")).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
    // What is wrong with names is said before anything is read.
    let lost = two.replace("range.to = 4", "parts = { path = \"lost\", by = \"file\" }");
    let (why, _) =
        job(folder.path(), &lost.replace("gather = \"a\"", "gather = \"c\"")).unwrap_err();
    assert!(why.contains("`b` reads `c`"), "{why}");
}

#[test]
fn a_tree_in_a_loop_whose_units_are_long_is_written_out_level_by_level() {
    let folder = folder(&[]);
    let text = "[[stage]]\nname = \"map\"\nmodule\nrange.to = 9\nreads = [\"sum\"]\n\
                [[stage]]\nname = \"sum\"\nmodule\nsegments = 2\n\
                gather = { stage = \"map\", fan_in = 3 }\n\
                [[repeat]]\nstages = [\"map\", \"sum\"]\ntimes = 2\n";
    let prepared = job(folder.path(), text).unwrap();
    let round = |n: u32| {
        let names = ["map.R", "sum.R.1.1", "sum.R.1.2", "sum.R.2.1", "sum.R.2.2"];
        names.map(|name| name.replace('R', &n.to_string()))
    };
    let names: Vec<String> = shape(&prepared).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [round(1), round(2)].concat());
    let stages = &prepared.draft.stages;
    assert_eq!((&*stages[2].links.mount, &*stages[4].links.mount), ("map", "sum"));
    assert_eq!((stages[4].links.continues, &stages[5].links.reads), (Some(3), &vec![4]));
    let warned = crate::check(&prepared).into_iter().map(|warning| warning.to_string());
    assert_eq!(warned.filter(|warning| warning.contains("`map.1`")).count(), 1);
}
