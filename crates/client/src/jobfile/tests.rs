//! What a job file may say, and what each mistake in one is answered with.

use std::path::{Path, PathBuf};

use super::{
    Amount, Cut, DataSpec, Fill, Form, JobFile, PartsSpec, SourceSpec, StdinSpec, UrlSpec,
};
use crate::{DraftAxis, DraftLimits, DraftPolicy, Goal};

const FULL: &str = r#"
name = "fractal"
description = "a picture"
priority = 7
expires = "2d"
[verify]
quorum = 3
audit = 0.25
[[stage]]
name = "tiles"
module = "tile.wasm"
range = { from = 0, to = 64, block = 2 }
args = ["{index}", 8]
env = { Z = "1", A = 2.50 }
stdin = "in.txt"
batch = 16
[stage.files]
"z/genome.fa" = "data/lambda.fa"
"a" = "data"
[stage.limits]
cpu = "30s"
memory = "64MiB"
output = "4MiB"
files = 16
fuel = 1000000
[[stage]]
name = "all"
module = "all.wasm"
gather = "tiles"
"#;

fn parse(text: &str) -> Result<JobFile, (String, String)> {
    JobFile::parse(Path::new("dir/job.toml"), text)
        .map_err(|error| (error.to_string(), error.hint().unwrap_or_default().to_owned()))
}

/// A job of one stage with these lines.
fn stage(lines: &str) -> Result<JobFile, (String, String)> {
    parse(&format!("name = \"x\"\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n{lines}\n"))
}

#[track_caller]
fn refused(text: &str, error: &str, hint: &str) {
    let (got_error, got_hint) = parse(text).expect_err("it should be refused");
    assert!(got_error.contains(error), "{got_error}");
    assert!(got_hint.contains(hint), "{got_hint}");
}

#[test]
fn every_key_is_read() {
    let job = parse(FULL).unwrap();
    assert_eq!(
        (job.name.as_str(), job.priority, job.expires_after_ms),
        ("fractal", 7, 172_800_000)
    );
    assert_eq!((job.policy.quorum, job.policy.lead, job.policy.audit_ppm), (3, 6, 250_000));
    assert_eq!(job.folder, PathBuf::from("dir"));
    let tiles = &job.stages[0];
    assert_eq!(tiles.source, SourceSpec::Range { from: 0, to: 64, block: 2 });
    assert_eq!(tiles.args, ["{index}", "8"]);
    assert_eq!(tiles.env, [("Z".into(), "1".into()), ("A".into(), "2.50".into())]);
    assert_eq!(tiles.stdin, StdinSpec::File("in.txt".into()));
    assert_eq!(tiles.batch, Some(16));
    assert_eq!(
        tiles.files,
        [("z/genome.fa".into(), "data/lambda.fa".into()), ("a".into(), "data".into())]
    );
    let limits = DraftLimits {
        cpu_ms: 30_000,
        memory_bytes: 64 << 20,
        output_bytes: 4 << 20,
        files: 16,
        fuel: Some(1_000_000),
    };
    assert_eq!(tiles.limits, limits);
    assert_eq!(job.stages[1].source, SourceSpec::Gather { stage: "tiles".into(), fan_in: None });
}

#[test]
fn what_is_left_out_has_its_default() {
    let job = stage("range = { to = 3 }").unwrap();
    assert_eq!((job.priority, job.expires_after_ms), (5, 604_800_000));
    assert_eq!(job.policy, crate::DraftPolicy::default());
    assert_eq!(job.stages[0].limits, DraftLimits::default());
    assert_eq!(job.stages[0].source, SourceSpec::Range { from: 0, to: 3, block: 1 });
    assert_eq!((job.stages[0].batch, &job.stages[0].stdin), (None, &StdinSpec::Nothing));
}

/// The policy and the goal of a job with these lines at its top.
fn verify(lines: &str) -> (DraftPolicy, Goal) {
    let job = stage_below(lines, "range = { to = 3 }").unwrap();
    (job.policy, job.goal)
}

fn stage_below(top: &str, lines: &str) -> Result<JobFile, (String, String)> {
    parse(&format!("name = \"x\"\n{top}\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n{lines}\n"))
}

