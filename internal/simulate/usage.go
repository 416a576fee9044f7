package simulate

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Usage is a workload that was measured.
type Usage struct {
	Workload
	// From and To bound the export, To exclusive; both are zero when it does not
	// say.
	From, To time.Time
	// Repeated is how many legs were no request of their own: thrown away,
	// shadows, retries. Unknown is how many ended without known usage. The tokens
	// of neither are in the workload.
	Repeated, Unknown int64
}

// ErrUsage is wrapped by errors about an export.
var ErrUsage = errors.New("the usage export cannot be read")

// usageRow is what is read of a row, by the column names of gateway report.
type usageRow struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Requests   int64  `json:"requests"`
	Legs       int64  `json:"legs"`
	Unknown    int64  `json:"unknown"`
	Input      int64  `json:"input_tokens"`
	Output     int64  `json:"output_tokens"`
	CacheRead  int64  `json:"cache_read_tokens"`
	CacheWrite int64  `json:"cache_write_tokens"`
}

// ParseUsage reads what gateway report writes as CSV or JSON.
//
// Each row's requests get the mean tokens of its legs, so that a light answer
// that was thrown away does not count as a second request. Cached input counts
// as input, because another model has other caches. It fails with ErrUsage.
func ParseUsage(data []byte) (*Usage, error) {
	read := readCSV
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		read = readJSON
	}
	rows, err := read(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	u := &Usage{}
	for i := range rows {
		if err := u.add(&rows[i]); err != nil {
			return nil, fmt.Errorf("%w: row %d: %w", ErrUsage, i+1, err)
		}
	}
	if u.Requests == 0 {
		return nil, fmt.Errorf("%w: it has no request", ErrUsage)
	}
	return u, nil
}

func readJSON(data []byte) ([]usageRow, error) {
	var rows []usageRow
	err := json.Unmarshal(data, &rows)
	return rows, err
}

func readCSV(data []byte) ([]usageRow, error) {
	lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	rows := make([]usageRow, len(lines)-1)
	for i, line := range lines[1:] {
		for column, name := range lines[0] {
			if err := rows[i].set(name, line[column]); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// set takes the cell of one column; columns that are not read may hold anything.
func (r *usageRow) set(column, cell string) error {
	numbers := map[string]*int64{
		"requests": &r.Requests, "legs": &r.Legs, "unknown": &r.Unknown,
		"input_tokens": &r.Input, "output_tokens": &r.Output,
		"cache_read_tokens": &r.CacheRead, "cache_write_tokens": &r.CacheWrite,
	}
	switch dst := numbers[column]; {
	case column == "from":
		r.From = cell
	case column == "to":
		r.To = cell
	case dst != nil:
		n, err := strconv.ParseInt(cell, 10, 64)
		if err != nil {
			return fmt.Errorf("column %s: %q is not a whole number", column, cell)
		}
		*dst = n
	}
	return nil
}

// maxUsage bounds every count, so that a sum of rows cannot overflow.
const maxUsage = 1 << 53

func (u *Usage) add(r *usageRow) error {
	for _, n := range []int64{r.Requests, r.Legs, r.Unknown, r.Input, r.Output, r.CacheRead, r.CacheWrite} {
		if n < 0 || n > maxUsage {
			return fmt.Errorf("%d is not a count", n)
		}
	}
	if err := u.span(r); err != nil {
		return err
	}
	answered := r.Legs - r.Unknown
	if answered <= 0 && r.Requests > 0 {
		return fmt.Errorf("%d requests have no leg with known usage", r.Requests)
	}
	if answered > 0 {
		u.Requests += r.Requests
		u.Input += scaled(r.Input+r.CacheRead+r.CacheWrite, r.Requests, answered)
		u.Output += scaled(r.Output, r.Requests, answered)
	}
	u.Repeated += max(answered-r.Requests, 0)
	u.Unknown += r.Unknown
	if max(u.Requests, u.Input, u.Output) > maxUsage {
		return errors.New("the sums are out of range")
	}
	return nil
}

// span widens the bounds to those of a row.
func (u *Usage) span(r *usageRow) error {
	if r.From == "" || r.To == "" {
		return nil
	}
	from, err := parseBound(r.From)
	if err != nil {
		return err
	}
	to, err := parseBound(r.To)
	if err != nil {
		return err
	}
	if u.From.IsZero() || from.Before(u.From) {
		u.From = from
	}
	if to.After(u.To) {
		u.To = to
	}
	return nil
}

func parseBound(s string) (time.Time, error) {
	layout := time.DateOnly
	if strings.Contains(s, "T") {
		layout = time.RFC3339
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a date nor a time", s)
	}
	return t.UTC(), nil
}

// Covered is how many days the export covers, zero when it does not say.
func (u *Usage) Covered() *big.Rat {
	return big.NewRat(int64(u.To.Sub(u.From)/time.Second), 24*60*60)
}

// Over stretches the workload from the days that it covers to another number
// of days. Both are positive.
func (w Workload) Over(covered *big.Rat, days int64) Workload {
	by := new(big.Rat).Quo(whole(days), covered)
	stretch := func(n int64) int64 { return rounded(product(whole(n), by)) }
	return Workload{stretch(w.Requests), stretch(w.Input), stretch(w.Output)}
}

// scaled is n * part / total, rounded to the nearest.
func scaled(n, part, total int64) int64 {
	return rounded(product(whole(n), big.NewRat(part, total)))
}

// rounded rounds a number that is not negative to the nearest whole one, and
// what does not fit to the largest.
func rounded(r *big.Rat) int64 {
	r = sum(r, big.NewRat(1, 2))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !n.IsInt64() {
		return 1<<63 - 1
	}
	return n.Int64()
}
