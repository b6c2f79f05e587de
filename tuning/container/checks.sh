# The checks: each a function that fails with a reason on standard error, and may print what it measured. Sourced by `test`.
# shellcheck shell=bash disable=SC2154,SC2046,SC2069,SC2016

IMAGE=localhost/central-inventory-api
SERVER=/usr/local/bin/central-inventory
OPTION=seccomp=$here/seccomp.json
# What the README's `docker run` has, on ports that are free.
PUBLISHED=(--publish 127.0.0.1::8081 --publish 127.0.0.1::9080 --security-opt "$OPTION")
PRODUCT=/v1/inventory/PROD-001

all_checks() {
  passed=0 failed=0 skipped=0
  check "the image says who it is, how it runs, stops and is healthy" image_settings
  check "the image has one program, and no shell" image_content
  check "seccomp.json is the engine's default and io_uring" "$here/seccomp" --check
  check "as shipped, over HTTP: health, update, read, metrics" as_shipped
  check "the engine's health check tells healthy from not" health_check
  check "doctor finds nothing fatal" doctor
  check "doctor names what is fatal: no io_uring, too little locked memory" doctor_finds
  check "with a read-only root, no capabilities, no new privileges" locked_down
  check "without the seccomp option, where io_uring is refused with ENOSYS (podman)" refused_by 38
  check "without the seccomp option, where io_uring is refused with EPERM (docker)" refused_by 1
  check "with 512 KiB of locked memory" memlock_least
  check "with 1 byte less" memlock_below
  check "with 1024 open files" few_files
  check "stopped by the engine" stopped
  check "a named volume: state and idempotency outlast a new container" new_container
  check "killed and started again" killed
  check "a second server on the same volume is refused" second_server
  check "as another user, with a volume that is his" other_user
  check "as another user, with a volume that he cannot write" unwritable_volume
  check "on CPU $(last_cpu) alone" one_cpu
  check "with a quota of half a CPU" quota
  check "with 256 MiB of memory" little_memory
  check "data on tmpfs" data_on_tmpfs
  check "data on a file system without direct I/O (ramfs)" data_on_ramfs
  check "on the host's network, by IPv6 alone" ipv6_address
  check "in a network without IPv4" ipv6_network
  check "compose files are valid" compose_valid
  check "Prometheus asks the server of compose.yaml, and is otherwise that of monitoring/" compose_prometheus
  check "docker-compose.test.yml starts a server to test against" compose_up
  echo "$passed passed, $failed failed${skipped:+$([ "$skipped" = 0 ] || echo ", $skipped skipped")}"
  [ "$failed" = 0 ] && echo 0 >"$work/outcome" || echo 1 >"$work/outcome"
}

# Seconds that a check may take; the longest takes 10 on two CPUs.
CHECK_MAX=120

# Runs one check apart from the others, and removes what it started.
check() {
  local what=$1 status checking measured
  shift
  case $what in *"$only"*) ;; *) return 0 ;; esac
  (trap - EXIT; set -e; "$@") >"$work/measured" 2>"$work/why" &
  checking=$!
  if ! wait_until "$CHECK_MAX" is_done "$checking"; then
    echo "not done after $CHECK_MAX s" >>"$work/why"
    kill "$checking"
  fi
  status=0
  wait "$checking" || status=$?
  measured=$(<"$work/measured")
  case $status in
    0) passed=$((passed + 1)); echo "ok $what${measured:+ - $(tail -1 <<<"$measured")}" ;;
    77) skipped=$((skipped + 1)); echo "skipped $what: $(tail -1 "$work/why")" ;;
    *) failed=$((failed + 1)); echo "FAILED $what: $(tail -1 "$work/why")"; tail -15 "$work/why" | sed 's/^/  | /' >&2 ;;
  esac
  containers=$(engine ps --all --quiet)
  # shellcheck disable=SC2086
  [ -z "$containers" ] || engine rm --force --volumes $containers >/dev/null 2>&1 || true
}

is_done() { ! kill -0 "$1" 2>/dev/null; }
fail() { echo "$1" >&2; exit 1; }
skip() { echo "$1" >&2; exit 77; }

# --- what containers are asked

