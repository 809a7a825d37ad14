//! Looking at a module before it runs: what it is, or why it cannot be served and what to do.

use protocol::limits::{MODULE_BYTES_MAX, UNIT_MEMORY_BYTES_MAX};
use wasmparser::{
    CompositeInnerType, DataKind, ExternalKind, MemoryType, Operator, Parser, Payload, TypeRef,
    Validator, WasmFeatures, types::Types,
};

use crate::limits::{TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::wasi;

const WASM_PAGE_BYTES: u64 = 64 << 10;
/// Imports named in one refusal.
const NAMED_MAX: usize = 5;

/// What a module needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Memory that it has from the start, in bytes.
    pub memory_bytes: u64,
    /// What it never grows beyond by its own word, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// The functions of `wasi_snapshot_preview1` that it may call.
    pub imports: Vec<String>,
    /// Up to where its memory can be non-zero from the start.
    pub(crate) image_bytes: u64,
}

/// Why a module cannot be a unit's, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleRefusal {
    #[error(
        "the module is {bytes} bytes where at most {MODULE_BYTES_MAX} are taken; strip debug \
         information (`wasm-opt --strip-debug`, or `-s` when linking) or optimise for size"
    )]
    TooLarge { bytes: u64 },
    #[error(
        "this is not a WebAssembly module (it does not begin with `\\0asm`); compile the program \
         for the target wasm32-wasip1"
    )]
    NotWasm,
    #[error("this is WebAssembly as text; convert it with `wat2wasm` or `wasm-tools parse`")]
    Text,
    #[error(
        "this is a WebAssembly component, and only core modules are taken from users; compile for \
         the target wasm32-wasip1 instead of wasm32-wasip2"
    )]
    Component,
    #[error("the module is not valid WebAssembly: {why} (at byte {at}); build it again")]
    Invalid { why: String, at: usize },
    #[error("the module uses {feature}, which is not offered: {remedy} ({why}, at byte {at})")]
    Feature { feature: &'static str, remedy: &'static str, why: String, at: usize },
    #[error(
        "the module imports what is not offered: {}; only wasi_snapshot_preview1 is, so compile \
         for the target wasm32-wasip1 and link statically, without JavaScript glue",
        listed(names, *more)
    )]
    Imports { names: Vec<String>, more: usize },
    #[error(
        "the module imports `{name}` with another type than preview1 gives it; build it with a \
         current wasi-libc or Rust toolchain"
    )]
    ImportType { name: String },
    #[error(
        "the module exports no function `_start`; build a program with `main`, not a library \
         (for clang without -mexec-model=reactor, for Rust without crate-type cdylib)"
    )]
    NoStart,
    #[error("the module's `_start` takes or returns something; it must be `func () -> ()`")]
    StartType,
    #[error("the module exports no memory called `memory`; do not link with --import-memory")]
    NoMemory,
    #[error(
        "the module begins with {bytes} bytes of memory where a unit may have at most \
         {UNIT_MEMORY_BYTES_MAX}; use smaller static arrays or a smaller --initial-memory"
    )]
    MemoryTooLarge { bytes: u64 },
    #[error(
        "the module has more than {TABLES_MAX} tables, or one of more than {TABLE_ELEMENTS_MAX} \
         elements; split the program"
    )]
    Tables,
}

/// Looks at a module's bytes.
///
/// # Errors
/// [`ModuleRefusal`] names the first thing that keeps it from being run, and the remedy.
pub fn inspect(bytes: &[u8]) -> Result<ModuleInfo, ModuleRefusal> {
    if MODULE_BYTES_MAX < bytes.len() as u64 {
        return Err(ModuleRefusal::TooLarge { bytes: bytes.len() as u64 });
    }
    if Parser::is_component(bytes) {
        return Err(ModuleRefusal::Component);
    }
    if !Parser::is_core_wasm(bytes) {
        let text = bytes.trim_ascii_start();
        let is_text = [&b"(module"[..], b"(component", b";;"].iter().any(|p| text.starts_with(p));
        return Err(if is_text { ModuleRefusal::Text } else { ModuleRefusal::NotWasm });
    }
    let mut types = validate(bytes)?;
    let shape = Shape::read(bytes)?;
    shape.check_imports(&mut types)?;
    shape.check_exports(&types)?;
    let memory = shape.memory.ok_or(ModuleRefusal::NoMemory)?;
    let memory_bytes = memory.initial.saturating_mul(WASM_PAGE_BYTES);
    if UNIT_MEMORY_BYTES_MAX < memory_bytes {
        return Err(ModuleRefusal::MemoryTooLarge { bytes: memory_bytes });
    }
    Ok(ModuleInfo {
        memory_bytes,
        memory_bytes_max: memory.maximum.map(|pages| pages.saturating_mul(WASM_PAGE_BYTES)),
        imports: shape.imports.into_iter().map(|(_, name, _)| name.to_owned()).collect(),
        image_bytes: shape.image_bytes,
    })
}

/// What a module may use; the engine is configured to the same.
const OFFERED: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::FLOATS);

