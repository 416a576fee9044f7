#!/bin/sh
# What the parsers of hostile bytes are held to: vectors of others, changed bits, signatures of the AWS SDK, and fuzzing.
# Prints the last table of docs/reliability.md, which keeps it when every target ran.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin
page=docs/reliability.md table=bin/fuzz.md
tests() { # tests WHAT ARGUMENTS...: how many cases pass
	what=$1
	shift
	scripts/alive.sh "$what" sh -c 'go test -count=1 -v "$@" >bin/vectors.log 2>&1 || { cat bin/vectors.log; exit 1; }' - "$@" >&2
	if grep -q -- '--- SKIP' bin/vectors.log; then echo 'not all here'; else grep -c -- '--- PASS' bin/vectors.log; fi
}
vectors=$(tests 'vectors of Signature V4' -run TestVectors ./internal/sigv4)
tests '500 changed bits' -run TestAnyFlippedBitIsRefused ./internal/sigv4 -rapid.checks=500 >/dev/null
frames=$(tests 'event streams' -run 'TestFrame|TestSmithyFrames' ./internal/wire)
json=$(tests 'JSONTestSuite' -run TestJSONTestSuite ./internal/wire/jsonscan)
scripts/alive.sh '100,000 signatures against the SDK' sh -c 'go test -run "^$" -fuzz FuzzSignMatchesSDK -fuzztime 100000x \
	-parallel 2 ./internal/sigv4 >bin/vectors.log 2>&1 || { cat bin/vectors.log; exit 1; }'
FUZZTIME=60s scripts/fuzz.sh | tee bin/fuzz.log
{
	echo '| goal | must | measured | met |'
	echo '|---|---|---|---|'
	printf '| Signature V4 vectors, 500 single-bit changes, 100,000 random requests against the SDK; event stream vectors and '
	printf 'splits; JSONTestSuite; each fuzz target for 60 s | all; 0 crashes | %s tests of vectors, 500 bits and ' "$vectors"
	printf '100,000 requests; %s of event streams, %s of JSONTestSuite; %s | yes |\n' "$frames" "$json" "$(tail -n 1 bin/fuzz.log)"
} >"$table"
cat "$table"
if [ -z "${TARGETS:-}" ]; then
	{ sed '/^<!-- fuzz -->$/q' "$page"; cat "$table"; sed -n '/^<!-- end of fuzz -->$/,$p' "$page"; } >"$page.new"
	mv "$page.new" "$page"
fi
