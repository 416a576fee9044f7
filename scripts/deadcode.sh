#!/bin/sh
# Fails when the program has a function that nothing in it calls. Not looked at: packages for tests, programs that
# measure, and the stand-in for Bedrock.
set -eu
cd "$(dirname "$0")/.."
dead=$("$1" ./cmd/...)
found=$(echo "$dead" | grep -vE '^(test|bench|internal/engine/sandbox)/|(ledgertest|redistest)/' || true)
[ -z "$found" ] || { echo "$found"; echo "nothing calls these: delete them"; exit 1; }
