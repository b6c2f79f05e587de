#!/usr/bin/env bash
# Asks the real server everything that schemathesis can think of from /openapi.json, and validates that document.
#
#   tests/schemathesis/run.sh                a long run, some ten minutes or more
#   SHORT=1 tests/schemathesis/run.sh        about a minute, as in CI
#
#   SEED=...        repeats a run (printed at the start)
#   EXAMPLES=...    cases of an operation in the fuzzing phase
#   BINARY=...      the server to ask; otherwise the debug binary is built and used
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
tools=$target/schemathesis
if [ ! -x "$tools/bin/st" ] || ! cmp -s tests/schemathesis/requirements.txt "$tools/requirements.txt"; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement tests/schemathesis/requirements.txt
  cp tests/schemathesis/requirements.txt "$tools/requirements.txt"
fi

if [ -z "${BINARY:-}" ]; then
  cargo build --quiet
  BINARY=$target/debug/central-inventory
fi

free_port() { "$tools/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

work=$(mktemp -d)
server=
stop() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap stop EXIT

port=$(free_port)
env --chdir="$work" PORT="$port" METRICS_PORT="$(free_port)" BIND_ADDRESS=127.0.0.1 RATE_LIMIT_ENABLED=false \
  INVENTORY_WORKER_COUNT=2 INVENTORY_ACCEPTOR_COUNT=2 LOG_LEVEL=warn \
  "$(realpath "$BINARY")" 2>"$work/log" &
server=$!
base=http://127.0.0.1:$port
"$tools/bin/python" - "$base" "$server" <<'PYTHON'
import os, sys, time, urllib.request
base, server = sys.argv[1], int(sys.argv[2])
for _ in range(600):
    os.kill(server, 0)
    try:
        sys.exit(urllib.request.urlopen(base + "/health/ready").status != 200)
    except OSError:
        time.sleep(0.05)
sys.exit("the server was not ready within 30 s")
PYTHON

curl --silent --show-error --fail "$base/openapi.json" >"$work/openapi.json"
"$tools/bin/openapi-spec-validator" --schema 3.1 "$work/openapi.json"

SEED=${SEED:-$RANDOM$RANDOM}
if [ -n "${SHORT:-}" ]; then EXAMPLES=${EXAMPLES:-15}; else EXAMPLES=${EXAMPLES:-1000}; fi
echo "seed $SEED, $EXAMPLES examples an operation, $("$BINARY" --version), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
status=0
cd tests/schemathesis
"$tools/bin/st" --config-file schemathesis.toml run "$base/openapi.json" \
  --phases examples,coverage,fuzzing,stateful --checks all --seed "$SEED" --max-examples "$EXAMPLES" \
  --report json --report-json-path "$work/report.json" || status=$?
if ! kill -0 "$server" 2>/dev/null; then
  echo "the server ended:" && cat "$work/log" && exit 1
fi
exit "$status"
