#!/bin/sh
# Plants known bugs, one at a time, in a copy of the workspace: the rehearsal must find each of them.
#
# usage: planted/run.sh [PATCH…]      environment: SEEDS (default 0..500), CARGO_TARGET_DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$work/target}"
[ $# -gt 0 ] || set -- "$here"/*.patch
missed=0
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    rm -rf "$work/tree" && mkdir -p "$work/tree/crates"
    cp -r "$root/protocol" "$root/Cargo.toml" "$root/Cargo.lock" "$work/tree/"
    cp -r "$root/crates/engine" "$root/crates/sim" "$work/tree/crates/"
    # Only what the rehearsal is made of.
    sed -i -e 's|^members = .*|members = ["protocol", "crates/engine", "crates/sim"]|' -e '/^default-members/d' "$work/tree/Cargo.toml"
    patch --quiet --strip=1 --directory="$work/tree" <"$patch"
    (cd "$work/tree" && cargo build --quiet --release -p sim)
    status=0
    said=$("$CARGO_TARGET_DIR/release/sim" --seeds "${SEEDS:-0..500}" --first --threads 2) || status=$?
    if [ "$status" = 1 ]; then
        echo "$name: found; $(printf '%s\n' "$said" | grep -m 1 '^seed ' | cut -c 1-160)"
    else
        echo "$name: NOT FOUND (exit code $status)"
        missed=1
    fi
done
exit $missed
