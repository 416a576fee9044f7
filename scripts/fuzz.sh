#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME (default 2s), one after the other. PART is printed with each.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-2s}
started=${SLUICE_STARTED:-$(date +%s)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go's coordinator may report the end of -fuzztime itself as a failure, with
# nothing found (golang/go#75804). A real find always writes its input.
only_out_of_time() {
	grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|fatal error:|_test\.go:' "$log"
}

targets=$(git ls-files '*_test.go' 2>/dev/null || find . -name '*_test.go' -not -path './.*')
targets=$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $targets | sed -E 's|^(\./)?(.*)/[^/]*:func (.*)|\2 \3|' | sort -u)
all=$(echo "$targets" | wc -l)
n=0
echo "$targets" | while read -r dir target; do
	n=$((n + 1))
	what="[${PART:-1/1} $(($(date +%s) - started))s] fuzz $n/$all $dir $target for $time"
	if scripts/alive.sh "$what" sh -c 'exec >"$0" 2>&1 </dev/null; "$@"' "$log" go test -run '^$' -fuzz "^$target\$" \
		-fuzztime "$time" -fuzzminimizetime 10x -parallel 2 "./$dir"; then
		:
	elif only_out_of_time; then
		echo "out of time, nothing found (golang/go#75804)"
	else
		cat "$log"
		exit 1
	fi
done
