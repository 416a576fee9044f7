#!/bin/sh
# Installs the coding agents of make test-agents below .tools/agents, with a Node of their own: 1 GB.
set -eu
cd "$(dirname "$0")/.."
at=$PWD/.tools/agents
wanted='node@26.10.0 @anthropic-ai/claude-code@2.1.332 @openai/codex@0.171.0'

. scripts/debian.sh

[ "$(cat "$at/.stamp" 2>/dev/null)" != "$wanted" ] || exit 0
debian npm npm
mkdir -p "$at"
echo '{"private":true}' >"$at/package.json"
(cd "$at" && npm install --silent --no-audit --no-fund --save-exact $wanted)
"$at/node_modules/.bin/claude" --version
"$at/node_modules/.bin/codex" --version
echo "$wanted" >"$at/.stamp"
