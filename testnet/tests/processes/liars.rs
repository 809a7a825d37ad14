//! A node that lies among honest ones.

use crate::harness::{run, turn};

#[test]
fn the_demonstration_finishes_with_right_results_and_names_the_liar() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let ran = run(&["demo", "--to", to]);
    let (table, talk) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(ran.status.code(), Some(0), "{table}\n{talk}");
    assert!(table.contains("node 4"), "the last node is not named:\n{table}\n{talk}");
    for file in
        ["fractal.png", "prices.csv", "kmers.tsv", "fractal.txt", "options.txt", "kmers.txt"]
    {
        assert!(folder.path().join(file).is_file(), "{file} is missing\n{talk}");
    }
}
