package report

import (
	"bytes"
	"fmt"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// TestParquet reads the file back: each cell is that of the CSV.
func TestParquet(t *testing.T) {
	r, err := Build(t.Context(), books, november("tenant", "model"))
	if err != nil {
		t.Fatal(err)
	}
	r.Rows[0].Input.Add(-5_000_000_000_000_000_001) // below zero
	chosen, err := r.choose(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, &Layout{Format: Parquet}, r); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if file.NumRows() != int64(len(r.Rows)) {
		t.Fatalf("%d rows", file.NumRows())
	}
	lines := make([]parquet.Row, len(r.Rows))
	rows := parquet.NewReader(file)
	if n, err := rows.ReadRows(lines); n != len(lines) {
		t.Fatal(n, err)
	}
	for i, line := range lines {
		for _, f := range chosen {
			leaf, ok := file.Schema().Lookup(f.name)
			if !ok {
				t.Fatalf("there is no column %s", f.name)
			}
			if diff := cmp.Diff(f.text(r.Rows[i]), cellOf(f.kind, line[leaf.ColumnIndex])); diff != "" {
				t.Errorf("row %d, %s: %s", i, f.name, diff)
			}
		}
	}
}

// cellOf writes a value as CSV has it.
func cellOf(k kind, v parquet.Value) string {
	switch {
	case v.IsNull():
		return ""
	case k == number:
		return fmt.Sprint(v.Int64())
	case k == words:
		return string(v.ByteArray())
	}
	n := new(big.Int).SetBytes(v.ByteArray())
	if n.Bit(8*decimalBytes-1) == 1 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 8*decimalBytes))
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(mostDecimals), nil)
	r := new(big.Rat).SetFrac(n, scale)
	if k == ratio {
		return r.FloatString(4)
	}
	text, _ := decimal(r.Mul(r, big.NewRat(1_000_000_000_000, 1)))
	return text
}