/// What compilers may be told to use beyond that: to name the cause of a refusal.
const NAMED: [(WasmFeatures, &str, &str); 12] = [
    (
        WasmFeatures::THREADS,
        "threads (shared memory or atomics)",
        "build without -pthread, for wasm32-wasip1 instead of wasm32-wasip1-threads",
    ),
    (WasmFeatures::MEMORY64, "64-bit memory", "build for wasm32 instead of wasm64"),
    (
        WasmFeatures::RELAXED_SIMD,
        "relaxed SIMD",
        "its results differ between CPUs; build with -msimd128 and without -mrelaxed-simd",
    ),
    (WasmFeatures::MULTI_MEMORY, "several memories", "link with a single memory"),
    (WasmFeatures::EXCEPTIONS, "exceptions", "build with -fno-exceptions or panic=abort"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "exceptions", "build with -fno-exceptions or panic=abort"),
    (WasmFeatures::GC_TYPES, "reference types of the host (externref)", "build without them"),
    (WasmFeatures::GC, "garbage collection", "use a compiler that brings its own collector"),
    (WasmFeatures::FUNCTION_REFERENCES, "typed function references", "build without them"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic", "build without -mwide-arithmetic"),
    (WasmFeatures::STACK_SWITCHING, "stack switching", "build without it"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes", "link with pages of 64 KiB"),
];

fn validate(bytes: &[u8]) -> Result<Types, ModuleRefusal> {
    let error = match Validator::new_with_features(OFFERED).validate_all(bytes) {
        Ok(types) => return Ok(types),
        Err(error) => error,
    };
    let (why, at) = (error.message().to_owned(), error.offset());
    // The missing feature is the one that gets validation further. Some need another one.
    let further = |added: WasmFeatures| {
        let with = OFFERED.union(added);
        match Validator::new_with_features(with).validate_all(bytes) {
            Ok(_) => true,
            Err(other) => at < other.offset(),
        }
    };
    let gc = WasmFeatures::GC_TYPES.union(WasmFeatures::FUNCTION_REFERENCES);
    let found = NAMED
        .iter()
        .find(|(flag, ..)| further(*flag))
        .or_else(|| NAMED.iter().find(|(flag, ..)| further(flag.union(gc))));
    Err(match found {
        Some(&(_, feature, remedy)) => ModuleRefusal::Feature { feature, remedy, why, at },
        None => ModuleRefusal::Invalid { why, at },
    })
}

/// The parts of a valid module that matter here.
#[derive(Debug, Default)]
struct Shape<'m> {
    imports: Vec<(&'m str, &'m str, Option<u32>)>,
    memories: Vec<MemoryType>,
    /// The exported memory.
    memory: Option<MemoryType>,
    start: Option<u32>,
    tables: u32,
    largest_table: u64,
    image_bytes: u64,
}

impl<'m> Shape<'m> {
    fn read(bytes: &'m [u8]) -> Result<Self, ModuleRefusal> {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            shape.take(payload.map_err(invalid)?).map_err(invalid)?;
        }
        Ok(shape)
    }

    fn take(&mut self, payload: Payload<'m>) -> wasmparser::Result<()> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let function = match import.ty {
                        TypeRef::Func(index) => Some(index),
                        _ => None,
                    };
                    self.imports.push((import.module, import.name, function));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memories.push(memory?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.tables += 1;
                    self.largest_table = self.largest_table.max(table?.ty.initial);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    match (export.name, export.kind) {
                        ("_start", ExternalKind::Func) => self.start = Some(export.index),
                        ("memory", ExternalKind::Memory) => {
                            self.memory = self.memories.get(export.index as usize).copied();
                        }
                        _ => {}
                    }
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    if let DataKind::Active { offset_expr, .. } = data.kind {
                        let mut offset = offset_expr.get_operators_reader();
                        let end = match (offset.read()?, offset.read()?) {
                            (Operator::I32Const { value }, Operator::End) => {
                                u64::from(value as u32) + data.data.len() as u64
                            }
                            // Computed: it can be anywhere.
                            _ => u64::MAX,
                        };
                        self.image_bytes = self.image_bytes.max(end);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_imports(&self, types: &mut Types) -> Result<(), ModuleRefusal> {
        let offered = |&(module, name, function): &(&str, &str, Option<u32>)| {
            module == wasi::MODULE && function.is_some() && wasi::signature(name).is_some()
        };
        let mut missing = self.imports.iter().filter(|import| !offered(import));
        let names: Vec<String> = missing
            .by_ref()
            .take(NAMED_MAX)
            .map(|(module, name, _)| format!("{}.{}", short(module), short(name)))
            .collect();
        if !names.is_empty() {
            return Err(ModuleRefusal::Imports { names, more: missing.count() });
        }
        for (_, name, function) in &self.imports {
            let (Some(index), Some(signature)) = (function, wasi::signature(name)) else {
                continue;
            };
            let id = types.as_ref().core_type_at_in_module(*index);
            let fits = match &types[id].composite_type.inner {
                CompositeInnerType::Func(function) => {
                    function.params() == signature.params && function.results() == signature.results
                }
                _ => false,
            };
            if !fits {
                return Err(ModuleRefusal::ImportType { name: (*name).to_owned() });
            }
        }
        Ok(())
    }

    fn check_exports(&self, types: &Types) -> Result<(), ModuleRefusal> {
        let start = self.start.ok_or(ModuleRefusal::NoStart)?;
        let id = types.as_ref().core_function_at(start);
        let is_plain = match &types[id].composite_type.inner {
            CompositeInnerType::Func(function) => {
                function.params().is_empty() && function.results().is_empty()
            }
            _ => false,
        };
        if !is_plain {
            return Err(ModuleRefusal::StartType);
        }
        if TABLES_MAX < self.tables || (TABLE_ELEMENTS_MAX as u64) < self.largest_table {
            return Err(ModuleRefusal::Tables);
        }
        Ok(())
    }
}

fn invalid(error: wasmparser::BinaryReaderError) -> ModuleRefusal {
    ModuleRefusal::Invalid { why: error.message().to_owned(), at: error.offset() }
}

fn listed(names: &[String], more: usize) -> String {
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

fn short(name: &str) -> String {
    name.chars().take(60).collect()
}
