#!/usr/bin/env bash
# Rebuilds the examples' .wasm files from source: examples/build.sh [fractal|options|kmers|trivial|words|kmeans|heat|reads|tree]...
#
# C:    wasi-sdk (WASI_SDK_PATH, or /opt/wasi-sdk), or Debian's clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32.
# Rust: rustup target add wasm32-wasip1, or Debian's rustc-web rust-web-src lld-19 wasi-libc libclang-rt-19-dev-wasm32.
set -euo pipefail
cd "$(dirname "$0")"
target=$(mktemp -d)
trap 'rm -r "$target"' EXIT

fail() {
    printf 'build.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

# Sets cc to a compiler for WASI with its flags.
find_cc() {
    local sdk=${WASI_SDK_PATH:-/opt/wasi-sdk}
    if [ -x "$sdk/bin/clang" ]; then
        cc=("$sdk/bin/clang" --target=wasm32-wasip1 "--sysroot=$sdk/share/wasi-sysroot")
    elif command -v clang-19 wasm-ld-19 >/dev/null && [ -e /usr/lib/wasm32-wasi/libc.a ]; then
        cc=(clang-19 --target=wasm32-wasi)
    else
        fail 'no C compiler for WASI' 'install wasi-sdk and set WASI_SDK_PATH, or on Debian: apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32'
    fi
    cc+=(-O3 -Wall -Wextra -Werror -ffp-contract=off -Wl,--strip-all)
}

# Nobody runs a .wasm directly, so it is no executable file.
finish() {
    chmod 644 "$1"
    ls -l "$1"
}

# c PROGRAM FLAGS...: builds PROGRAM.wasm from PROGRAM.c. A stack of 32 KiB keeps guests small.
c() {
    local program=$1
    shift
    "${cc[@]}" -Wl,-z,stack-size=32768 "$@" -o "$program.wasm" "$program.c" -lm
    finish "$program.wasm"
}

# rust PACKAGE PROGRAM...: builds PROGRAM.wasm from a cargo package of that many programs.
rust() {
    local package=$1
    shift
    # A panic's message names its source file: let it not name this machine's folders.
    local flags="--remap-path-prefix=$PWD/$package=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo -Clink-arg=-zstack-size=65536"
    local args=(build --release --locked --target wasm32-wasip1 --manifest-path "$package/Cargo.toml" --target-dir "$target")
    if [ -d "$(rustc --print target-libdir --target wasm32-wasip1 2>/dev/null)" ]; then
        RUSTFLAGS=$flags cargo "${args[@]}"
    elif [ -x /usr/bin/rustc ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
        debian_rust "$flags" "${args[@]}"
    else
        fail 'no Rust for WASI' 'rustup target add wasm32-wasip1, or on Debian: apt-get install rustc-web rust-web-src lld-19 wasi-libc libclang-rt-19-dev-wasm32'
    fi
    for program; do
        cp "$target/wasm32-wasip1/release/$program.wasm" .
        finish "$program.wasm"
    done
}

# Debian has the standard library as source only, so it is built along, and linked with Debian's wasi-libc.
debian_rust() {
    local flags=$1 libc=/usr/lib/wasm32-wasi
    shift
    flags+=" -Clinker-flavor=wasm-ld -Clink-self-contained=no -L$libc -Clink-arg=$libc/crt1-command.o"
    flags+=" -Clink-arg=/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a"
    CARGO_TARGET_WASM32_WASIP1_LINKER=/usr/bin/wasm-ld-19 RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        RUSTFLAGS=$flags cargo "$@" -Zbuild-std=std,panic_abort
}

[ $# -gt 0 ] || set -- fractal options kmers trivial words kmeans heat reads
for name; do
    [ -d "$name" ] || fail "no example is called $name" 'fractal, options, kmers, trivial, words, kmeans, heat, reads or tree'
    pushd "$name" >/dev/null
    case $name in
    fractal) rust guest tile assemble ;;
    options) find_cc; c price; c check ;;
    kmers) find_cc; c kmers; c merge ;;
    words) find_cc; c words ;;
    kmeans) find_cc; c kmeans ;;
    heat) find_cc; c heat ;;
    reads) find_cc; c map; c coverage ;;
    tree) find_cc; c sum ;;
    # Without libc, and in a single page of memory.
    trivial) find_cc; c trivial -nostdlib -Wl,--initial-memory=65536,--max-memory=65536 ;;
    *) fail "$name has no recipe here" 'fractal, options, kmers, trivial, words, kmeans, heat, reads or tree' ;;
    esac
    popd >/dev/null
done
