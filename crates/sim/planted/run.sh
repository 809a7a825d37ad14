#!/bin/sh
# Plants known bugs, one at a time, in a copy of the workspace: the rehearsal must find each of them.
# A patch may name a scenario in a line `# scenario: NAME`; without one, worlds are drawn.
#
# usage: planted/run.sh [PATCH…]
# environment: SEEDS (default 0..500), THREADS (default 1), PLANTED_DIR (kept between runs)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${PLANTED_DIR:-$(mktemp -d)}
[ -n "${PLANTED_DIR:-}" ] || trap 'rm -rf "$work"' EXIT
tree=$work/tree
export CARGO_TARGET_DIR="$work/target" CARGO_INCREMENTAL=1
[ $# -gt 0 ] || set -- "$here"/*.patch

# Brings the copy back to the original, and touches only what differs, so that little is built again.
restore() {
    mkdir -p "$tree/crates"
    for part in protocol crates/engine crates/sim; do
        (cd "$root" && find "$part" -type f) | while read -r file; do
            cmp -s "$root/$file" "$tree/$file" || { mkdir -p "$(dirname "$tree/$file")"; cp "$root/$file" "$tree/$file"; }
        done
    done
}
restore
cp "$root/Cargo.lock" "$tree/"
# Only what the rehearsal is made of; built for being built quickly.
sed -e 's|^members = .*|members = ["protocol", "crates/engine", "crates/sim"]|' -e '/^default-members/d' \
    -e 's|^debug = "line.*|debug = false\nopt-level = 1|' -e 's|^\(\[profile.release.package."\*"\]\)|\1\nopt-level = 3|' \
    "$root/Cargo.toml" >"$work/Cargo.toml"
cmp -s "$work/Cargo.toml" "$tree/Cargo.toml" || cp "$work/Cargo.toml" "$tree/Cargo.toml"

missed=0
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    restore
    patch --quiet --no-backup-if-mismatch --strip=1 --directory="$tree" <"$patch"
    (cd "$tree" && cargo build --quiet --release -p sim)
    scenario=$(sed -n 's/^# scenario: //p' "$patch")
    status=0
    said=$("$CARGO_TARGET_DIR/release/sim" --seeds "${SEEDS:-0..500}" --first --threads "${THREADS:-1}" \
        ${scenario:+--scenario "$here/../scenarios/$scenario.toml"}) || status=$?
    if [ "$status" = 1 ] && printf '%s\n' "$said" | grep -q '^seed '; then
        echo "$name: found; $(printf '%s\n' "$said" | grep -m 1 '^seed ' | cut -c 1-160)"
    else
        echo "$name: NOT FOUND (exit code $status)"
        missed=1
    fi
done
exit $missed