# start NAME [options of run]... - waits until the server is ready.
start() {
  local name=$1
  shift
  engine run --detach --name "$name" "${PUBLISHED[@]}" "$@" "$IMAGE" >/dev/null
  ready "$name"
}

ready() {
  # Within 20 s, also on half a CPU.
  wait_until 20 healthy_or_ended "$1" || fail "$1 is not ready: $(errors "$1" | tail -3)"
  running "$1" || fail "$1 ended: $(errors "$1" | tail -3)"
}

healthy_or_ended() {
  running "$1" || return 0
  get "$1" 8081 /health 2>/dev/null | grep -q '"status":"healthy"'
}

running() { [ "$(engine inspect --format '{{.State.Running}}' "$1")" = true ]; }
exit_code() { engine inspect --format '{{.State.ExitCode}}' "$1"; }
errors() { engine logs "$1" 2>&1 >/dev/null; }
process() { engine inspect --format '{{.State.Pid}}' "$1"; }

# get NAME PORT PATH [options of curl]...
get() {
  local address
  address=$(engine port "$1" "$2/tcp" | head -1)
  ask --fail --header 'X-API-Key: demo' "http://$address$3" "${@:4}"
}

# sell NAME VERSION KEY - takes one of the product; prints the answer.
sell() {
  local body="{\"storeId\":\"store-s1\",\"productId\":\"PROD-001\",\"delta\":-1,\"version\":$2,\"idempotencyKey\":\"$3\"}"
  get "$1" 8081 /v1/inventory/updates --header 'Content-Type: application/json' --data "$body"
}

contains() { grep -qF -- "$2" <<<"$1" || fail "no $2 in: $1"; }
equal() { [ "$1" = "$2" ] || fail "$3: $2 expected, $1 found"; }

# refused NAME TEXT [options]... - the server ends with an error whose first line has the text; prints that line.
refused() {
  local name=$1 text=$2 code first
  shift 2
  engine run --detach --name "$name" "$@" "$IMAGE" >/dev/null
  wait_until 20 ended "$name" || fail "it runs"
  code=$(exit_code "$name")
  # What is no line of the log, which begins with {, is said to a person.
  first=$(errors "$name" | grep -v '^{' | head -1)
  [ "$code" != 0 ] || fail "it ended with 0: $first"
  contains "$first" "$text"
  echo "exit $code: $first"
}

ended() { ! running "$1"; }

# limited NAME=SOFT:HARD - the options for that limit. podman forgets those of its configuration as soon as one is named, and
# would set the others to what it may not here.
limited() {
  echo "--ulimit $1"
  [ "$engine" = podman ] || return 0
  grep -oE '(nofile|nproc)=[0-9:]+' "$CONTAINERS_CONF" | grep -v "^${1%%=*}=" | sed 's/^/--ulimit /'
}

# --- the image

image_settings() {
  local it
  it=$(engine image inspect "$IMAGE" | jq -c '.[0] | .Config + {Healthcheck: (.Config.Healthcheck // .Healthcheck)}')
  equal "$(jq -r .User <<<"$it")" 65532:65532 "the user"
  equal "$(jq -rc .Entrypoint <<<"$it")" "[\"$SERVER\"]" "the entry point"
  equal "$(jq -rc .Healthcheck.Test <<<"$it")" "[\"CMD\",\"$SERVER\",\"healthcheck\"]" "the health check"
  equal "$(jq -rc '.Volumes | keys' <<<"$it")" '["/data"]' "the volume"
  equal "$(jq -rc '.ExposedPorts | keys' <<<"$it")" '["8081/tcp","9080/tcp"]' "the ports"
  case $(jq -r .StopSignal <<<"$it") in SIGTERM | 15) ;; *) fail "the stop signal" ;; esac
  for label in title description licenses version revision source; do
    jq -e ".Labels[\"org.opencontainers.image.$label\"] | length > 0" <<<"$it" >/dev/null || fail "the label $label"
  done
  echo "$(($(engine image inspect --format '{{.Size}}' "$IMAGE") / 1000000)) MB"
}

