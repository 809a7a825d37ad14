//! Settings: later layers win, and a mistake is named with its key, its value and its remedy.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use node::config::{Layers, Origin, Setting, set_in_file};

fn layers(dir: &Path, env: &[(&str, &str)], flags: &[(Setting, &str)]) -> Layers {
    let own = |text: &str| text.to_owned();
    let mut all: BTreeMap<String, String> =
        env.iter().map(|(key, value)| (own(key), own(value))).collect();
    all.insert("DUGNAD_DATA_DIR".to_owned(), dir.display().to_string());
    Layers {
        env: all,
        flags: flags.iter().map(|(setting, value)| (*setting, own(value))).collect(),
    }
}

fn refusal(file: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), file).unwrap();
    layers(dir.path(), &[], &[]).load().unwrap_err().to_string()
}

#[test]
fn the_file_yields_to_the_environment_and_that_to_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file =
        "cores = 1\nnetwork = \"file\"\nstorage = \"1 GiB\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n";
    fs::write(dir.path().join("config.toml"), file).unwrap();
    let env = [("DUGNAD_CORES", "2"), ("DUGNAD_NETWORK", "env")];
    let loaded = layers(dir.path(), &env, &[(Setting::Cores, "3")]).load().unwrap();
    assert_eq!((loaded.config.cores, loaded.config.network.as_str()), (3, "env"));
    assert_eq!(loaded.config.storage_bytes, 1 << 30);
    assert_eq!(loaded.config.listen, ["/ip4/127.0.0.1/tcp/0"]);
    assert_eq!(loaded.origins[&Setting::Cores], Origin::Flag);
    assert_eq!(loaded.origins[&Setting::Network], Origin::Environment("DUGNAD_NETWORK"));
    assert_eq!(loaded.origins[&Setting::Mdns], Origin::Default);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let text = refusal("netwrok = \"x\"\n");
    assert!(text.contains("`netwrok`") && text.contains("did you mean `network`?"), "{text}");
    let text = refusal("something_else_entirely = 1\n");
    assert!(text.contains("there are network, listen"), "{text}");
}

#[test]
fn a_value_that_cannot_be_used_is_named_with_its_key_and_a_remedy() {
    for (file, parts) in [
        ("cores = 0", ["cores", "`0`", "from 1 to 1024"]),
        ("storage = \"much\"", ["storage", "`much`", "20 GB"]),
        ("mdns = \"perhaps\"", ["mdns", "`perhaps`", "true or false"]),
        ("listen = \"localhost:80\"", ["listen", "`localhost:80`", "/ip4/192.0.2.1/tcp/4114"]),
        ("reachability = \"maybe\"", ["reachability", "`maybe`", "auto, public or private"]),
        ("stamp-bits = 25", ["stamp-bits", "`25`", "from 0 to 24"]),
        ("job-stamp = \"on\"", ["job-stamp", "`on`", "off, or a number"]),
        ("network = [1]", ["network", "`[1]`", "one text"]),
        ("data_dir = \"/x\"", ["data_dir", "cannot be set in the file", "--data-dir"]),
    ] {
        let text = refusal(file);
        assert!(parts.iter().all(|part| text.contains(part)), "{file}: {text}");
    }
}

#[test]
fn everything_shown_can_be_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = layers(dir.path(), &[], &[]).load().unwrap();
    let mut again = loaded.config.clone();
    for setting in Setting::ALL {
        let shown = setting.show(&loaded.config);
        setting.apply(&shown, &mut again).unwrap();
        assert_eq!(setting.show(&again), shown, "{}", setting.key());
    }
}

#[test]
fn stamps_are_off_until_a_network_asks_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let config = layers(dir.path(), &[], &[]).load().unwrap().config;
    assert_eq!((config.stamp_bits, config.job_stamp), (0, None));
    fs::write(dir.path().join("config.toml"), "stamp-bits = 14\njob-stamp = 0\n").unwrap();
    let env = [("DUGNAD_STAMP_BITS", "15")];
    let config = layers(dir.path(), &env, &[]).load().unwrap().config;
    assert_eq!((config.stamp_bits, config.job_stamp), (15, Some(0)));
    let off = [(Setting::JobStamp, "off")];
    assert_eq!(layers(dir.path(), &env, &off).load().unwrap().config.job_stamp, None);
}

#[test]
fn setting_one_key_leaves_the_other_lines_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "# mine\ncores = 1\n").unwrap();
    set_in_file(dir.path(), Setting::Cores, "4").unwrap();
    set_in_file(dir.path(), Setting::Bootstrap, "/ip4/192.0.2.1/tcp/4114").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "# mine\ncores = 4\nbootstrap = [\"/ip4/192.0.2.1/tcp/4114\"]\n");
    assert_eq!(layers(dir.path(), &[], &[]).load().unwrap().config.cores, 4);
    assert!(set_in_file(dir.path(), Setting::Cores, "none").is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}
