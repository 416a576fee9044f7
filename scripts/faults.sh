#!/bin/sh
# Runs the fault matrix (docs/faults.md): SEEDS kills of gateways (default 1000)
# and a fifth of it of Redis with real processes, then the rows that need clocks,
# disks or scripts of their own and are tested beside the code.
set -eu
cd "$(dirname "$0")/.."
SEEDS=${SEEDS:-1000}
export SEEDS
log=${FAULTS_LOG:-bin/faults.log}
echo "faults: $SEEDS seeds; all output goes to $log"
if ! go test -count=1 -timeout 90m -parallel 2 -v -run "${RUN:-.}" ./test/faultmatrix >"$log" 2>&1; then
	grep -vE '^(===|\{)' "$log" | tail -n 200
	exit 1
fi
grep -E '^(---|ok)|row |last dollar|old data_dir|SKIPPED' "$log" | grep -vE '^===' | sed 's/^ *//'
echo "faults: rows 6, 10, 22, power loss and the long outage, beside the code"
SLUICE_LONG=1 go test -count=1 -timeout 20m -v -run 'TestHistories|TestCases|TestMutants|TestLeaseMutants' ./internal/meter/redis >>"$log" 2>&1 ||
	{ tail -n 100 "$log"; exit 1; }
go test -count=1 -timeout 20m -run 'TestUnplugged|TestTornTail|TestBitFlips|TestDiskFaults|TestRollFaults' ./internal/meter/journal
go test -count=1 -timeout 20m ./internal/meter ./internal/meter/budget
grep -E '^--- ' "$log" | tail -n 8
