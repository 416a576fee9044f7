"""Reads a lake with DuckDB, runs the queries on stdin, and prints the sums of each day and root."""

import json
import sys

import duckdb

lake = sys.argv[1]
db = duckdb.connect()
for table in ("usage", "decisions"):
    db.execute(
        f"CREATE VIEW sluice_{table} AS SELECT * FROM read_parquet('{lake}/{table}/*/*/*.parquet', "
        "hive_partitioning = true, hive_types_autocast = false)"
    )
for query in sys.stdin.read().split(";"):
    if query.strip():
        db.execute(query).fetchall()
rows = db.execute(
    "SELECT day || ' ' || root, sum(requests), sum(input_tokens), sum(output_tokens), sum(cost_usd), "
    "sum(suspense_usd) FROM sluice_usage GROUP BY ALL"
).fetchall()
print(json.dumps({
    at: {"requests": int(r), "input": int(i), "output": int(o), "cost": f"{c:f}", "suspense": f"{s:f}"}
    for at, r, i, o, c, s in rows
}))
