#!/usr/bin/env bash
# Fuzzes: run.sh [SECONDS] [TARGET...]. Every target for a minute each, unless told. README.md says what they assert.
# What is found is left in artifacts/TARGET/ and ends the run; what is learnt stays in corpus/TARGET/.
# FUZZ_SEED=N makes the order of inputs the same each time, so that what CI says follows from the change.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
case $seconds in
  '' | *[!0-9]*) echo "usage: run.sh [SECONDS] [TARGET...]" >&2; exit 2 ;;
esac

cargo_fuzz_version=0.13.2
if ! cargo fuzz --version 2>/dev/null | grep -qF "$cargo_fuzz_version"; then
  cargo install cargo-fuzz --locked --version "$cargo_fuzz_version"
fi
# libFuzzer is C++.
if ! command -v c++ >/dev/null; then
  apt-get update -q && apt-get install -y -q g++
fi

# The stable compiler instruments too, if it is told that it may.
export RUSTC_BOOTSTRAP=1
sanitizer=none
if compgen -G "$(rustc --print target-libdir)/librustc-*_rt.asan.a" >/dev/null; then
  sanitizer=address
fi
options=(--fuzz-dir . --sanitizer "$sanitizer" --target-dir "${FUZZ_TARGET_DIR:-target}")

dictionary_of() {
  case $1 in
    config | query) echo "-dict=dictionaries/$1.dict" ;;
    framing | forwarded_for) echo -dict=dictionaries/http.dict ;;
    journal_round_trip) ;; # Its input is no text.
    *) echo -dict=dictionaries/json.dict ;;
  esac
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir .)
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  echo "== $target, $seconds s"
  # A length of 4096 reaches every bound of a value; -timeout finds what grows faster than its input.
  cargo fuzz run "${options[@]}" "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=4096 -seed="${FUZZ_SEED:-0}" \
    $(dictionary_of "$target") -print_final_stats=1
done
