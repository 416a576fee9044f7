#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME (default 1s), two packages at a time. PART is printed with each,
# TARGETS is which of them run. The last line says what ran.
#
#	fuzz.sh                     all of them
#	fuzz.sh DIR TARGET...       those of one package, which it compiles
set -eu
cd "$(dirname "$0")/.."
export FUZZTIME="${FUZZTIME:-1s}"
export FUZZ_STARTED="${FUZZ_STARTED:-${SLUICE_STARTED:-$(date +%s)}}"

# Go's coordinator may report the end of -fuzztime itself as a failure, with
# nothing found (golang/go#75804). A real find always writes its input.
only_out_of_time() { # only_out_of_time LOG
	grep -q 'context deadline exceeded' "$1" && ! grep -qE 'Failing input written|panic:|fatal error:|_test\.go:' "$1"
}

package() { # package DIR TARGET...
	dir=$1
	shift
	binary=$FUZZ_WORK/$(echo "$dir" | tr / -).test
	if ! go test -c -fuzz . -o "$binary" "./$dir" >"$binary.log" 2>&1; then
		cat "$binary.log"
		return 1
	fi
	for target; do
		log=$FUZZ_WORK/$(echo "$dir" | tr / -).$target.log
		if ! (cd "$dir" && exec "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZTIME" \
			-test.fuzzminimizetime 10x -test.parallel 1 -test.fuzzcachedir "$(go env GOCACHE)/fuzz/$dir") \
			>"$log" 2>&1 </dev/null && ! only_out_of_time "$log"; then
			echo "fuzz $dir $target"
			cat "$log"
			return 1
		fi
		# There is none when looking at known inputs took all of the time.
		executions=$(sed -nE 's/.*execs: ([0-9]+).*/\1/p' "$log" | tail -n 1)
		echo "[${PART:-1/1} $(($(date +%s) - FUZZ_STARTED))s] fuzz $dir $target: ${executions:-0} executions"
	done
}

if [ $# -gt 0 ]; then
	package "$@"
	exit
fi
FUZZ_WORK=$(mktemp -d)
export FUZZ_WORK
trap 'rm -rf "$FUZZ_WORK"' EXIT
files=$(git ls-files '*_test.go' 2>/dev/null || find . -name '*_test.go' -not -path './.*')
grep -oE '^func Fuzz[A-Za-z0-9_]+' $files | sed -E 's|^(\./)?(.*)/[^/]*:func (.*)|\2 \3|' | grep -E "${TARGETS:-.}" | sort -u |
	awk '$1 != dir { if (dir) print line; dir = line = $1 } { line = line " " $2 } END { if (dir) print line }' >"$FUZZ_WORK/packages"
scripts/alive.sh "[${PART:-1/1} $(($(date +%s) - FUZZ_STARTED))s] fuzz targets for $FUZZTIME each" sh -c \
	'xargs -P 2 -L 1 scripts/fuzz.sh <"$FUZZ_WORK/packages"'
awk -v time="$FUZZTIME" 'FNR == 1 { if (seen) all += last; seen = 1; last = 0; n++ } match($0, /execs: [0-9]+/) {
	last = substr($0, RSTART + 7, RLENGTH - 7) } END { printf "%d targets for %s each: %d executions, 0 crashes\n", n, time, all + last }' \
	"$FUZZ_WORK"/*.Fuzz*.log
