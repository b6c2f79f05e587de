# What `check` and `apply` share: the settings of sysctl.d/90-central-inventory.conf, and when one is good enough.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # both are for those who source this file
SYSCTL_FILE=$HERE/sysctl.d/90-central-inventory.conf
# shellcheck disable=SC2034
LIMITS_FILE=$HERE/limits.d/90-central-inventory.conf

# Of these, more is as good: nothing that is larger is lowered.
AT_LEAST=" net.core.somaxconn net.ipv4.tcp_syncookies fs.nr_open fs.file-max "

# `key value` lines of a file for sysctl.
settings() {
  sed -n 's/^\([a-z0-9_.-]*\) *= *\(.*\)$/\1 \2/p' "$1"
}

# sysctl_path ROOT KEY: the file of that setting.
sysctl_path() {
  printf '%s/proc/sys/%s' "${1%/}" "${2//.//}"
}

# sysctl_value ROOT KEY: its value; nothing where the kernel has no such setting, or does not show it.
sysctl_value() {
  local value
  value=$(cat "$(sysctl_path "$1" "$2")" 2>/dev/null) && printf '%s' "${value//$'\t'/ }"
}

is_at_least() {
  [[ $AT_LEAST == *" $1 "* ]]
}

# is_more KEY FOUND WANTED: larger than wanted, and as good. Numbers may be beyond what the shell can count (fs.file-max).
is_more() {
  is_at_least "$1" && [ "$2" != "$3" ] && [ "$(printf '%s\n%s\n' "$2" "$3" | sort -n | tail -1)" = "$2" ]
}

# is_good KEY FOUND WANTED
is_good() {
  [ "$2" = "$3" ] || is_more "$@"
}
