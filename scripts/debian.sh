# Sourced by the scripts that install tools.

say() { echo "$(basename "$0" .sh): $*"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

debian() { # debian PROGRAM PACKAGE...: installs the packages where PROGRAM is missing
	program=$1
	shift
	command -v "$program" >/dev/null 2>&1 && return
	[ -x "/usr/sbin/$program" ] && return
	say "installing $* from Debian"
	as_root apt-get update -q
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}
