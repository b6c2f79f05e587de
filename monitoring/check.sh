#!/usr/bin/env bash
# Proves that what watches the server is right: first the files by themselves, then with a real Prometheus on a server under load.
#
#   monitoring/check.sh [BINARY]             two minutes of load; without BINARY the debug binary is built and used
#   SHORT=1 monitoring/check.sh [BINARY]     about half a minute, as in CI
#   STATIC=1 monitoring/check.sh             the files only
#
#   LOAD=...       seconds of load
#   PICTURE=...    also draws the dashboard's 33 panels into this PNG (needs chromium)
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/.."

target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d)
started=()
stop() {
  if [ "${#started[@]}" -gt 0 ]; then
    kill "${started[@]}" 2>/dev/null || true
    wait "${started[@]}" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap stop EXIT

# Debian's package is unpacked and not installed, so that no service of the system is made or started.
tools=$target/prometheus/usr/bin
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  tools=$(dirname "$(command -v promtool)")
elif [ ! -x "$tools/promtool" ]; then
  mkdir -p "$target/prometheus"
  download=(apt-get download -q -o APT::Sandbox::User=root prometheus)
  (cd "$work" && { "${download[@]}" 2>/dev/null || { apt-get update -q && "${download[@]}"; }; })
  dpkg --extract "$work"/prometheus_*.deb "$target/prometheus"
fi
promtool=$tools/promtool

echo "== files"
"$promtool" check config monitoring/prometheus/prometheus.yml
"$promtool" test rules monitoring/prometheus/tests/*.yml
python3 monitoring/grafana/dashboard.py --check
python3 monitoring/tools/check_dashboard.py "$work/panels.json"
"$promtool" check rules "$work/panels.json"
if [ -n "${STATIC:-}" ]; then exit; fi

binary=${1:-}
if [ -z "$binary" ]; then
  cargo build --quiet
  binary=$target/debug/central-inventory
fi
binary=$(realpath "$binary")
if [ -n "${SHORT:-}" ]; then load=${LOAD:-25} interval=1s; else load=${LOAD:-120} interval=5s; fi

# Three at once, so that they differ.
read -r port metrics_port prometheus_port < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in sockets])')
wait_for() {
  for _ in $(seq 300); do
    if python3 -c "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])" "$1" 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "$1 did not answer within 30 s" >&2
  cat "$work"/*.log >&2
  exit 1
}

echo "== server"
# Bounds are small where the load is to meet them: waiting polls, connections, kept segments, budgets, remembered updates, stores,
# lines of the log.
# 127.0.0.1 is a proxy, so that the load can come from addresses of every type.
env --chdir="$work" PORT="$port" METRICS_PORT="$metrics_port" BIND_ADDRESS=127.0.0.1 LOG_REQUESTS_PER_SECOND=1 \
  INVENTORY_WORKER_COUNT=4 INVENTORY_ACCEPTOR_COUNT=2 TRUSTED_PROXIES=127.0.0.1 \
  RATE_LIMIT_REQUESTS_PER_MINUTE=6000 RATE_LIMIT_ADMIN_REQUESTS_PER_MINUTE=20 \
  MAX_CONNECTIONS=100 MAX_CONNECTIONS_PER_IP=16 MAX_WAITERS=16 MAX_EVENTS_IN_QUEUE=500 \
  HEADER_TIMEOUT=1s BODY_TIMEOUT=1s WRITE_TIMEOUT=1s IDLE_TIMEOUT=2s \
  JOURNAL_SEGMENT_MIB=1 SNAPSHOT_JOURNAL_MIB=1 EVENTS_RETENTION=1s METRICS_MAX_STORES=8 \
  IDEMPOTENCY_CACHE_TTL=2s IDEMPOTENCY_CACHE_CLEANUP_INTERVAL=1s IDEMPOTENCY_CACHE_MAX_ENTRIES=4096 \
  "$binary" 2>"$work/server.log" &
started+=($!)
wait_for "http://127.0.0.1:$port/health/ready"

sed -e "s/localhost:9080/127.0.0.1:$metrics_port/" -e "s/^  \(scrape\|evaluation\)_interval: .*/  \1_interval: $interval/" \
  -e "s/^  scrape_timeout: .*/  scrape_timeout: 1s/" -e "s|rules/|$PWD/monitoring/prometheus/rules/|" \
  monitoring/prometheus/prometheus.yml >"$work/prometheus.yml"
"$tools/prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --log.level=warn \
  --web.listen-address="127.0.0.1:$prometheus_port" 2>"$work/prometheus.log" &
started+=($!)
wait_for "http://127.0.0.1:$prometheus_port/-/ready"

echo "== $load s of load"
begin=$(date +%s)
timeout $((load + 60)) python3 monitoring/tools/drive.py "http://127.0.0.1:$port" "$load"

echo "== what Prometheus saw"
timeout 120 python3 monitoring/tools/check_live.py "http://127.0.0.1:$prometheus_port" "http://127.0.0.1:$metrics_port/metrics" "$promtool"
if [ -n "${PICTURE:-}" ]; then
  python3 monitoring/tools/render.py "http://127.0.0.1:$prometheus_port" "$begin" "$PICTURE"
fi
for process in "${started[@]}"; do
  if ! kill -0 "$process" 2>/dev/null; then cat "$work"/*.log >&2; echo "server or Prometheus ended by itself" >&2; exit 1; fi
done
