package audit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Rows is where counters are read: a ledger.
type Rows interface {
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// What one adjustment adds without being forced. More is rather a slip of the
// keyboard.
const (
	mostDollars = 100_000 * money.Dollar
	mostCount   = 1_000_000_000_000
)

// maxText bounds reasons, in bytes; maxName bounds ids and names.
const (
	maxText = 1000
	maxName = 200
)

// nameForm is what ids and the parts of a row's key may be. A first character
// that a spreadsheet takes for a formula is not among them.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/+@-]*$`)

// Check refuses what no order may hold, forced or not: names that cannot be
// ones, text that is no text, nothing to add.
func (o *Order) Check() error {
	row := &o.Row
	if !config.ValidTenant(row.Tenant) {
		return fmt.Errorf("%q cannot be a tenant", row.Tenant)
	}
	if !wire.ValidID(row.Model) {
		return fmt.Errorf("%q cannot be the id of a model", row.Model)
	}
	for _, part := range []struct{ name, text string }{
		{"id", o.ID}, {"reference", o.RefersTo}, {"key", row.Key}, {"scope", row.Scope}, {"tier", row.Tier},
		{"cascade", row.Cascade}, {"path", row.Path}, {"price version", row.PriceVersion}, {"region", row.Region},
		{"latency", row.Latency}, {"context", row.Context}, {"user", row.User},
	} {
		if part.text != "" && (len(part.text) > maxName || !nameForm.MatchString(part.text)) {
			return fmt.Errorf("%q cannot be a %s", part.text, part.name)
		}
	}
	if strings.HasPrefix(o.ID, rerateID) {
		return fmt.Errorf("ids that begin with %q are those of `gateway prices rerate`", rerateID)
	}
	if len(o.Reason) > maxText || !utf8.ValidString(o.Reason) || strings.ContainsFunc(o.Reason, invisible) {
		return fmt.Errorf("the reason has control characters, or more than %d bytes", maxText)
	}
	if y := o.time().Year(); y < 1970 || y > 9999 {
		return fmt.Errorf("the year %d is none that anything can be corrected of", y)
	}
	return o.checkAmounts()
}

// invisible reports whether a character could make a text look like another one.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// checkAmounts refuses nothing, and what no counter or budget can hold.
func (o *Order) checkAmounts() error {
	if o.Add == (record.Counters{}) {
		return errors.New("nothing to adjust: name a column that changes")
	}
	sum, fits := o.Add.Cost().Pico()
	if !fits || !o.Add.Storable() || !(record.Counters{CostInput: sum}).Storable() {
		return errors.New("an amount is out of range, or the sum of the costs is")
	}
	return nil
}

// Doubts are the reasons not to carry out an order unless it is forced: known
// does not know its tenant, its time is not among those that ledgers keep, or it
// takes back more than the books have. It fails with what reading them fails
// with.
func (o *Order) Doubts(ctx context.Context, books Rows, known func(tenant string) bool) (doubts []string, err error) {
	if !known(o.Row.Tenant) {
		doubts = append(doubts, fmt.Sprintf("there is no tenant %q in the configuration", o.Row.Tenant))
	}
	const skew = 5 * time.Minute
	of := o.time()
	switch {
	case of.After(o.By.At.Add(skew)):
		doubts = append(doubts, fmt.Sprintf("%s has not come yet", of.Format(time.RFC3339)))
	case of.Before(o.By.At.Add(-record.KeepDays)):
		doubts = append(doubts, fmt.Sprintf("%s is before the %d days that ledgers keep", of.Format(time.RFC3339),
			record.KeepDays/(24*time.Hour)))
	}
	for _, v := range o.Add.Values() {
		if v.Money && v.N > int64(mostDollars) || !v.Money && v.N > mostCount {
			doubts = append(doubts, fmt.Sprintf("%s=%s is more than one correction should add", v.Column, v.Text))
		}
	}
	more, err := o.overdrawn(ctx, books)
	return append(doubts, more...), err
}

// overdrawn finds what the order takes back beyond what its tenant and model, and
// whatever else it names of the row, have in the month (UTC) that it corrects.
func (o *Order) overdrawn(ctx context.Context, books Rows) (doubts []string, err error) {
	from := time.Date(o.time().Year(), o.time().Month(), 1, 0, 0, 0, 0, time.UTC)
	var have record.Counters
	parts := o.Row.Parts()
	err = books.Rows(ctx, from, from.AddDate(0, 1, 0), func(key record.RowKey, c record.Counters) error {
		if key.Tenant != o.Row.Tenant || key.Model != o.Row.Model {
			return nil
		}
		has := key.Parts()
		for part, name := range parts {
			if has[part] != name {
				return nil
			}
		}
		sum, ok := have.Plus(c)
		if !ok {
			return fmt.Errorf("a sum of tenant %q is out of range", key.Tenant)
		}
		have = sum
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what was spent: %w", err)
	}
	after, ok := have.Plus(o.Add)
	if !ok {
		return []string{"an amount is out of range"}, nil
	}
	say := func(what, has string) {
		doubts = append(doubts, fmt.Sprintf("it takes back more than there is: %s of %s and %s in %s is %s", what,
			o.Row.Tenant, o.Row.Model, from.Format("2006-01"), has))
	}
	for _, v := range after.Values() {
		// A class of money may be taken from another one: what counts is their sum.
		class := v.Money && v.Column != "wasted_usd" && v.Column != "suspense_usd"
		if v.N < 0 && !class && taken(&o.Add, v.Column) {
			say(v.Column, valueOf(&have, v.Column))
		}
	}
	if had, cost := costOf(&have), costOf(&o.Add); cost < 0 && had+cost < 0 {
		say("the cost", had.String()+" USD")
	}
	return doubts, nil
}

// taken reports whether add lowers a column.
func taken(add *record.Counters, column string) bool {
	for _, v := range add.Values() {
		if v.Column == column {
			return v.N < 0
		}
	}
	return false
}

func valueOf(c *record.Counters, column string) string {
	for _, v := range c.Values() {
		if v.Column == column {
			return v.Text
		}
	}
	return "0"
}