image_content() {
  local files programs
  engine create --name content "$IMAGE" >/dev/null
  engine export content >"$work/content.tar"
  files=$(tar -tf "$work/content.tar")
  rm "$work/content.tar"
  programs=$(grep -E '^(usr/)?(local/)?s?bin/.' <<<"$files" | grep -vE '/$' || true)
  equal "$programs" usr/local/bin/central-inventory "programs"
  ! grep -E '(^|/)(sh|bash|dash|busybox|perl|python[0-9.]*|apt|dpkg)$' <<<"$files" >&2 || fail "there is a shell or the like"
  for license in LICENSE-APACHE LICENSE-MIT; do contains "$files" "usr/share/doc/central-inventory/$license"; done
}

# --- a server

as_shipped() {
  local answer process
  start shipped
  contains "$(sell shipped 1 key-1)" '"newQuantity":119,"newVersion":2,"applied":true'
  contains "$(get shipped 8081 "$PRODUCT")" '"available":119,"version":2'
  contains "$(get shipped 8081 "/v1/inventory/events?offset=0")" '"nextOffset":1'
  contains "$(get shipped 9080 /metrics)" inventory_updates_processed_total
  process=$(process shipped)
  equal "$(awk '/^Uid:/ {print $2, $3, $4, $5}' "/proc/$process/status")" "65532 65532 65532 65532" "user ids"
  # 2 is a filter: a profile judges its calls.
  equal "$(awk '/^Seccomp:/ {print $2}' "/proc/$process/status")" 2 "seccomp"
  answer=$(get shipped 8081 /health)
  contains "$answer" '"durable":true'
}

health_check() {
  start healthy
  if [ "$engine" = podman ]; then
    engine healthcheck run healthy >&2 || fail "not healthy"
  else
    wait_until 20 eval '[ "$(engine inspect --format "{{.State.Health.Status}}" healthy)" = healthy ]' || fail "not healthy"
  fi
  # Where nobody answers, or too late.
  if engine exec --env PORT=1 healthy "$SERVER" healthcheck >&2; then fail "healthy where nobody answers"; fi
}

doctor() {
  start examined
  engine exec examined "$SERVER" doctor >&2
}

# What it says is kept: with --record in docs/doctor-in-containers.txt.
doctor_finds() {
  local said
  refusing_profile 1
  : >"$work/doctor.txt"
  said=$(diagnosed --security-opt "seccomp=$work/default.json")
  contains "$said" "FAILED   io_uring"
  contains "$said" "--security-opt seccomp=tuning/container/seccomp.json"
  said=$(diagnosed --security-opt "$OPTION" $(limited memlock=262144:262144))
  contains "$said" "FAILED   locked memory"
  said=$(diagnosed --security-opt "$OPTION" --cpus 0.5 --tmpfs /data)
  contains "$said" "advice   CPU quota"
}

