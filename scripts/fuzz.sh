#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME (default 5s), one after the other.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-5s}
for package in $(go list ./...); do
	dir=${package#github.com/sluice-gateway/sluice/}
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/func //' | sort -u | while read -r target; do
		echo "fuzz: $dir $target for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel 2 "./$dir" >/tmp/sluice-fuzz.$$ 2>&1 || {
			cat /tmp/sluice-fuzz.$$
			exit 1
		}
		tail -n 1 /tmp/sluice-fuzz.$$
	done
done
rm -f /tmp/sluice-fuzz.$$
