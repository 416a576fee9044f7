#!/bin/sh
# Installs the newest release of each client below .tools/newest, each apart from the others so that none holds another
# back, and fails when what it got is not what the registry has as its latest.
set -eu
cd "$(dirname "$0")/.."
at=$PWD/.tools/newest
mkdir -p "$at/node" "$at/js" "$at/java"

. scripts/debian.sh

debian python3 python3 python3-venv
debian npm npm
debian mvn maven default-jdk-headless

want() { # want CLIENT GOT LATEST
	if [ -z "$3" ] || [ "$2" != "$3" ]; then
		say "$1: got ${2:-nothing}, the registry's latest is ${3:-not known}"
		exit 1
	fi
	say "$1 $2"
}

python_client() { # python_client PACKAGE [WITH...]
	grep -qs "$at/py-$1/bin/python" "$at/py-$1/bin/pip" || rm -rf "$at/py-$1" # of a checkout elsewhere
	[ -x "$at/py-$1/bin/python" ] || python3 -m venv "$at/py-$1"
	py=$at/py-$1/bin/python
	"$py" -m pip install -q --disable-pip-version-check --upgrade --upgrade-strategy eager "$@"
	python_newest "$1" "$1"
}

python_newest() { # python_newest ENVIRONMENT PACKAGE
	py=$at/py-$1/bin/python
	got=$("$py" -c "import importlib.metadata as m; print(m.version('$2'))")
	latest=$("$py" -m pip index versions --disable-pip-version-check "$2" 2>/dev/null | sed -n '1s/.*(\(.*\)).*/\1/p')
	want "$2" "$got" "$latest"
}

npm_client() { # npm_client DIRECTORY PACKAGE
	got=$(sed -n 's/^  "version": "\(.*\)",*$/\1/p' "$1/node_modules/$2/package.json" | head -1)
	want "$2" "$got" "$(npm view "$2" dist-tags.latest)"
}

for package in boto3 awscli langchain-aws strands-agents openai litellm; do python_client "$package"; done
python_client anthropic 'anthropic[bedrock]'
python_client langchain-openai langchain-anthropic
python_newest langchain-openai langchain-anthropic
# LlamaIndex does not work with what Anthropic's client is from its first major release on.
python_client llama-index-llms-openai llama-index-llms-anthropic 'anthropic<1'
python_newest llama-index-llms-openai llama-index-llms-anthropic

# A Node of its own: several clients want a newer one than Debian has.
(cd "$at/node" && { [ -f package.json ] || echo '{"private":true}' >package.json; } &&
	npm install --silent --no-audit --no-fund node@latest)
npm_client "$at/node" node
"$at/node/node_modules/node/bin/node" --version >/dev/null
PATH=$at/node/node_modules/node/bin:$PATH
cp test/clients/js/*.mjs "$at/js"
packages='@aws-sdk/client-bedrock-runtime @anthropic-ai/bedrock-sdk @ai-sdk/amazon-bedrock ai @langchain/aws openai
	@ai-sdk/openai @ai-sdk/anthropic zod'
[ -f "$at/js/package.json" ] || echo '{"private":true,"type":"module"}' >"$at/js/package.json"
(cd "$at/js" && npm install --silent --no-audit --no-fund $(for p in $packages @langchain/core; do echo "$p@latest"; done))
for package in $packages; do npm_client "$at/js" "$package"; done

cp -r test/clients/java/. "$at/java"
rm -rf "$at/java/lib"
(cd "$at/java" && mvn -q -B -U -Dstyle.color=never -Daws.version=RELEASE compile dependency:copy-dependencies -DoutputDirectory=lib)
got=$(ls "$at/java/lib" | sed -n 's/^bedrockruntime-\(.*\)\.jar$/\1/p')
known=${HOME}/.m2/repository/software/amazon/awssdk/bedrockruntime/maven-metadata-central.xml
want bedrockruntime "$got" "$(sed -n 's/.*<release>\(.*\)<\/release>.*/\1/p' "$known")"
