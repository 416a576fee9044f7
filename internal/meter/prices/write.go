package prices

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// sheet is the prices of one model in one scope and region, as they are written:
// an entry of the default tier, with factors of the tiers that differ by one, and
// entries of the others.
type sheet struct {
	models, regions, scopes []string
	entries                 string // all but models, scopes and regions
}

// Book writes the list as a price book in YAML, dollars per million tokens, in
// effect from a day on.
func (l *List) Book(effective time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "per: million\neffective: %s\nregions: [us-east-1]\nsource: %q\n\nprices:\n",
		effective.Format(time.DateOnly), l.Source)
	for _, s := range joinSheets(l.sheets()) {
		head := "models: [" + quoted(s.models) + "]"
		if len(s.regions) > 0 {
			head += ", regions: [" + strings.Join(s.regions, ", ") + "]"
		}
		if len(s.scopes) > 0 {
			head += ", scopes: {" + strings.Join(s.scopes, ": 1, ") + ": 1}"
		}
		for _, line := range strings.Split(s.entries, "\n") {
			fmt.Fprintf(&b, "  - {%s,\n     %s}\n", head, line)
		}
	}
	l.writeNames(&b)
	return b.Bytes()
}

// writeNames writes when models end and which have no price.
func (l *List) writeNames(b *bytes.Buffer) {
	if len(l.Lifecycle) > 0 {
		b.WriteString("\nlifecycle:\n")
	}
	for _, life := range l.Lifecycle {
		successor := ""
		if life.Successor != "" {
			successor = fmt.Sprintf(", successor: %q", life.Successor)
		}
		fmt.Fprintf(b, "  - {ends: %s%s, models: [%s]}\n", life.Ends.Format(time.DateOnly), successor, quoted(life.Models))
	}
	if len(l.Unpriced) > 0 {
		b.WriteString("\nunpriced:\n")
	}
	for _, u := range l.Unpriced {
		fmt.Fprintf(b, "  - reason: %s\n    models:\n", u.Reason)
		for _, m := range u.Models {
			fmt.Fprintf(b, "      - %q\n", m)
		}
	}
}

