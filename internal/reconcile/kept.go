package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gateway/sluice/internal/wholefile"
)

// Kept is what the comparison of a month came to, for who looks at numbers of that month.
type Kept struct {
	Month  string    `json:"month"`
	Format string    `json:"format"` // of the bill
	At     time.Time `json:"at"`
	// Billed and Metered are tokens, Agreed those of both sides in usage types and days that have the
	// same, within the tolerance.
	Billed      int64 `json:"billed_tokens"`
	Metered     int64 `json:"metered_tokens"`
	Agreed      int64 `json:"agreed_tokens"`
	Differences int   `json:"differences"`
}

// Dir is where comparisons are kept.
type Dir string

func (d Dir) file(month string) string { return filepath.Join(string(d), month+".json") }

// Keep keeps a comparison in place of an earlier one of its month.
func (d Dir) Keep(r *Result, at time.Time) error {
	k := Kept{Month: r.Bill.Month, Format: r.Bill.Format, At: at.UTC(), Billed: r.Billed, Metered: r.Known}
	for _, one := range r.Bill.cells {
		if near(one.bill, one.gateway) {
			k.Agreed += min(one.bill, one.gateway)
		}
	}
	for i := range r.Findings {
		if r.Findings[i].Kind.Fault() {
			k.Differences++
		}
	}
	text, err := json.Marshal(&k)
	if err == nil {
		err = os.MkdirAll(string(d), 0o750)
	}
	if err != nil {
		return err
	}
	return wholefile.Replace(d.file(k.Month), append(text, '\n'), 0o640)
}

// Of returns the comparison of a month, nil for none.
func (d Dir) Of(month string) (*Kept, error) {
	text, err := os.ReadFile(d.file(month))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was compared
	}
	k := &Kept{}
	if err == nil {
		err = json.Unmarshal(text, k)
	}
	if err != nil {
		return nil, fmt.Errorf("the comparison of %s cannot be read: %w", month, err)
	}
	return k, nil
}
