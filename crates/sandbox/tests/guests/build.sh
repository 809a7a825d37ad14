#!/bin/sh
# Builds the guests from their sources. Their bytes are in the repository, so that tests need no
# toolchain; after a change, run this and commit what it made.
#
# Debian: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 libc++-19-dev-wasm32
# libc++abi-19-dev-wasm32; for Rust the target wasm32-wasip1, or its sources (rust-src).
set -eu
cd "$(dirname "$0")"

flags="--target=wasm32-wasi -Oz -s"
for source in *.c; do
    clang-19 $flags -o "${source%.c}.wasm" "$source"
done
clang++-19 $flags -fno-exceptions -std=c++17 -o iostream.wasm iostream.cpp

rust="${RUSTC:-rustc}"
options="--edition 2024 --target wasm32-wasip1 -Copt-level=z -Clto=fat -Cstrip=symbols -Cpanic=abort -Ccodegen-units=1"
# Panics name their sources: without the folders of whoever builds.
home="${CARGO_HOME:-$HOME/.cargo}"
$rust $options --remap-path-prefix "$PWD=." --remap-path-prefix "$home=cargo" ${RUST_OPTIONS:-} \
    -o program.wasm program.rs
ls -l *.wasm