func quoted(names []string) string {
	text := make([]string, len(names))
	for i, n := range names {
		text[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(text, ", ")
}

// sheets are the prices by model, scope and region, in the order of the list.
func (l *List) sheets() []sheet {
	type place struct{ model, scope, region string }
	groups := map[place][]config.Price{}
	var order []place
	for _, p := range l.Prices {
		at := place{p.Models[0], p.Scope, p.Region}
		if groups[at] == nil {
			order = append(order, at)
		}
		groups[at] = append(groups[at], p)
	}
	sheets := make([]sheet, len(order))
	for i, at := range order {
		sheets[i] = sheet{models: []string{at.model}, entries: entries(groups[at])}
		switch {
		case at.scope != "":
			sheets[i].scopes = []string{at.scope}
		case at.region == "us-east-1":
			sheets[i].scopes = []string{"region"}
		case at.region != "":
			sheets[i].regions = []string{at.region}
		}
	}
	return sheets
}

// joinSheets joins what differs in scope, region or model alone.
func joinSheets(sheets []sheet) []sheet {
	join := func(same func(a, b *sheet) bool, to func(a, b *sheet)) {
		var joined []sheet
		for i := range sheets {
			k := slices.IndexFunc(joined, func(s sheet) bool { return s.entries == sheets[i].entries && same(&s, &sheets[i]) })
			if k < 0 {
				joined = append(joined, sheets[i])
				continue
			}
			to(&joined[k], &sheets[i])
		}
		sheets = joined
	}
	join(func(a, b *sheet) bool {
		return slices.Equal(a.models, b.models) && (len(a.regions) == 0) == (len(b.regions) == 0)
	}, func(a, b *sheet) {
		a.scopes, a.regions = append(a.scopes, b.scopes...), append(a.regions, b.regions...)
	})
	join(func(a, b *sheet) bool {
		return slices.Equal(a.scopes, b.scopes) && slices.Equal(a.regions, b.regions)
	}, func(a, b *sheet) { a.models = append(a.models, b.models...) })
	return sheets
}

// entries writes the prices of one model, scope and region, a line for each entry.
func entries(all []config.Price) string {
	long := func(p *config.Price) *config.Price {
		for i := range all {
			if q := &all[i]; q.Above != 0 && q.Tier == p.Tier && q.Latency == p.Latency {
				return q
			}
		}
		return nil
	}
	var factors, others []string
	first := &all[0]
	for i := range all[1:] {
		p := &all[i+1]
		switch f := factor(first, p, long(first), long(p)); {
		case p.Above != 0:
		case f != "" && first.Tier == "" && first.Latency == "":
			factors = append(factors, tierWord(p)+": "+f)
		default:
			others = append(others, "tier: "+tierWord(p)+", "+written(p, long(p)))
		}
	}
	line := written(first, long(first))
	if first.Tier != "" || first.Latency != "" {
		line = "tier: " + tierWord(first) + ", " + line
	}
	if len(factors) > 0 {
		line = "tiers: {" + strings.Join(factors, ", ") + "}, " + line
	}
	return strings.Join(append([]string{line}, others...), "\n")
}

// tierWord is how books call a tier or latency.
func tierWord(p *config.Price) string {
	if p.Latency != "" {
		return p.Latency
	}
	return p.Tier
}

// written writes the rates of a price and of its long context.
func written(p, long *config.Price) string {
	text := writtenRates(&p.Rates)
	if long != nil {
		text += fmt.Sprintf(", long: {above: %d, %s}", long.Above, writtenRates(&long.Rates))
	}
	return text
}

func writtenRates(r *config.Rates) string {
	var parts []string
	for _, c := range r.Classes() {
		if !c.Listed {
			continue
		}
		parts = append(parts, c.Name+": "+exact(c.Price, unitsOf(c.Name)))
	}
	return strings.Join(parts, ", ")
}

// unitsOf is how many of the units that a class is written for are in a million of
// those that it is counted in: tokens are written by the million.
func unitsOf(class string) int64 {
	switch class {
	case "query", "image":
		return 1_000_000
	case "second":
		return 1000
	}
	return 1
}

// exact is the dollars that one of so many units costs.
func exact(p money.Price, units int64) string {
	r := new(big.Rat).SetFrac(big.NewInt(int64(p)), new(big.Int).Mul(big.NewInt(units), big.NewInt(int64(money.Dollar))))
	return strings.TrimRight(strings.TrimRight(r.FloatString(18), "0"), ".")
}

// factor is what all rates of a are multiplied by to get those of b, "" when they
// are not multiples.
func factor(a, b, longA, longB *config.Price) string {
	if (longA == nil) != (longB == nil) || longA != nil && longA.Above != longB.Above {
		return ""
	}
	pairs := [][2]*config.Rates{{&a.Rates, &b.Rates}}
	if longA != nil {
		pairs = append(pairs, [2]*config.Rates{&longA.Rates, &longB.Rates})
	}
	var by *big.Rat
	for _, pair := range pairs {
		for i, c := range pair[0].Classes() {
			d := pair[1].Classes()[i]
			if c.Listed != d.Listed || (c.Price == 0) != (d.Price == 0) {
				return ""
			}
			if c.Price == 0 {
				continue
			}
			f := big.NewRat(int64(d.Price), int64(c.Price))
			if by != nil && by.Cmp(f) != 0 {
				return ""
			}
			by = f
		}
	}
	return decimalFactor(by)
}

func decimalFactor(by *big.Rat) string {
	if by == nil {
		return ""
	}
	text := strings.TrimRight(strings.TrimRight(by.FloatString(6), "0"), ".")
	if back, ok := new(big.Rat).SetString(text); !ok || back.Cmp(by) != 0 {
		return ""
	}
	return text
}
