#!/bin/sh
# alive.sh WHAT COMMAND...: runs COMMAND, and prints a line every nine seconds until it ends.
set -eu
what=$1
shift
start=$(date +%s)
echo "$what"
(
	trap 'kill "$nap" 2>/dev/null; exit' TERM
	while :; do
		sleep 9 &
		nap=$!
		wait "$nap"
		kill -0 $$ 2>/dev/null || exit # the command's shell is gone
		echo "... $what: $(($(date +%s) - start)) s"
	done
) &
beat=$!
stop() { kill "$beat" 2>/dev/null || true; }
trap stop EXIT
trap 'stop; exit 130' INT TERM
"$@"
