#!/usr/bin/env bash
# Two nodes on a LAN of their own, in network namespaces, must find each other by mDNS alone.
# mDNS skips loopback, so no ordinary test can show this. Needs root and iproute2. DUGNAD names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
dugnad=${DUGNAD:-}
if [ -z "$dugnad" ]; then
  cargo build --release -q -p node
  dugnad=$PWD/${CARGO_TARGET_DIR:-target}/release/dugnad
  case ${CARGO_TARGET_DIR:-} in /*) dugnad=$CARGO_TARGET_DIR/release/dugnad ;; esac
fi

lan=dugnad$$
folder=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || :; done
  for side in a b; do ip netns del "$lan-$side" 2>/dev/null || :; done
  rm -rf "$folder"
}
trap finish EXIT

for side in a b; do
  ip netns add "$lan-$side"
  ip -n "$lan-$side" link set lo up
done
ip link add va netns "$lan-a" type veth peer name vb netns "$lan-b"
for side in a b; do
  address=10.77.0.$([ $side = a ] && echo 1 || echo 2)
  ip -n "$lan-$side" addr add "$address/24" brd + dev v$side
  ip -n "$lan-$side" link set v$side up
  ip -n "$lan-$side" route add default dev v$side
  DUGNAD_NETWORK=$lan DUGNAD_MDNS=true DUGNAD_LISTEN=/ip4/0.0.0.0/tcp/0 \
    ip netns exec "$lan-$side" "$dugnad" --data-dir "$folder/$side" node run 2>"$folder/$side.log" &
  pids+=($!)
done

for _ in $(seq 120); do
  found=$(ip netns exec "$lan-a" "$dugnad" --data-dir "$folder/a" --output json peer list 2>/dev/null || :)
  if grep -q 12D3KooW <<<"$found"; then
    echo "two nodes on a LAN have found each other by mDNS"
    exit 0
  fi
  sleep 0.5
done
echo "two nodes on a LAN did not find each other within 60 s; their last words:"
tail -n 20 "$folder"/*.log
exit 1