#[test]
fn how_much_checking_is_wanted_can_be_said_in_a_word() {
    for (word, quorum, audit_ppm) in
        [("standard", 2, 100_000), ("economy", 1, 200_000), ("strict", 4, 100_000)]
    {
        let (policy, goal) = verify(&format!("verify = \"{word}\""));
        assert_eq!((policy.quorum, policy.audit_ppm), (quorum, audit_ppm), "{word}");
        assert_eq!((policy.level, policy.stamp_bits, goal), (None, None, Goal::default()));
    }
    assert_eq!(verify("").0, DraftPolicy::standard());
}

#[test]
fn every_number_of_a_policy_can_be_given() {
    let (policy, goal) = verify(
        "[verify]\nquorum = 3\nlead = 8\naudit = 0.2\nlevel = 4\nstamp = 12\nliars = 0.3\n\
         target = 1e-3",
    );
    let want = DraftPolicy {
        quorum: 3,
        lead: 8,
        audit_ppm: 200_000,
        level: Some(4),
        stamp_bits: Some(12),
        ..DraftPolicy::standard()
    };
    let goal_wanted =
        Goal { target: Some(1e-3), liars: 0.3, keeps_quorum: true, keeps_audit: true };
    assert_eq!((policy, goal), (want, goal_wanted));
    let (_, goal) = verify("[verify]\ntarget = 1e-3");
    assert_eq!(goal, Goal { target: Some(1e-3), ..Goal::default() });
}

#[test]
fn a_policy_beyond_what_may_be_asked_is_refused() {
    let top = |lines: &str| stage_below(lines, "range = { to = 3 }").unwrap_err();
    let (why, hint) = top("verify = \"paranoid\"");
    assert!(why.contains(":2: `verify` is `paranoid`") && hint.contains("\"strict\""), "{why}");
    for (lines, part, remedy) in [
        ("[verify]\naudit = 0.6", "`audit` is out of range", "0 to 0.5"),
        ("[verify]\nliars = 0.4", "`liars` is out of range", "0.01 to 0.3"),
        ("[verify]\ntarget = 0", "`target` is out of range", "to 0.5"),
        ("[verify]\ntarget = \"low\"", "`target` is of type string", "a number"),
        ("[verify]\nlevel = 33", "`level` is 33", "0 to 32"),
        ("[verify]\nstamp = 33", "`stamp` is 33", "0 to 32"),
        ("verify = 3", "`verify` is of type integer", "a table"),
    ] {
        let (why, hint) = top(lines);
        assert!(why.contains(part) && hint.contains(remedy), "{lines}: {why}: {hint}");
    }
}

#[test]
fn the_axes_of_a_grid_keep_the_order_and_spelling_they_are_written_in() {
    let axes = |job: JobFile| match job.stages.into_iter().next().unwrap().source {
        SourceSpec::Grid { axes } => axes,
        other => panic!("{other:?}"),
    };
    let axis = |name: &str, values: &[&str]| DraftAxis {
        name: name.to_owned(),
        values: values.iter().map(|&v| v.to_owned()).collect(),
    };
    let want =
        [axis("strike", &["80", "90"]), axis("b", &["0.10", "1e-3"]), axis("a", &["x", "true"])];
    let inline = "grid = { strike = [80, 90], b = [0.10, 1e-3], a = [\"x\", true] }";
    assert_eq!(axes(stage(inline).unwrap()), want);
    let table = "[stage.grid]\nstrike = [80, 90]\nb = [0.10, 1e-3]\na = [\"x\", true]";
    assert_eq!(axes(stage(table).unwrap()), want);
}

