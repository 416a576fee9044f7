#!/bin/sh
# Attacks the built gateway from outside and prints a table of docs/reliability.md, which keeps it when every row ran:
# TABLE is edge, or soak for the rows that take long.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin
name=${TABLE:-edge}
table=$(pwd)/bin/$name.md log=bin/$name.log page=docs/reliability.md
rm -f "$table"
case $name in soak) test=TestSoak ;; *) test=TestEdge ;; esac
ok=0
SLUICE_EDGE=whole SLUICE_EDGE_TABLE=$table go test -count=1 -timeout 20m -v -run "$test/${ROWS:-.}" ./test/edge >"$log" 2>&1 || ok=1
[ "$ok" = 0 ] || grep -vE '^ *gateway log|^ *\{|^ *\|' "$log" | tail -n 60
[ -f "$table" ] || exit 1
cat "$table"
if [ -z "${ROWS:-}" ]; then
	{ sed "/^<!-- $name -->\$/q" "$page"; cat "$table"; sed -n "/^<!-- end of $name -->\$/,\$p" "$page"; } >"$page.new"
	mv "$page.new" "$page"
fi
exit $ok
