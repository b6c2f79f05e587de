#!/usr/bin/env bash
# inventory-bench beside wrk on one server, interleaved: closed loop, the same connections, the same requests.
# Usage: run.sh [connections] [rounds] [seconds]
set -euo pipefail
cd "$(dirname "$0")/../../.."
connections=${1:-64} rounds=${2:-7} seconds=${3:-5}
command -v wrk >/dev/null || { echo "install wrk first: apt-get install wrk" >&2; exit 1; }
cargo build --release --quiet -p central-inventory -p inventory-bench --bins
target=${CARGO_TARGET_DIR:-target}/release
directory=$(mktemp -d)
PORT=18081 METRICS_PORT=19080 BIND_ADDRESS=127.0.0.1 RATE_LIMIT_ENABLED=false \
  DATA_PATH="$directory/inventory.json" EVENTS_FILE_PATH="$directory/events.json" \
  taskset -c 0 "$target/central-inventory" 2>"$directory/server.log" & server=$!
cleanup() { kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$directory"; }
trap cleanup EXIT
for _ in $(seq 100); do curl -sf localhost:18081/health >/dev/null && break; sleep 0.1; done
products=$(seq -f '{"productId":"BENCH-%04g","name":"Bench","available":1000000,"price":9.99}' -s, 1000)
curl -sf -H 'X-API-Key: admin-demo' -H 'Content-Type: application/json' \
  -d "{\"products\":[$products]}" localhost:18081/v1/admin/products/create >/dev/null

wrk_rate() { taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" -s "perf/wrk/$1.lua" http://127.0.0.1:18081 | awk '/rate/ {print $6}'; }
bench_rate() {
  "$target/inventory-bench" --url 127.0.0.1:18081 --cpus 1 --preset "$1" --closed --no-verify -c "$connections" -d "${seconds}s" \
    --warm-up 500ms --products 1000 --json - 2>/dev/null |
    jq '.phases[0] | ([.kinds[] | .count] | add) / .seconds | floor'
}
for round in $(seq "$rounds"); do
  echo "updates $(wrk_rate updates) $(bench_rate any-version)"
  echo "reads $(wrk_rate reads) $(bench_rate reads)"
done | tee "$directory/samples" | sed 's/^/wrk, bench: /'
for kind in updates reads; do
  awk -v k=$kind '$1 == k { print $3 / $2 }' "$directory/samples" | sort -n | awk -v k=$kind '
    { r[NR] = $1 } END { printf "%s: bench/wrk min %.2f median %.2f max %.2f\n", k, r[1], r[int((NR + 1) / 2)], r[NR] }'
done
