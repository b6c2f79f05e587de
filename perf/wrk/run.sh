#!/usr/bin/env bash
# Durable updates beside the constant server, interleaved: server on CPU 0, wrk on CPU 1.
# Usage: perf/wrk/run.sh [connections] [rounds] [seconds]
set -euo pipefail
cd "$(dirname "$0")/../.."
connections=${1:-64} rounds=${2:-5} seconds=${3:-10}
command -v wrk >/dev/null || { echo "install wrk first: apt-get install wrk" >&2; exit 1; }
cargo build --release --quiet --bins --examples
directory=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null || true; wait "${pids[@]}" 2>/dev/null || true; rm -rf "$directory"; }
trap cleanup EXIT

PORT=18090 taskset -c 0 target/release/examples/constant_server 2>"$directory/constant.log" & pids+=($!)
PORT=18081 METRICS_PORT=19080 BIND_ADDRESS=127.0.0.1 RATE_LIMIT_ENABLED=false \
  DATA_PATH="$directory/inventory.json" EVENTS_FILE_PATH="$directory/events.json" \
  taskset -c 0 target/release/central-inventory 2>"$directory/server.log" & pids+=($!)
for _ in $(seq 100); do curl -sf localhost:18081/health >/dev/null && break; sleep 0.1; done
products=$(seq -f '{"productId":"BENCH-%04g","name":"Bench","available":1000000,"price":9.99}' -s, 1000)
curl -sf -H 'X-API-Key: admin-demo' -H 'Content-Type: application/json' \
  -d "{\"products\":[$products]}" localhost:18081/v1/admin/products/create >/dev/null

measure() { taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" -s perf/wrk/updates.lua "http://127.0.0.1:$1" | tail -1; }
measure 18090 >/dev/null; measure 18081 >/dev/null # warm up
for round in $(seq "$rounds"); do
  echo "round $round constant $(measure 18090)"
  echo "round $round updates  $(measure 18081)"
done | tee "$directory/samples"
awk -v c="$connections" '
  $3=="constant" { constant = $9 }
  $3=="updates" { ratio[++n] = $9 / constant; bad += $7 }
  END {
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (ratio[j] < ratio[i]) { t = ratio[i]; ratio[i] = ratio[j]; ratio[j] = t }
    printf "connections %d: updates/constant min %.2f median %.2f max %.2f, refused %d\n", c, ratio[1], ratio[int((n + 1) / 2)], ratio[n], bad
  }' "$directory/samples"
