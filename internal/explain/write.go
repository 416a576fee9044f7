package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-gateway/sluice/internal/forecast"
)

// WriteJSON writes the explanation for programs.
func (e *Explanation) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(e)
}

// WriteText writes the explanation for people.
func (e *Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(head, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", head, fmt.Sprintf(format, args...))
	}
	line("request", "%s", e.request())
	if e.Refused == nil || e.InputTokens > 0 {
		line("facts", "%s", e.facts())
	}
	if e.Cascade != "" {
		line("cascade", "%s, mode %s, %s", e.Cascade, e.Mode, e.certainty())
	}
	for _, f := range e.Faults {
		line("failed", "condition %s of cascade %s: %s", f.Rule, f.Cascade, f.Error)
	}
	if e.Refused != nil {
		line("refused", "%s: %s", e.Refused.Type, e.Refused.Message)
	} else {
		line("path", "%s%s", e.Path, after(e.Reason, ", reason "))
		line("why", "%s", e.Why)
	}
	for _, s := range e.Skipped {
		line("skipped", "%s: %s", s.Model, s.Why)
	}
	for i := range e.Legs {
		l := &e.Legs[i]
		line(fmt.Sprintf("leg %d", i+1), "%s %s%s, %s, %s", l.Role, l.Model,
			after(l.Profile, " as "), l.where(), l.output())
		if l.Named != "" {
			line("", "the global profile in place of %s, as the residency is any", l.Named)
		}
		if len(l.Spills) > 0 {
			line("", "when it throttles: %s", strings.Join(l.Spills, ", then "))
		}
		if l.Quota != "" {
			line("", "quota: %s", l.Quota)
		}
		if l.Cache != "" {
			line("", "cache points: %s", l.Cache)
		}
		if l.Guardrail != "" {
			line("", "the guardrail %s", l.Guardrail)
		}
		line("", "path %s%s, reserves %s (%s at the estimate), expects %s",
			l.Path, after(l.Reason, ", reason "), l.Reserved, l.AtEstimate, l.Expected)
	}
	for _, s := range e.Shadows {
		line("shadow", "%s %s, for %g of the requests, paid by %s", s.Role, s.Model, s.Fraction, s.Tenant)
	}
	if e.Refused == nil {
		line("reserved", "%s, the worst case of all legs (%s at the estimate)%s", e.Reserved, e.AtEstimate, e.holder())
		line("expected", "%s", e.expectation())
	}
	for _, s := range e.Budgets {
		line("budget", "%s%s", s.Sentence(), e.tooLittle(s))
	}
	if e.BudgetsUnknown != "" {
		line("budgets", "how they stand is not known: %s", e.BudgetsUnknown)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// holder says whether there is anything to hold of.
func (e *Explanation) holder() string {
	if e.Held {
		return ""
	}
	return "; no budget or limit applies, so nothing is held"
}

// tooLittle says that a budget would refuse the request, as far as is known.
func (e *Explanation) tooLittle(s *forecast.State) string {
	if s.OnExceed == "notify" || e.Refused != nil || !e.Reserved.Known || e.Reserved.Pico <= s.Left {
		return ""
	}
	return "; that is less than this request reserves"
}

func (e *Explanation) certainty() string {
	if e.Threshold == nil {
		return e.Quality
	}
	return fmt.Sprintf("certified up to risk %g: %s", *e.Threshold, e.Quality)
}

func (e *Explanation) request() string {
	model := fmt.Sprintf("model %q", e.Model)
	if e.Resolved != e.Model {
		model += " = " + e.Resolved
	}
	return fmt.Sprintf("%s, tenant %s%s, %s", e.Operation, e.Tenant, after(e.Key, ", key "), model)
}

func (e *Explanation) facts() string {
	how := ""
	if e.Estimated {
		how = " (estimated)"
	}
	limit := "none named"
	if e.MaxTokens != nil {
		limit = fmt.Sprint(*e.MaxTokens)
	}
	return fmt.Sprintf("input %d tokens%s, turns %d, images %d, documents %d, tools %d, max tokens %s",
		e.InputTokens, how, e.Turns, e.Images, e.Documents, e.Tools, limit)
}

// where says which upstream takes the call, or which of a pool do.
func (l *Leg) where() string {
	if l.Pool == "" {
		return "upstream " + orDefault(l.Upstream)
	}
	return "pool " + l.Pool + ": " + strings.Join(l.Members, " or ")
}

func (l *Leg) output() string {
	limit := "output without a bound"
	if l.MaxOutput != nil {
		limit = fmt.Sprintf("output up to %d tokens", *l.MaxOutput)
	}
	if l.Capped != "" {
		limit += fmt.Sprintf(", capped at %s", l.Capped)
	}
	if l.Tiers != "" {
		limit += "; service tier " + l.Tiers
	}
	if l.Capacity != "" {
		limit += "; first in capacity " + l.Capacity
	}
	return limit
}

func (e *Explanation) expectation() string {
	assumed := fmt.Sprintf("at %d output tokens", e.Output)
	if len(e.Legs) == 1 {
		return e.Expected.String() + " " + assumed
	}
	text := fmt.Sprintf("%s if the first answer stands, %s if every leg is asked, %s", e.First, e.All, assumed)
	if e.Expected.Known {
		text = e.Expected.String() + " in the mean: " + text
	}
	return text
}

func after(s, prefix string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func orDefault(upstream string) string {
	if upstream == "" {
		return "default"
	}
	return upstream
}
