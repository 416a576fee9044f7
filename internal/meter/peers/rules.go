package peers

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Unlimited is how far a rule goes that only counts.
const Unlimited = math.MaxInt64

// Rule is one budget or limit of a tenant: a window of spending, and how far it goes.
type Rule struct {
	Unit   record.Unit
	Period string // minute, hour, day or month; "" for concurrent requests
	Zone   string // of the period's days, as the time zone database names it
	// Hard is what no request may pass, in the window's unit, and Light what only
	// requests to the light model may. Unlimited is no such limit.
	Hard, Light int64
}

// names reports whether both are about the same window.
func (r *Rule) names(o *Rule) bool {
	return r.Unit == o.Unit && r.Period == o.Period && r.Zone == o.Zone
}

// tighten lowers the rule to what another one of the same window allows.
func (r *Rule) tighten(o *Rule) { r.Hard, r.Light = min(r.Hard, o.Hard), min(r.Light, o.Light) }

// covers reports whether one of the rules is about the window of o and allows no more.
func covers(rules []Rule, o *Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.names(o) && r.Hard <= o.Hard && r.Light <= o.Light })
}

// Tighten adds a rule to those of a tenant.
func Tighten(rules []Rule, o Rule) []Rule {
	if i := slices.IndexFunc(rules, func(r Rule) bool { return r.names(&o) }); i >= 0 {
		rules[i].tighten(&o)
		return rules
	}
	return append(rules, o)
}

// File is the tenants of a configuration, each with its own rules, in a fixed order.
// A tenant without any is in it all the same: a gateway that serves it differs from one
// that limits it.
type File = iter.Seq2[string, []Rule]

const (
	// version is the first line of an encoded file.
	version = "1"
	// maxFile bounds an encoded file, and what it is decoded to: a million tenants.
	maxFile = 256 << 20
)

// errMalformed is returned for what is no file of rules that this program knows.
var errMalformed = errors.New("this is no list of limits")

// encode writes a file as text, compressed: a line for each tenant, and behind it one
// for each of its rules, which begins with a space.
func encode(f File) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		panic("BUG: a level that flate does not have: " + err.Error())
	}
	b := bufio.NewWriter(w)
	line := func(words ...string) { // there may be very many
		for i, word := range words {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(word)
		}
		b.WriteByte('\n')
	}
	line(version)
	for tenant, rules := range f {
		line(tenant)
		for i := range rules {
			r := &rules[i]
			line("", amount(int64(r.Unit)), orDash(r.Period), r.Zone, amount(r.Hard), amount(r.Light))
		}
	}
	b.Flush() //nolint:errcheck // into memory
	w.Close() //nolint:errcheck // into memory
	return out.Bytes()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func amount(n int64) string {
	if n == Unlimited {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// decode is the inverse of encode. It fails with errMalformed.
func decode(body []byte) (map[string][]Rule, error) {
	lines := bufio.NewScanner(io.LimitReader(flate.NewReader(bytes.NewReader(body)), maxFile))
	if !lines.Scan() || lines.Text() != version {
		return nil, errMalformed
	}
	file, tenant := map[string][]Rule{}, ""
	for lines.Scan() {
		text, isRule := strings.CutPrefix(lines.Text(), " ")
		if !isRule {
			tenant = text
			file[tenant] = nil
			continue
		}
		r, err := parse(strings.Fields(text))
		if err != nil || tenant == "" {
			return nil, errMalformed
		}
		file[tenant] = append(file[tenant], r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return file, nil
}

// parse reads the words of a rule's line.
func parse(words []string) (r Rule, err error) {
	if len(words) != 5 {
		return r, errMalformed
	}
	unit, err := strconv.ParseUint(words[0], 10, 8)
	if err != nil || record.Unit(unit) > record.UnitConcurrent {
		return r, errMalformed
	}
	r = Rule{Unit: record.Unit(unit), Period: words[1], Zone: words[2], Hard: Unlimited, Light: Unlimited}
	if r.Period == "-" {
		r.Period = ""
	}
	for i, to := range [...]*int64{&r.Hard, &r.Light} {
		if text := words[3+i]; text != "-" {
			if *to, err = strconv.ParseInt(text, 10, 64); err != nil || *to < 0 {
				return r, errMalformed
			}
		}
	}
	return r, nil
}

// digest names an encoded file.
func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

// withParents is the tenants of a file and all those above them: who spends below one
// spends from it, so a file knows it without naming it.
func withParents(file map[string][]Rule) map[string]bool {
	known := make(map[string]bool, len(file))
	for tenant := range file {
		for tenant != "" && !known[tenant] {
			known[tenant] = true
			tenant = tenant[:max(0, strings.LastIndexByte(tenant, '/'))]
		}
	}
	return known
}
