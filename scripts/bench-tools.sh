#!/bin/sh
# Installs from Debian what `make bench` needs where it is missing.
set -eu
. "$(dirname "$0")/debian.sh"

debian wrk wrk
debian h2load nghttp2-client
debian nginx nginx-light
debian redis-server redis-server
debian strace strace
