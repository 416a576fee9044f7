package decision

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Fact is a line of what is said of a decision.
type Fact struct{ What, Is string }

// Facts say for people what became of a request, but for its legs.
func (d *Decision) Facts() []Fact {
	var all []Fact
	say := func(what string, parts ...string) {
		if text := joined(parts...); text != "" {
			all = append(all, Fact{what, text})
		}
	}
	say("request", d.ID)
	say("received", d.Received.UTC().Format("2006-01-02 15:04:05.000Z"), from(d))
	say("gateway", d.Gateway)
	say("tenant", d.Tenant, named("user", d.User))
	say("session", d.Session, inLoop(d.Signal))
	say("key", d.Key, named("not proven:", d.Claimed))
	say("asked", d.Method, d.Operation, d.Asked)
	say("answer", strconv.Itoa(d.Status), d.Error, named("from", d.Served), "after "+d.Duration.String())
	say("refused at", d.Step, inStep(d.Step))
	say("message", d.Message)
	say("way", named("cascade", d.Cascade), named("path", d.Path), named("rule", d.Rule))
	say("decided by", d.Reason, reasonWords(d.Reason))
	if d.Cap > 0 {
		say("output cap", strconv.FormatInt(d.Cap, 10)+" tokens", cut(d.Cut))
	}
	if d.CostState != "" {
		say("cost", "$"+d.Cost.String(), unless(d.CostState, "known"))
	}
	return all
}

// WriteText writes a decision for people.
func (d *Decision) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range d.Facts() {
		fmt.Fprintf(t, "%s\t%s\n", f.What, f.Is)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range d.Legs {
		if err := d.Legs[i].writeText(w); err != nil {
			return err
		}
	}
	return nil
}

func (l *Leg) writeText(w io.Writer) error {
	attempt := ""
	if l.Attempt > 1 {
		attempt = fmt.Sprintf(" attempt %d", l.Attempt)
	}
	if _, err := fmt.Fprintf(w, "\nleg %d%s\n", l.Index, attempt); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(what string, parts ...string) {
		if text := joined(parts...); text != "" {
			fmt.Fprintf(t, "  %s\t%s\n", what, text)
		}
	}
	say("model", l.Model, named("as", l.Path), named("because of", l.Reason))
	say("upstream", l.Upstream, l.Region, named("tier", l.Tier))
	say("levers", l.Did())
	say("outcome", l.Outcome, named("status", nonZero(l.Status)), l.Error, strings.Join(l.Is.Words(), ", "), l.Stop)
	if !l.Began.IsZero() {
		say("time", l.Began.UTC().Format("15:04:05.000Z"), "for "+l.Took.String())
	}
	say("tokens", l.Tokens.String())
	if l.CostState != "" {
		say("cost", "$"+l.Cost.String(), unless(l.CostState, "known"), named("by prices", l.PriceVersion),
			named("paid by", l.Payer))
	}
	say("upstream id", l.UpstreamID)
	say("record", l.Record)
	for i := range l.Effects {
		e := &l.Effects[i]
		say("counted in", e.Tenant, e.Period, e.Unit+":", e.amount(e.Posted), e.kept())
	}
	return t.Flush()
}

// String is the time span as Go writes durations.
func (m Microseconds) String() string { return m.Duration().String() }

// Did says what the levers did, "" for nothing.
func (l *Levers) Did() string {
	var all []string
	for _, of := range [...][2]string{
		{"residency: in place of ", l.Named}, {"tier: ", l.Tiers}, {"prompt cache: ", l.Cache},
		{"capacity: ", l.Capacity}, {"quota: ", l.waited()},
	} {
		if of[1] != "" {
			all = append(all, of[0]+of[1])
		}
	}
	return strings.Join(all, "; ")
}

// waited says how long the call waited, and for what.
func (l *Levers) waited() string {
	if l.Lines == "" {
		return ""
	}
	return "waited " + l.Waited.Duration().Round(time.Millisecond).String() + " in line of " + l.Lines
}

