package report

import (
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// Amounts in Parquet are decimals of 38 digits, mostDecimals of them behind the point, in
// bytes of a fixed number.
const decimalDigits, decimalBytes = 38, 16

// writeParquet writes the rows as a Parquet file: counts as int64, money as decimals, null
// where nothing is known, all else as text.
func (r *Report) writeParquet(w io.Writer, chosen []figure[Row]) error {
	group, byName := parquet.Group{}, map[string]figure[Row]{}
	for _, f := range chosen {
		group[f.name], byName[f.name] = nodeOf(f.kind), f
	}
	out := parquet.NewGenericWriter[any](w, parquet.NewSchema("report", group), parquet.Compression(&parquet.Snappy))
	names := slices.Sorted(maps.Keys(byName)) // the order in a group
	for i := range r.Rows {
		line := make(parquet.Row, len(names))
		for k, name := range names {
			f := byName[name]
			text := f.text(r.Rows[i])
			line[k] = valueOf(f.kind, text).Level(0, definition(f.kind, text), k)
		}
		if _, err := out.WriteRows([]parquet.Row{line}); err != nil {
			return err
		}
	}
	return out.Close()
}

func nodeOf(k kind) parquet.Node {
	switch k {
	case number:
		return parquet.Int(64)
	case amount:
		return decimalNode()
	case priced, claimed, ratio:
		return parquet.Optional(decimalNode())
	}
	return parquet.String()
}

func decimalNode() parquet.Node {
	return parquet.Decimal(mostDecimals, decimalDigits, parquet.FixedLenByteArrayType(decimalBytes))
}

// definition is the level at which a cell is defined: that of an optional one is 1, and 0
// when it is null.
func definition(k kind, text string) int {
	if (k == priced || k == claimed || k == ratio) && text != "" {
		return 1
	}
	return 0
}

func valueOf(k kind, text string) parquet.Value {
	switch {
	case k == number:
		n, _ := strconv.ParseInt(text, 10, 64) // it was written as one
		return parquet.Int64Value(n)
	case k == words:
		return parquet.ByteArrayValue([]byte(text))
	case text == "":
		return parquet.NullValue()
	}
	n, _ := new(big.Rat).SetString(text)
	scaled := new(big.Int).Exp(big.NewInt(10), big.NewInt(mostDecimals), nil)
	scaled.Mul(scaled, n.Num()).Quo(scaled, n.Denom())
	if scaled.Sign() < 0 { // two's complement
		scaled.Add(scaled, new(big.Int).Lsh(big.NewInt(1), 8*decimalBytes))
	}
	return parquet.FixedLenByteArrayValue(scaled.FillBytes(make([]byte, decimalBytes)))
}
