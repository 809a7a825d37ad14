//! The types of preview1's functions, so that a module's imports can be checked before it runs.

use wasmparser::ValType;

/// Parameters of a function and whether it returns an errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) params: &'static [ValType],
    pub(crate) results: &'static [ValType],
}

/// The type of a function of `wasi_snapshot_preview1`; `None` if there is none of that name.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    if name == "proc_exit" {
        return Some(Signature { params: &[ValType::I32], results: &[] });
    }
    let found = super::link::PARAMS.iter().find(|(known, _)| *known == name);
    found.map(|(_, params)| Signature { params, results: &[ValType::I32] })
}

/// Types of parameters as wasm has them.
pub(super) trait Param {
    const TYPE: ValType;
}

impl Param for u32 {
    const TYPE: ValType = ValType::I32;
}

impl Param for u64 {
    const TYPE: ValType = ValType::I64;
}

impl Param for i64 {
    const TYPE: ValType = ValType::I64;
}