# diagnosed OPTION... - what doctor says in a container run so.
diagnosed() {
  local shown="${*//$here/tuning\/container}"
  shown=${shown//"$work/default.json"/the engine\'s default}
  {
    echo "\$ $engine run --rm $shown central-inventory-api doctor"
    engine run --rm "$@" "$IMAGE" doctor || true
    echo
  } 2>&1 | tee -a "$work/doctor.txt"
}

locked_down() {
  local status
  start locked --read-only --cap-drop ALL --security-opt no-new-privileges
  contains "$(sell locked 1 key-1)" '"applied":true'
  status=$(cat "/proc/$(process locked)/status")
  contains "$status" "$(printf 'NoNewPrivs:\t1')"
  contains "$status" "$(printf 'CapBnd:\t0000000000000000')"
  if engine exec locked "$SERVER" snapshot export /tmp/x >/dev/null 2>&1; then fail "it could write to /tmp"; fi
}

# The default profile, with that error for calls that it does not list.
refusing_profile() {
  jq ".defaultErrnoRet = $1 | del(.defaultErrno)" /usr/share/containers/seccomp.json >"$work/default.json"
}

refused_by() {
  refusing_profile "$1"
  refused refused "--security-opt seccomp=tuning/container/seccomp.json" --security-opt "seccomp=$work/default.json"
}

memlock_least() {
  start memlock $(limited memlock=524288:524288)
  contains "$(sell memlock 1 key-1)" '"applied":true'
}

memlock_below() { refused memlock "--ulimit memlock" --security-opt "$OPTION" $(limited memlock=524287:524287); }

few_files() {
  start files $(limited nofile=1024:1024)
  contains "$(sell files 1 key-1)" '"applied":true'
  contains "$(errors files)" "Fewer files may be open"
}

stopped() {
  local began took
  start stopping
  sell stopping 1 key-1 >/dev/null
  began=$(date +%s%N)
  engine stop --time 10 stopping >/dev/null
  took=$((($(date +%s%N) - began) / 1000000))
  equal "$(exit_code stopping)" 0 "the exit code"
  contains "$(errors stopping)" '"Stopped"'
  echo "after $took ms, exit code 0"
}

new_container() {
  local first
  engine volume create goods >/dev/null
  start before --volume goods:/data
  first=$(sell before 1 key-1)
  engine stop --time 10 before >/dev/null
  engine rm before >/dev/null
  start after --volume goods:/data
  contains "$(get after 8081 "$PRODUCT")" '"available":119,"version":2'
  equal "$(sell after 1 key-1)" "$first" "the answer to the same update"
  contains "$(get after 8081 "$PRODUCT")" '"available":119,"version":2'
  engine rm --force after >/dev/null 2>&1
  engine volume rm goods >/dev/null
}

killed() {
  local first
  start killed
  first=$(sell killed 1 key-1)
  engine kill --signal KILL killed >/dev/null
  wait_until 10 ended killed
  equal "$(exit_code killed)" 137 "the exit code"
  engine start killed >/dev/null
  ready killed
  equal "$(sell killed 1 key-1)" "$first" "the answer to the same update"
  contains "$(sell killed 2 key-2)" '"newQuantity":118,"newVersion":3,"applied":true'
}

second_server() {
  engine volume create shared >/dev/null
  start first --volume shared:/data
  refused second "/data is in use by another" --security-opt "$OPTION" --volume shared:/data
  engine rm --force first second >/dev/null 2>&1
  engine volume rm shared >/dev/null
}

# --- users, CPUs, memory, file systems, networks

other_user() {
  install -d -o 1234 -g 1234 -m 700 "$work/his"
  start other --user 1234:1234 --volume "$work/his:/data"
  contains "$(sell other 1 key-1)" '"applied":true'
  equal "$(stat -c %u "$work/his/events.json")" 1234 "the owner of the journal"
}

unwritable_volume() {
  install -d -m 755 "$work/not-his"
  refused unwritable "/data: Permission denied (os error 13): give it to user 1234" --security-opt "$OPTION" --user 1234:1234 --volume "$work/not-his:/data"
}

last_cpu() { awk -F'[-,]' '/^Cpus_allowed_list:/ {sub(/.*\t/, ""); n = split($0, cpus, /[-,]/); print cpus[n]}' /proc/self/status; }

one_cpu() {
  start pinned --cpuset-cpus "$(last_cpu)"
  contains "$(sell pinned 1 key-1)" '"applied":true'
  equal "$(cpus_of pinned)" "$(last_cpu)" "CPUs of its threads"
  executors pinned
}

# The last line of the plan: how many there are of what.
executors() { engine exec "$1" "$SERVER" plan | tail -1; }

# Which CPUs its threads may use, each set once.
cpus_of() { cat "/proc/$(process "$1")"/task/*/status | awk '/^Cpus_allowed_list:/ {print $2}' | sort -u | paste -sd' '; }

quota() {
  start slow --cpus 0.5
  contains "$(sell slow 1 key-1)" '"applied":true'
  equal "$(cpus_of slow)" "$(awk '/^Cpus_allowed_list:/ {print $2}' /proc/self/status)" "CPUs of its threads (none is pinned)"
  executors slow
}

little_memory() {
  start small --memory 256m
  contains "$(sell small 1 key-1)" '"applied":true'
  echo "$(($(awk '/^VmRSS:/ {print $2}' "/proc/$(process small)/status") / 1024)) MiB resident"
}

data_on_tmpfs() {
  start tmpfs --read-only --mount type=bind,source="$(mounted tmpfs)",target=/data
  contains "$(sell tmpfs 1 key-1)" '"applied":true'
}

data_on_ramfs() {
  start ramfs --mount type=bind,source="$(mounted ramfs)",target=/data
  contains "$(sell ramfs 1 key-1)" '"applied":true'
  errors ramfs | grep -io '"msg":"[^"]*direct[^"]*"' || fail "the log does not say so"
}

# A file system of that kind, for the user of the image.
mounted() {
  mkdir "$work/$1"
  mount -t "$1" none "$work/$1"
  chown 65532:65532 "$work/$1"
  echo "$work/$1"
}

ipv6_address() {
  local at='http://[::1]:18081'
  engine run --detach --name six --network host --security-opt "$OPTION" --env PORT=18081 --env METRICS_PORT=19080 \
    --env BIND_ADDRESS=::1 "$IMAGE" >/dev/null
  wait_until 20 eval "ask --fail $at/health >/dev/null 2>&1" || fail "$(errors six | tail -3)"
  ask --fail 'http://[::1]:19080/metrics' >/dev/null
  engine exec six "$SERVER" healthcheck >&2
  if ask 'http://127.0.0.1:18081/health' >/dev/null 2>&1; then fail "it answers by IPv4"; fi
}

ipv6_network() {
  local address
  [ "$engine" = podman ] || skip "docker's bridges always have IPv4"
  engine network create --subnet fd00:7e57::/64 six >/dev/null
  engine run --detach --name six --network six --security-opt "$OPTION" --env BIND_ADDRESS=:: "$IMAGE" >/dev/null
  address=$(engine inspect --format '{{.NetworkSettings.Networks.six.GlobalIPv6Address}}' six)
  wait_until 20 eval "ask --fail 'http://[$address]:8081/health' >/dev/null 2>&1" || fail "$(errors six | tail -3)"
  engine exec six "$SERVER" healthcheck >&2
  ! nsenter --net="/proc/$(process six)/ns/net" ip -4 -o address | grep -v ' lo ' >&2 || fail "there is IPv4"
  engine rm --force six >/dev/null 2>&1
  engine network rm six >/dev/null
}

# --- compose

compose_valid() {
  command -v docker-compose >/dev/null || skip "docker-compose is missing"
  # Profiles are looked for where the command is given.
  (cd "$repository" && docker-compose -f docker-compose.test.yml config --quiet >&2)
  (cd "$here" && docker-compose config >"$work/compose")
  # What is mounted exists.
  grep -oE "^ *- ${repository}[^:]*" "$work/compose" | sed 's/^ *- //' >"$work/mounted"
  [ -s "$work/mounted" ] || fail "nothing is mounted"
  while read -r path; do [ -e "$path" ] || fail "$path is missing"; done <"$work/mounted"
}

compose_prometheus() {
  sed 's/localhost:9080/central-inventory:9080/' "$repository/monitoring/prometheus/prometheus.yml" | diff - "$here/prometheus.yml" >&2
}

compose_up() {
  local compose address
  export CENTRAL_INVENTORY_PORT=28081 CENTRAL_INVENTORY_METRICS_PORT=29080
  cd "$repository"
  compose=$(compose_program)
  # The image is there: nothing is built.
  inside "$compose" -f docker-compose.test.yml up -d --no-build >&2
  wait_until 20 eval 'ask --fail http://127.0.0.1:28081/health >/dev/null 2>&1' || fail "not ready"
  for ((i = 0; i < 150; i++)); do
    ask --fail --header 'X-API-Key: demo' "http://127.0.0.1:28081$PRODUCT" >/dev/null || fail "read $i of more than a minute's budget"
  done
  inside "$compose" -f docker-compose.test.yml down --volumes >&2
}

# What reads a compose file for this engine: podman-compose comes from PyPI, into the cache.
compose_program() {
  if [ "$engine" = docker ]; then
    command -v docker-compose || skip "docker-compose is missing"
    return
  fi
  if [ ! -x "$cache/podman-compose/bin/podman-compose" ]; then
    python3 -m venv "$cache/podman-compose" >&2
    "$cache/podman-compose/bin/pip" install --quiet podman-compose >&2 || skip "podman-compose cannot be had"
  fi
  echo "$cache/podman-compose/bin/podman-compose"
}
