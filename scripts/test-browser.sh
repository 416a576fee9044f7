#!/bin/sh
# Goes through the page of the admin port in Debian's chromium, with Playwright and axe. Installs what is missing.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian.sh

debian chromium chromium
(
	cd test/browser
	wanted=$(sha256sum package-lock.json)
	if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$wanted" ]; then
		say "installing Playwright and axe"
		PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund
		echo "$wanted" >node_modules/.stamp
	fi
)
mkdir -p .tools
go build -o .tools/stand ./test/browser/stand
case ${SHOTS:-} in "" | /*) ;; *) SHOTS=$PWD/$SHOTS ;; esac
cd test/browser
SLUICE_STAND=../../.tools/stand SLUICE_SHOTS=${SHOTS:-} CHROMIUM=$(command -v chromium) npx playwright test
