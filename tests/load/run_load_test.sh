#!/usr/bin/env bash
# Loads a server, checks its answers and prints what was seen: inventory-bench, with its options.
#   tests/load/run_load_test.sh --concurrent=50 --duration=60s
# Starts a server of its own, unless --url names one. --help lists the options.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec cargo run --release --quiet --package inventory-bench -- "$@"
