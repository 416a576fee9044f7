#!/bin/sh
# Runs `go install` of the program by its import path, as a user would, at the commit that is checked out. The path is
# pointed to this repository; modules of others come from where Go takes them.
set -eu
cd "$(dirname "$0")/.."
to=$(mktemp -d)
trap 'chmod -R u+w "$to"; rm -rf "$to"' EXIT
commit=$(git rev-parse HEAD)
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$(git rev-parse --path-format=absolute --git-common-dir).insteadOf" \
	GIT_CONFIG_VALUE_0=https://github.com/sluice-gateway/sluice
(cd "$to" && GOBIN=$to GOPRIVATE=github.com/sluice-gateway GOFLAGS= go install "github.com/sluice-gateway/sluice/cmd/gateway@$commit")
"$to/gateway" --version
"$to/gateway" --version | grep -q "$(echo "$commit" | cut -c1-12)" || { echo 'it does not know its version'; exit 1; }
