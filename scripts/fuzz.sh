#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME (default 5s), one after the other.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-5s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go's coordinator may report the end of -fuzztime itself as a failure, with
# nothing found (golang/go#75804). A real find always writes its input.
only_out_of_time() {
	grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|fatal error:|_test\.go:' "$log"
}

for package in $(go list ./...); do
	dir=${package#github.com/sluice-gateway/sluice/}
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/func //' | sort -u); do
		echo "fuzz: $dir $target for $time"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel 2 "./$dir" >"$log" 2>&1; then
			tail -n 1 "$log"
		elif only_out_of_time; then
			echo "out of time, nothing found (golang/go#75804)"
		else
			cat "$log"
			exit 1
		fi
	done
done