fn parts(keys: &str) -> Result<PartsSpec, (String, String)> {
    match &stage(&format!("parts = {{ {keys} }}"))?.stages[0].source {
        SourceSpec::Parts(parts) => Ok(parts.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_say_how_they_are_cut() {
    let cut = |by: &str| parts(&format!("path = \"x\", {by}")).map(|parts| parts.cut);
    let records = |form, size, stable, max_bytes| {
        Ok(Cut::Records { form, fill: Fill { size, stable, max_bytes } })
    };
    let (hundred, mebibyte) = (Amount::Records(100), Amount::Bytes(1 << 20));
    let most = 1 << 30;
    assert_eq!(cut("by = \"lines\", size = 100"), records(Form::Lines, hundred, false, most));
    assert_eq!(cut("by = \"lines\", size = 1_00"), records(Form::Lines, hundred, false, most));
    let lines = cut("by = \"lines\", size = \"1MiB\"");
    assert_eq!(lines, records(Form::Lines, mebibyte, true, 1 << 20));
    let lines = cut("by = \"lines\", size = \"1MiB\", stable = false");
    assert_eq!(lines, records(Form::Lines, mebibyte, false, 1 << 20));
    let fasta = cut("by = \"fasta\", size = 100, stable = true, max = \"2GiB\"");
    assert_eq!(fasta, records(Form::Fasta, hundred, true, 2 << 30));
    assert_eq!(cut("by = \"fastq\", size = 100"), records(Form::Fastq, hundred, false, most));
    let fixed = cut("by = \"records\", record = 16, size = 100");
    assert_eq!(fixed, records(Form::Fixed(16), hundred, false, most));
    let csv = Form::Csv { separator: b',', header: true };
    assert_eq!(cut("by = \"csv\", size = 100"), records(csv, hundred, false, most));
    let csv = Form::Csv { separator: b'\t', header: false };
    let tsv = cut("by = \"csv\", size = 100, separator = \"\\t\", header = false");
    assert_eq!(tsv, records(csv, hundred, false, most));
    assert_eq!(cut("by = \"bytes\", size = \"1MiB\""), Ok(Cut::Bytes(1 << 20)));
    assert_eq!(cut("by = \"bytes\", size = 7"), Ok(Cut::Bytes(7)));
    assert_eq!(cut("by = \"file\""), Ok(Cut::File { recursive: false }));
    assert_eq!(cut("by = \"file\", recursive = true"), Ok(Cut::File { recursive: true }));
}

#[test]
fn a_cut_that_makes_no_sense_is_refused() {
    for (by, part, remedy) in [
        ("by = \"lines\"", "`parts` lacks `size`", "\"1MiB\""),
        ("by = \"words\", size = 1", "`by` is `words`", "\"lines\""),
        ("by = \"file\", size = 1", "`size` has no meaning by file", "leave it out"),
        ("by = \"bytes\", size = \"0B\"", "`size` is zero", "at least one"),
        ("by = \"lines\", size = 0", "`size` is 0", "allowed is 1"),
        ("by = \"lines\", size = \"1MiB\", max = \"2MiB\"", "`max` has no meaning", "largest"),
        ("by = \"lines\", size = 1, record = 2", "`record` has no meaning here", "\"records\""),
        ("by = \"lines\", size = 1, header = true", "`header` has no meaning here", "\"csv\""),
        ("by = \"lines\", size = 1, recursive = true", "`recursive` has no meaning", "\"file\""),
        ("by = \"records\", size = 1", "`parts` lacks `record`", "16"),
        ("by = \"records\", record = 9, size = \"8B\"", "smaller than `record`", "at least one"),
        ("by = \"csv\", size = 1, separator = \"ab\"", "`separator` is not one", "\";\""),
        ("by = \"lines\", size = 1, stable = 1", "`stable` is of type integer", "true or false"),
        ("by = \"lines\", size = 1, blake3 = \"00\"", "`blake3` has no meaning without", "url"),
    ] {
        let (why, hint) = parts(&format!("path = \"x\", {by}")).expect_err(by);
        assert!(why.contains(part) && hint.contains(remedy), "{by}: {why}: {hint}");
    }
}

#[test]
fn data_lies_in_files_or_comes_from_elsewhere() {
    let data = |keys: &str| parts(&format!("{keys}, by = \"lines\", size = 1")).map(|p| p.data);
    assert_eq!(data("path = \"a/*.txt\""), Ok(DataSpec::Path("a/*.txt".into())));
    assert_eq!(data("path = \"-\""), Ok(DataSpec::Stdin));
    let hash = "ab".repeat(32);
    let url = data(&format!(
        "url = \"https://h/p?q\", blake3 = \"{hash}\", limit = \"1GiB\", timeout = \"5m\""
    ));
    let spec = UrlSpec {
        url: "https://h/p?q".into(),
        blake3: Some(protocol::Hash::new([0xab; 32])),
        limit_bytes: 1 << 30,
        within: std::time::Duration::from_secs(300),
    };
    assert_eq!(url, Ok(DataSpec::Url(spec)));
    for (keys, part) in [
        ("path = \"x\", url = \"https://h/p\"", "`url` stands beside `path`"),
        ("stable = false", "`parts` lacks `path` or `url`"),
        ("url = \"ftp://h/p\"", "`url` is not an address"),
        ("url = \"https://h/a b\"", "`url` is not an address"),
        ("url = \"https://h/p\", blake3 = \"abc\"", "`blake3` is not a BLAKE3 hash"),
    ] {
        let (why, _) = data(keys).expect_err(keys);
        assert!(why.contains(part), "{keys}: {why}");
    }
    let (why, hint) = parts("path = \"-\", by = \"file\"").unwrap_err();
    assert!(why.contains("one stream") && hint.contains("folder"), "{why} {hint}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_known_ones() {
    refused(
        "name = \"x\"\npriorty = 3\n",
        "dir/job.toml:2: the job has an unknown key `priorty`",
        "did you mean `priority`? known are name, description",
    );
    refused("name = \"x\"\nfoo = 3\n", ":2:", "known are name");
    let typo = FULL.replace("memory =", "memroy =");
    refused(&typo, ":22: [stage.limits] of stage `tiles` has an unknown key `memroy`", "`memory`");
    refused(
        &FULL.replace("module = \"all", "modul = \"all"),
        ":28: stage `all` has an unknown key `modul`",
        "`module`",
    );
    refused(
        &FULL.replace("block = 2", "step = 2"),
        "a range has an unknown key `step`",
        "from, to, block",
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_with_a_remedy() {
    refused("", "lacks `stage`", "[[stage]]");
    refused("name = \"x\"\n[[stage]]\nmodule = \"m\"\n", ":2: a stage lacks `name`", "add");
    refused("name = 3\n[[stage]]\n", ":2: a stage lacks `name`", "add");
    refused(&FULL.replace("\"fractal\"", "3"), ":2: `name` is of type integer", "give a string");
    refused(&FULL.replace("priority = 7", "priority = 10"), ":4: `priority` is 10", "0 to 9");
    refused(&FULL.replace("priority = 7", "priority = -1"), ":4: `priority` is -1", "0 to 9");
    refused(&FULL.replace("\"2d\"", "\"2 days\""), ":5: `expires` is not a duration", "`7d`");
    refused(&FULL.replace("\"64MiB\"", "\"3GiB\""), "`memory` is out of range", "up to 2 GiB");
    refused(&FULL.replace("quorum = 3", "quorum = 10"), "`quorum` is 10", "1 to 9");
    refused(&FULL.replace("0.25", "0.75"), "`audit` is out of range", "0 to 0.5");
    refused(&FULL.replace("quorum = 3", "anchors = [\"me\"]"), "`anchors` has a name", "key show");
    refused("name = \"x\n", "dir/job.toml:1: ", "");
    refused(&"#".repeat(300 << 10), "256 KiB", "data belongs into files");
}

#[test]
fn a_stage_has_exactly_one_source() {
    let why = |lines: &str| stage(lines).unwrap_err().0;
    assert!(why("").contains("stage `s` does not say how its units arise"));
    assert!(why("range = { to = 1 }\ngather = \"t\"").contains("range and gather"));
    assert!(why("by_name = \"t\"").contains("by_name"));
    assert!(why("by_name = { stage = \"t\" }").contains("lacks `buckets`"));
    assert!(why("by_name = { stage = \"t\", buckets = 0 }").contains("`buckets` is 0"));
    assert!(why("gather = { stage = \"t\", fan_in = 1 }").contains("`fan_in` is 1"));
    assert!(why("each = \"t\"\nsegments = 0").contains("`segments` is 0"));
    assert!(why("range = { from = 5, to = 5 }").contains("is empty"));
    assert!(why("grid = {}").contains("no axes"));
    assert!(why("grid = { x = [] }").contains("no values"));
    assert!(why("grid = { x = [[1]] }").contains("of type array"));
}
