#!/usr/bin/env bash
# net.core.somaxconn under connections that come and go: drops of the listener's queue and rate, in network namespaces in turns.
# Needs root, wrk, curl.    perf/experiments/2026-11-23-accept-queue/run.sh BINARY [ROUNDS] [SECONDS] [CONNECTIONS]
set -euo pipefail
export BINARY=$1 SECONDS_EACH=${3:-5} CONNECTIONS=${4:-2000}
for round in $(seq "${2:-3}"); do
  for somaxconn in 128 4096; do
    SOMAXCONN=$somaxconn ROUND=$round unshare --net bash -euo pipefail <<'NAMESPACE'
ip link set lo up
echo "$SOMAXCONN" >/proc/sys/net/core/somaxconn
data=$(mktemp -d)
PORT=18081 METRICS_PORT=18082 LOG_LEVEL=error DATA_PATH=$data/inventory.json EVENTS_FILE_PATH=$data/events.json \
  taskset -c 0 "$BINARY" &
until curl -sf http://127.0.0.1:18081/health >/dev/null; do sleep 0.1; done
said=$(taskset -c 1 wrk -t1 -c"$CONNECTIONS" -d"${SECONDS_EACH}s" --latency -H 'Connection: close' http://127.0.0.1:18081/health/live)
drops=$(nstat -asz TcpExtListenDrops | awk '/ListenDrops/ { print $2 }')
rate=$(awk '/Requests\/sec/ { print $2 }' <<<"$said")
p99=$(awk '/ 99%/ { print $2 }' <<<"$said")
errors=$(grep 'Socket errors' <<<"$said" || echo "no errors")
echo "round $ROUND somaxconn $SOMAXCONN drops $drops requests/s $rate p99 $p99 $errors"
kill %1
wait %1
rm -r "$data"
NAMESPACE
  done
done
