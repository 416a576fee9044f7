package cascade

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// Who labelled a pair, as the certificate says it. A human's label goes before a
// judge's, a judge's before what the keys of the answers say.
const (
	byHuman = "human"
	byJudge = "judge"
	byKeys  = "keys"
)

// How often a judge has to agree with the human labels, and from how many pairs
// on that can be told.
const (
	judgeAgrees  = 0.8
	judgeChecked = 30
)

// labels are where the qualities of pairs come from.
type labels struct {
	human   map[string]pairs.Verdict // by id of the pair
	noJudge bool                     // what a judge said is left out

	used map[string]int      // pairs of the certificate by who labelled them
	seen map[string]struct{} // ids of human labels that a pair has
	both []judged
}

// judged is a pair that a human and a judge have labelled.
type judged struct{ human, judge pairs.Verdict }

// readLabels reads a file of human labels; "" is none.
func readLabels(file string) (*labels, error) {
	l := &labels{used: map[string]int{}, seen: map[string]struct{}{}}
	if file == "" {
		return l, nil
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, command.Invalid(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	if l.human, err = pairs.ReadLabels(in); err != nil {
		return nil, command.Invalidf("%s: %w", file, err)
	}
	return l, nil
}

// of returns the verdict on a pair that is taken and whose it is, "" when nobody
// has one.
func (l *labels) of(p *pairs.Pair) (verdict pairs.Verdict, by string) {
	judge := p.Judge
	if l.noJudge {
		judge = nil
	}
	human, ok := l.human[p.ID]
	switch {
	case ok:
		l.seen[p.ID] = struct{}{}
		if judge != nil {
			l.both = append(l.both, judged{human, *judge})
		}
		return human, byHuman
	case judge != nil:
		return *judge, byJudge
	case p.Label == "same":
		return pairs.Verdict{Light: 1, Escalation: 1}, byKeys
	case p.Label == "different":
		return pairs.Verdict{Light: 0, Escalation: 1}, byKeys
	}
	return pairs.Verdict{}, ""
}

// unmatched are the ids of human labels that no taken pair has, in order.
func (l *labels) unmatched() []string {
	var ids []string
	for id := range l.human {
		if _, ok := l.seen[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// agreement is how often judge and human prefer the same answer, and the mean
// loss that each sees.
func (l *labels) agreement() (share, human, judge float64) {
	n := float64(len(l.both))
	for _, b := range l.both {
		if sign(b.human.Loss()) == sign(b.judge.Loss()) {
			share += 1 / n
		}
		human += b.human.Loss() / n
		judge += b.judge.Loss() / n
	}
	return share, human, judge
}

func sign(x float64) int {
	switch {
	case math.Abs(x) < 1e-9:
		return 0
	case x > 0:
		return 1
	}
	return -1
}

// check holds the judge against the humans. It fails when they disagree so often
// that the judge's labels prove nothing.
func (l *labels) check() error {
	if l.used[byJudge] == 0 || len(l.both) < judgeChecked {
		return nil
	}
	if share, _, _ := l.agreement(); share < judgeAgrees {
		return fmt.Errorf("the judge agrees with the human labels on %.0f %% of %d pairs, %.0f %% are needed: ask another judge, or leave it out with --no-judge",
			100*share, len(l.both), 100*judgeAgrees)
	}
	return nil
}

const maxShown = 10 // ids

// print says whose labels were taken and what is doubtful about them.
func (l *labels) print(out io.Writer) {
	fmt.Fprintf(out, "labels: %d by humans, %d by a judge, %d by comparing keys\n", l.used[byHuman], l.used[byJudge], l.used[byKeys])
	if ids := l.unmatched(); len(ids) > 0 {
		more := ""
		if len(ids) > maxShown {
			more = fmt.Sprintf(" and %d more", len(ids)-maxShown)
		}
		fmt.Fprintf(out, "  %d human labels have no pair among those taken: %s%s\n", len(ids), strings.Join(ids[:min(len(ids), maxShown)], ", "), more)
	}
	if l.used[byJudge] == 0 {
		return
	}
	if len(l.both) < judgeChecked {
		fmt.Fprintf(out, "  warning: the judge is checked on %d pairs with a human label; label %d\n", len(l.both), judgeChecked)
		return
	}
	share, human, judge := l.agreement()
	fmt.Fprintf(out, "  the judge agrees with the human labels on %.1f %% of %d pairs; mean loss %.2f points by humans, %.2f by the judge\n",
		100*share, len(l.both), 100*human, 100*judge)
}
