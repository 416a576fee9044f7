#!/bin/sh
# Lints and renders the Helm chart with each of its files of values, and checks what comes out, and the manifests for
# kustomize, against the schemas of Kubernetes. Needs helm, which the Makefile builds, as its argument.
set -eu
cd "$(dirname "$0")/.."
helm=$1
gateway=$2
chart=deploy/helm/sluice
tools=$PWD/.tools/kubernetes
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

. scripts/debian.sh

if [ "$("$tools/bin/kubernetes-validate" --version 2>/dev/null)" != "$KUBERNETES_VALIDATE" ]; then
	say "installing kubernetes-validate $KUBERNETES_VALIDATE"
	python3 -m venv --clear "$tools"
	"$tools/bin/pip" install -q --disable-pip-version-check "kubernetes-validate==$KUBERNETES_VALIDATE"
fi

valid() { # valid FILE: every object of it, but those of operators, whose schemas are not Kubernetes' own
	for version in 1.30 1.33 1.37; do
		"$tools/bin/kubernetes-validate" --strict -k "$version" --quiet "$1" || { cat "$1"; exit 1; }
	done
}

for values in "$chart"/ci/*-values.yaml; do
	name=$(basename "$values" -values.yaml)
	"$helm" lint --quiet --strict "$chart" -f "$values"
	"$helm" template sluice "$chart" -n ai -f "$values" >"$out/$name.yaml"
	"$tools/bin/python" scripts/chart.py "$out/$name.yaml" "$out/$name"
	for object in "$out/$name"/*.yaml; do valid "$object"; done
	SLUICE_ADMIN_TOKEN=a SLUICE_REDIS_URL=redis://127.0.0.1:1 "$gateway" check --config "$out/$name/sluice-config"
	say "chart with $name values: $(ls "$out/$name" | tr '\n' ' ')"
done
for wrong in replica=3 image.pullPolicy=Sometimes persistence.size=much secretName=; do
	if "$helm" template sluice "$chart" -f "$chart/ci/least-values.yaml" --set "$wrong" >/dev/null 2>&1; then
		say "the chart takes $wrong"
		exit 1
	fi
done
for object in deploy/kubernetes/[!k]*.yaml; do valid "$object"; done
say "the manifests for kustomize are valid too"
