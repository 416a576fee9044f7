#!/bin/sh
# make test: every part, one after the other. Each line says which part runs and how long all of it has run.
set -eu
cd "$(dirname "$0")/.."
SLUICE_STARTED=$(date +%s)
export SLUICE_STARTED

part() { # part N WHAT COMMAND...
	PART=$1/5
	export PART
	what=$2
	shift 2
	scripts/alive.sh "[$PART $(($(date +%s) - SLUICE_STARTED))s] $what" "$@"
}

part 1 "what the tests need" scripts/test-tools.sh
part 2 "build the program, and the one for fault tests" make --no-print-directory build-faults
PART=3/5 make --no-print-directory test-unit
PART=4/5 make --no-print-directory test-fuzz
PART=5/5 make --no-print-directory test-e2e
