# A container engine of the test's own: its storage in the cache or in a temporary directory, its networks in a namespace.
# Sourced by `test`, which sets engine, cache and work.
# shellcheck shell=bash disable=SC2154

# What both engines need before images are built.
engine_prepare() {
  local need=(buildah curl jq ip iptables nsenter)
  case $engine in
    podman) need+=(podman crun conmon) ;;
    docker) need+=(dockerd containerd runc); docker_client=$(real_docker) ;;
  esac
  for command in "${need[@]}"; do
    command -v "$command" >/dev/null || die "$command is missing: see --help"
  done
  # crun refuses a tree of both versions of cgroups: ours is of the first. podman writes there nevertheless.
  if mountpoint -q /sys/fs/cgroup/unified; then
    umount /sys/fs/cgroup/unified
    mount -t tmpfs none /sys/fs/cgroup/unified
  fi
  # Containers lie below one control group, which the engine leaves behind: empty, and ours if it was not there before.
  case $engine in podman) group=libpod_parent ;; docker) group=docker ;; esac
  [ -n "$(groups_of_engine)" ] || own_group=1
  storage_settings
}

storage_settings() {
  local files processes
  files=$(ulimit -Hn)
  # podman lowers its own limit to this before it starts a container, and cannot raise it again where it may not.
  processes=32768
  cat >"$work/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$cache/storage"
runroot = "$work/run"
END
  cat >"$work/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "$work/libpod"
volume_path = "$work/volumes"
static_dir = "$work/static"
runtime = "crun"
END
  export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
  # There is no systemd to run health checks: the test asks for them.
  export DISABLE_HC_SYSTEMD=true
  # The builder's caches of crates and of compiled code.
  mkdir -p "$cache/tmp"
  export TMPDIR=$cache/tmp
}

# From here on in a network of our own, whose loopback is the only way in or out.
engine_start() {
  export TMPDIR=$work
  unshare --net sleep infinity &
  network_holder=$!
  wait_until 5 own_network_exists
  inside ip link set lo up
  [ "$engine" = podman ] && return
  local archive=
  if buildah inspect --type image localhost/central-inventory-api >/dev/null 2>&1 && [ -n "$binary" ]; then
    archive=$work/image.tar
    buildah push -q localhost/central-inventory-api "docker-archive:$archive:localhost/central-inventory-api:latest" >&2
  fi
  docker_start inside
  if [ -n "$archive" ]; then
    engine load -q -i "$archive" >/dev/null
    rm "$archive"
    # As the compose files call it.
    engine tag localhost/central-inventory-api central-inventory-api
  fi
}

own_network_exists() {
  [ "$(readlink "/proc/$network_holder/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

inside() {
  nsenter --net="/proc/$network_holder/ns/net" "$@"
}

engine() {
  case $engine in
    podman) inside podman "$@" ;;
    docker) "$docker_client" "$@" ;;
  esac
}

# Asks over HTTP, from the network that the containers are published in.
ask() {
  inside curl -sS --max-time 10 "$@"
}

engine_describe() {
  local version runtime
  case $engine in
    podman) version=$(podman --version) runtime=$(crun --version | head -1) ;;
    docker) version="docker $("$docker_client" version --format '{{.Server.Version}}')" runtime=$(runc --version | head -1) ;;
  esac
  local cgroups=v1
  [ -e /sys/fs/cgroup/cgroup.controllers ] && cgroups=v2
  echo "$version, $runtime, kernel $(uname -r | cut -d- -f1), cgroups $cgroups, $(nproc) CPUs, $(date -u +%F)"
}

engine_stop() {
  if [ "$engine" = podman ]; then
    podman rm --all --force --time 0 >/dev/null 2>&1
    podman volume rm --all --force >/dev/null 2>&1
  elif [ -n "${docker_daemon:-}" ]; then
    engine ps --all --quiet | xargs -r "$docker_client" rm --force --volumes >/dev/null 2>&1
    docker_stop
  fi
  if [ "${own_group:-}" = 1 ]; then wait_until 5 groups_are_gone; fi
  if [ -n "${network_holder:-}" ]; then kill "$network_holder"; wait "$network_holder"; fi 2>/dev/null
  # The namespace of mounts ends with this process; its own are taken away first, so that the directory can be removed.
  grep -o " $work/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount --lazy
}

# One directory for each controller, or one in all.
groups_of_engine() {
  find /sys/fs/cgroup -maxdepth 2 -type d -name "$group" ! -path '*/unified/*'
}

# The last process of a group may take a moment to end.
groups_are_gone() {
  groups_of_engine | while read -r path; do find "$path" -depth -type d -exec rmdir {} ';' 2>/dev/null; done
  [ -z "$(groups_of_engine)" ]
}

# --- docker

# The client itself: some machines have a program of another kind by its name.
real_docker() {
  local candidate
  for candidate in $(type -ap docker); do
    if "$candidate" --version 2>/dev/null | grep -q '^Docker version'; then echo "$candidate"; return; fi
  done
  die "docker is missing: see --help"
}

# dockerd, its storage in the cache. With `inside`, in our own network, with bridges and port mappings.
docker_start() {
  local prefix=() network=(--bridge=none --iptables=false --ip6tables=false) files
  files=$(ulimit -Hn)
  if [ "${1:-}" = inside ]; then prefix=(nsenter --net="/proc/$network_holder/ns/net") network=(); fi
  echo "{}" >"$work/daemon.json"
  export DOCKER_HOST=unix://$work/docker.sock
  "${prefix[@]}" dockerd --host "$DOCKER_HOST" --data-root "$cache/docker" --exec-root "$work/docker" --pidfile "$work/docker.pid" \
    --config-file "$work/daemon.json" --default-ulimit "nofile=$files:$files" "${network[@]}" >"$work/dockerd.log" 2>&1 9>&- &
  docker_daemon=$!
  wait_until 30 engine version >/dev/null 2>&1 || { tail -5 "$work/dockerd.log" >&2; die "dockerd does not start"; }
}

docker_stop() {
  kill "$docker_daemon" && wait "$docker_daemon"
  docker_daemon=
}

docker_build() {
  local base
  docker_start
  for base in runtime builder; do
    base=localhost/central-inventory-$base
    engine image inspect "$base" >/dev/null 2>&1 && continue
    buildah push -q "$base" "docker-archive:$work/base.tar:$base:latest" >&2
    engine load -q -i "$work/base.tar" >/dev/null
    rm "$work/base.tar"
  done
  buildkit "$@"
  docker_stop
}

# What `docker build` asks dockerd's BuildKit, over its interface, since its client is a plugin that Debian does not have. The
# context is what .dockerignore lets through, which the client would judge.
buildkit() {
  local arguments='{}' query answer=$work/buildkit
  while [ $# -gt 0 ]; do
    arguments=$(jq -c --arg it "$2" '. + {($it | split("=")[0]): ($it | split("=")[1])}' <<<"$arguments")
    shift 2
  done
  query="version=2&networkmode=host&t=localhost/central-inventory-api&t=central-inventory-api&buildargs=$(jq -r @uri <<<"$arguments")"
  (cd "$repository" && sed -n 's/^!//p' .dockerignore | tar --create --files-from - Dockerfile) |
    curl -sS --unix-socket "$work/docker.sock" --header 'Content-Type: application/x-tar' --data-binary @- \
      "http://docker/build?$query" >"$answer"
  if ! jq -se 'any(.id == "moby.image.id")' "$answer" >/dev/null; then
    jq -r 'select(.error).error' "$answer" | tail -3 >&2
    die "the image could not be built"
  fi
}
