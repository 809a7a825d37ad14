//! The data folder: one process at a time, a key that is made once and that nobody else reads.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use node::identity::{Home, HomeError};

#[test]
fn the_same_folder_gives_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let first = Home::open(dir.path()).unwrap().identity().unwrap();
    let second = Home::open(dir.path()).unwrap().identity().unwrap();
    assert_eq!(first.secret(), second.secret());
    let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("key")), (0o700, 0o600));
}

#[test]
fn a_second_node_is_told_which_process_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Home::open(dir.path()).unwrap();
    let error = Home::open(dir.path()).unwrap_err();
    assert!(matches!(error, HomeError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    home.identity().unwrap();
    let key = dir.path().join("key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let error = home.identity().unwrap_err();
    assert!(matches!(error, HomeError::Open { .. }));
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_file_that_is_no_key_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "not a key\n").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(home.identity(), Err(HomeError::NoKey { .. })));
    assert_eq!(fs::read_to_string(&key).unwrap(), "not a key\n");
}

#[test]
fn a_link_in_the_keys_place_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    symlink(&elsewhere, dir.path().join("key")).unwrap();
    assert!(matches!(home.identity(), Err(HomeError::Io { .. })));
    assert!(!elsewhere.exists());
}
