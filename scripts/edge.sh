#!/bin/sh
# Attacks the built gateway from outside and prints the table of docs/reliability.md, which keeps it when every row ran.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin
table=$(pwd)/bin/edge.md log=bin/edge.log page=docs/reliability.md
rm -f "$table"
ok=0
SLUICE_EDGE=whole SLUICE_EDGE_TABLE=$table go test -count=1 -timeout 15m -v -run "TestEdge/${ROWS:-.}" ./test/edge >"$log" 2>&1 || ok=1
[ "$ok" = 0 ] || grep -vE '^ *gateway log|^ *\{|^ *\|' "$log" | tail -n 60
[ -f "$table" ] || exit 1
cat "$table"
if [ -z "${ROWS:-}" ]; then
	{ sed '/^<!-- measured -->$/q' "$page"; cat "$table"; sed -n '/^<!-- end -->$/,$p' "$page"; } >"$page.new"
	mv "$page.new" "$page"
fi
exit $ok
