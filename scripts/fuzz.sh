#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME (default 1s), one after the other. PART is printed with each, TARGETS
# is which of them run. The last line says what ran.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-1s}
started=${SLUICE_STARTED:-$(date +%s)}
log=$(mktemp)
ran=$(mktemp)
trap 'rm -f "$log" "$ran"' EXIT

# Go's coordinator may report the end of -fuzztime itself as a failure, with
# nothing found (golang/go#75804). A real find always writes its input.
only_out_of_time() {
	grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|fatal error:|_test\.go:' "$log"
}

targets=$(git ls-files '*_test.go' 2>/dev/null || find . -name '*_test.go' -not -path './.*')
targets=$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $targets | sed -E 's|^(\./)?(.*)/[^/]*:func (.*)|\2 \3|' | grep -E "${TARGETS:-.}" | sort -u)
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
	echo "$dir $target $(grep -oE 'execs: [0-9]+' "$log" | tail -n 1 | grep -oE '[0-9]+')" >>"$ran"
done
awk -v time="$time" '{ n++; all += $3 } END { printf "%d targets for %s each: %d executions, 0 crashes\n", n, time, all }' \
	"$ran"
