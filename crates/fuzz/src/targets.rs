//! All targets by name, as the folders of the corpus are named.

/// One target: its name, its body, and how long its inputs are worth making.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Bytes beyond which an input says nothing more.
    pub bytes_max: usize,
}

/// Every target that there is.
pub const TARGETS: [Target; 5] = [
    Target { name: "decode", run: crate::decode, bytes_max: 4096 },
    Target { name: "merge", run: crate::merge, bytes_max: 512 },
    Target { name: "verdict", run: crate::verdict, bytes_max: 512 },
    Target { name: "engine", run: crate::engine, bytes_max: 1024 },
    Target { name: "job_file", run: crate::job_file, bytes_max: 4096 },
];
