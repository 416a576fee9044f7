// Package reconcile compares what the gateway counted with what AWS bills: exports of
// its bill (CUR 2.0, FOCUS) by usage type and day, and each difference with its reason.
package reconcile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// ErrInput is wrapped by errors about the file.
var ErrInput = errors.New("the bill cannot be compared")

// line is one row of a file, by lower-case column.
type line struct {
	cells map[string]string
	where string
}

func (l *line) of(names ...string) string {
	for _, name := range names {
		if text := strings.TrimSpace(l.cells[name]); text != "" {
			return text
		}
	}
	return ""
}

// each yields the rows of a CSV, which may be gzipped, or Parquet file.
func each(path string, yield func(*line) error) error {
	f, err := userfile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	b := bufio.NewReader(f)
	magic, err := b.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case bytes.Equal(magic, []byte("PAR1")):
		return eachParquet(path, f, yield)
	}
	plain, err := userfile.Unzipped(b)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInput, path, err)
	}
	return eachCSV(path, plain, yield)
}

func eachCSV(path string, r io.Reader, yield func(*line) error) error {
	lines := csv.NewReader(r)
	lines.ReuseRecord = true
	head, err := lines.Read()
	if err != nil {
		return fmt.Errorf("%w: %s: no table: %w", ErrInput, path, err)
	}
	names := make([]string, len(head))
	for i, name := range head {
		names[i] = column(strings.TrimPrefix(name, "\ufeff"))
		if names[i] != "" && slices.Contains(names[:i], names[i]) {
			return fmt.Errorf("%w: %s: column %q is there twice", ErrInput, path, names[i])
		}
	}
	if mark := strings.IndexAny(head[0], ";\t|\x00"); len(head) == 1 && mark >= 0 {
		return fmt.Errorf("%w: %s: columns are separated by %q, or the text is UTF-16: it must be UTF-8 with commas",
			ErrInput, path, head[0][mark])
	}
	for {
		cells, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInput, path, err)
		}
		n, _ := lines.FieldPos(0)
		l := &line{cells: make(map[string]string, len(cells)), where: fmt.Sprintf("%s:%d", path, n)}
		for i, cell := range cells {
			l.cells[names[i]] = cell
			if strings.HasPrefix(cell, "{") {
				l.unpack(names[i], cell)
			}
		}
		if err := yield(l); err != nil {
			return err
		}
	}
}

// column is a column's name as it is looked for: bill/BillingPeriodStartDate and
// bill_billing_period_start_date are one.
func column(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// unpack adds the members of a map, such as product, as columns of their own.
func (l *line) unpack(name, text string) {
	var members map[string]string
	if json.Unmarshal([]byte(text), &members) != nil {
		return // no map after all
	}
	for key, value := range members {
		l.cells[name+"."+strings.ToLower(key)] = value
	}
}

// eachParquet yields the rows of a Parquet file. The library panics at some files that
// are damaged.
func eachParquet(path string, f *os.File, yield func(*line) error) (err error) {
	var failed error // of yield
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: broken Parquet: %v", ErrInput, path, r)
		}
		if failed == nil && err != nil {
			err = fmt.Errorf("%w: %s: broken Parquet: %w", ErrInput, path, err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return err
	}
	columns := file.Schema().Columns()
	kinds := make([]parquet.Type, len(columns))
	for i, at := range columns {
		leaf, ok := file.Schema().Lookup(at...)
		if !ok {
			return fmt.Errorf("column %s is not in the schema", strings.Join(at, "."))
		}
		kinds[i] = leaf.Node.Type()
	}
	n := 0
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		failed, err = rowsOf(rows, func(row parquet.Row) error {
			n++
			return yield(lineOf(row, columns, kinds, fmt.Sprintf("%s: row %d", path, n)))
		})
		if err = errors.Join(err, rows.Close()); failed != nil || err != nil {
			return errors.Join(failed, err)
		}
	}
	return nil
}

// rowsOf yields rows. failed is yield's error.
func rowsOf(rows parquet.Rows, yield func(parquet.Row) error) (failed, err error) {
	buffer := make([]parquet.Row, 64)
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			if failed := yield(row); failed != nil {
				return failed, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// lineOf reads a row: its columns, and maps as columns of their own.
func lineOf(row parquet.Row, columns [][]string, kinds []parquet.Type, where string) *line {
	l := &line{cells: map[string]string{}, where: where}
	keys := map[string][]string{}
	seen := map[int]int{}
	for _, v := range row {
		at := columns[v.Column()]
		name, last := column(at[0]), at[len(at)-1]
		switch {
		case len(at) == 1:
			l.cells[name] = textOf(v, kinds[v.Column()])
		case last == "key":
			keys[name] = append(keys[name], v.String())
		case last == "value" && seen[v.Column()] < len(keys[name]):
			l.cells[name+"."+strings.ToLower(keys[name][seen[v.Column()]])] = textOf(v, kinds[v.Column()])
			seen[v.Column()]++
		}
	}
	return l
}

// textOf writes a value as CSV files have it.
func textOf(v parquet.Value, kind parquet.Type) string {
	if v.IsNull() {
		return ""
	}
	if l := kind.LogicalType(); l != nil {
		if d, is := l.Value.(*format.DecimalType); is {
			return decimalOf(v, int(d.Scale))
		}
	}
	switch v.Kind() {
	case parquet.Float:
		return strconv.FormatFloat(float64(v.Float()), 'f', -1, 32)
	case parquet.Double:
		return strconv.FormatFloat(v.Double(), 'f', -1, 64)
	case parquet.Int64:
		if at := timeOf(v.Int64(), kind.LogicalType()); !at.IsZero() {
			return at.UTC().Format(time.RFC3339)
		}
	}
	return v.String()
}

// decimalOf writes a decimal, which is a whole number of its last digits: as bytes the most significant one comes
// first, in two's complement.
func decimalOf(v parquet.Value, scale int) string {
	n := new(big.Int)
	switch v.Kind() {
	case parquet.Int32:
		n.SetInt64(int64(v.Int32()))
	case parquet.Int64:
		n.SetInt64(v.Int64())
	default:
		bytes := v.ByteArray()
		if n.SetBytes(bytes); len(bytes) > 0 && bytes[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(bytes)))) //nolint:gosec // a few bytes
		}
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).SetFrac(n, unit).FloatString(max(0, scale))
}

// timeOf is the time that a number is by its column's type, the zero time for no time.
func timeOf(n int64, kind *format.LogicalType) time.Time {
	if kind == nil {
		return time.Time{}
	}
	stamp, is := kind.Value.(*format.TimestampType)
	if !is {
		return time.Time{}
	}
	switch stamp.Unit.Value.(type) {
	case *format.MilliSeconds:
		return time.UnixMilli(n)
	case *format.MicroSeconds:
		return time.UnixMicro(n)
	}
	return time.Unix(0, n)
}