// String names the counts that are known.
func (t *Tokens) String() string {
	var all []string
	for _, one := range [...]struct {
		n    Count
		name string
	}{
		{t.Input, "input"}, {t.Output, "output"}, {t.CacheRead, "cache read"}, {t.CacheWrite5m, "cache write 5m"},
		{t.CacheWrite1h, "cache write 1h"},
	} {
		if one.n.Known && (one.n.N > 0 || one.name == "input" || one.name == "output") {
			all = append(all, fmt.Sprintf("%d %s", one.n.N, one.name))
		}
	}
	return strings.Join(all, ", ")
}

// Amounts are what was counted and what was kept back as decimals: dollars, tokens or requests.
func (e *Effect) Amounts() (posted, suspense string) {
	return strings.TrimPrefix(e.amount(e.Posted), "$"), strings.TrimPrefix(e.amount(e.Suspense), "$")
}

func (e *Effect) amount(n int64) string {
	if e.Unit == "usd" {
		return "$" + (money.Pico(n) * money.Nano).String()
	}
	return strconv.FormatInt(n, 10)
}

func (e *Effect) kept() string {
	if e.Suspense == 0 {
		return ""
	}
	return "and " + e.amount(e.Suspense) + " kept back, because what it came to is not known"
}

func joined(parts ...string) string {
	kept := parts[:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " ")
}

func named(what, value string) string {
	if value == "" {
		return ""
	}
	return what + " " + value
}

func unless(value, usual string) string {
	if value == usual {
		return ""
	}
	return "(" + value + ")"
}

func nonZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func from(d *Decision) string {
	if !d.From.IsValid() {
		return ""
	}
	return "from " + d.From.String()
}

func inLoop(signal string) string {
	if signal == "" {
		return ""
	}
	return "(it seems to go round in circles: " + signal + ")"
}

func cut(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("(%d fewer than asked for)", n)
}

// inStep says what a step of the request line does.
func inStep(step string) string {
	switch step {
	case "accept":
		return "(its head or body, before anything else)"
	case "authenticate":
		return "(who the caller is)"
	case "read":
		return "(what the request is, and whether the key may ask that)"
	case "plan":
		return "(which models may serve it)"
	case "reserve":
		return "(budgets and limits)"
	case "ask":
		return "(asking the upstream)"
	}
	return ""
}

// reasonWords say what a check's word means. A rule's is its id in the configuration.
func reasonWords(reason string) string {
	switch reason {
	case "agree":
		return "(the light answer and the second opinion are the same)"
	case "disagree":
		return "(the light answer and the second opinion differ)"
	case "unknown":
		return "(no check could decide)"
	case "score":
		return "(the certified threshold decided)"
	case "check_timeout":
		return "(the checks did not end in time)"
	case "buffer":
		return "(the answer is too large to hold back)"
	case "guard":
		return "(not escalated: the escalation budget is used up)"
	case "parallel":
		return "(both models were asked at the same time)"
	case "session":
		return "(the conversation reached the escalation model before)"
	case "warm":
		return "(its prompt cache makes the escalation model cheaper)"
	case "pre_score":
		return "(it would most likely have been escalated anyway)"
	case "light_only":
		return "(a budget allows the light model alone)"
	case "session_budget":
		return "(what its session may spend allows the light model alone)"
	case "session_loop":
		return "(its session seems to go round in circles, so the light model alone serves it)"
	case "light_error":
		return "(the light model failed)"
	case "unsupported":
		return "(the light model does not take what the request needs)"
	case "uncertified":
		return "(the cascade would enforce, but no certificate holds)"
	case "mode_observe":
		return "(the cascade only observes)"
	}
	return ""
}

// WriteTable writes decisions one a line.
func WriteTable(w io.Writer, all []Decision) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row("RECEIVED", "REQUEST", "TENANT", "MODEL", "SERVED", "PATH", "REASON", "STATUS", "LEGS", "COST", "TIME")
	for i := range all {
		d := &all[i]
		cost := "-"
		if d.CostState != "" {
			cost = "$" + d.Cost.String()
		}
		why := d.Reason
		if d.Error != "" {
			why = d.Error
		}
		row(d.Received.UTC().Format("01-02T15:04:05Z"), d.ID, orDash(d.Tenant), orDash(d.Asked), orDash(d.Served),
			orDash(d.Path), orDash(why), strconv.Itoa(d.Status), strconv.Itoa(len(d.Legs)), cost,
			d.Duration.Duration().Round(time.Millisecond).String())
	}
	return t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
