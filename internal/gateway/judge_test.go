package gateway

import (
	"bytes"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	judgeModel = "us.amazon.nova-pro-v1:0"
	judging    = partnered + "    mode: observe\n" + judgedShadow

	judgedShadow = "    shadow: {tenant: platform/shadow, fraction: 1, judge: \"" + judgeModel + "\"}\n"
)

// judged scripts a judge that says lightFirst where the answer of the light
// model, which contains LIGHT, stands before the other, and else strongFirst.
func judged(light, strong, lightFirst, strongFirst string) func(*engine.Request) reply {
	models := byModel(reply{text: light}, reply{text: light}, reply{text: strong})
	return func(r *engine.Request) reply {
		switch at, other := bytes.Index(r.Body, []byte("LIGHT")), bytes.Index(r.Body, []byte("STRONG")); {
		case r.Model != judgeModel:
			return models(r)
		case at < other:
			return reply{text: lightFirst}
		default:
			return reply{text: strongFirst}
		}
	}
}

// TestJudgeLabels asks the judge in both orders, at the cost of the shadow
// tenant, and only where the keys differ.
func TestJudgeLabels(t *testing.T) {
	f := func(name, strong, lightFirst, strongFirst string, want, keys string, asked int) {
		t.Helper()
		s := compiled(t, judging)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(27 * 366 * 24 * time.Hour)
			b := newBench(s, judged("LIGHT: the answer is 41", strong, lightFirst, strongFirst))
			b.books.cost = 7
			b.line.shadows.Pairs.Dir = t.TempDir()
			b.do(b.ask(t.Context(), wire.OpConverseStream, hello))
			b.line.Close(t.Context())
			p := onlyPair(t, b.line.shadows.Pairs.Dir)
			if diff := cmp.Diff(pairs.Won(want), p.Judge); diff != "" || p.Label != keys {
				t.Errorf("%s: keys %s, want %s; judge %s", name, p.Label, keys, diff)
			}
			if p.JudgeCost != money.Pico(7*asked) {
				t.Errorf("%s: %d calls of the judge cost %d", name, asked, p.JudgeCost)
			}
			n := 0
			for _, start := range b.books.starts {
				if start.Model != judgeModel {
					continue
				}
				n++
				if start.Tenant != "platform/shadow" || start.Path != "shadow" || start.RequestID != "01" ||
					start.Cascade != "support" || start.Op != wire.OpConverse {
					t.Errorf("%s: %+v", name, start)
				}
			}
			if n != asked {
				t.Errorf("%s: the judge was asked %d times, want %d", name, n, asked)
			}
			if open := b.upstream.active.Load(); open != 0 || b.line.open.Load() != 0 {
				t.Errorf("%s: %d calls and %d requests are open", name, open, b.line.open.Load())
			}
		})
	}
	const other = "STRONG: the answer is 42"
	f("the escalation model's is better", other, "SECOND", "FIRST", "escalation", "different", 2)
	f("the light one is better", other, "FIRST", "SECOND", "light", "different", 2)
	f("the first is always better", other, "FIRST", "FIRST", "tie", "different", 2)
	f("no difference", other, "TIE", "TIE", "tie", "different", 2)
	f("no word of the three", other, "SECOND", "The FIRST one.", "", "unknown", 2)
	f("no answer at all", other, "", "FIRST", "", "unknown", 2)
	f("the keys are the same", "STRONG: the answer is 41", "SECOND", "FIRST", "", "same", 0)
}

// TestJudgeIsHeldToThePolicy leaves the label open where the caller's tenant may
// not use the judge, and where the judge would not see everything.
func TestJudgeIsHeldToThePolicy(t *testing.T) {
	f := func(name, body, denied string) {
		t.Helper()
		s := compiled(t, judging)
		s.Config.Tenants[0].DenyModels = []string{denied}
		secrets, _ := credentials()
		s.Tenants, _ = tenant.Build(s.Config, secrets)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(27 * 366 * 24 * time.Hour)
			b := newBench(s, judged("LIGHT: the answer is 41", "STRONG: the answer is 42", "SECOND", "FIRST"))
			b.line.shadows.Pairs.Dir = t.TempDir()
			b.do(b.ask(t.Context(), wire.OpConverse, body))
			b.line.Close(t.Context())
			if p := onlyPair(t, b.line.shadows.Pairs.Dir); p.Label != "unknown" || p.Judge != nil {
				t.Errorf("%s: %s, %+v", name, p.Label, p.Judge)
			}
		})
	}
	f("denied", hello, "*nova-pro*")
	f("an image", `{"messages":[{"role":"user","content":[{"text":"hello"},{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}]}`, "none")
	f("too long", `{"messages":[{"role":"user","content":[{"text":"`+string(bytes.Repeat([]byte("x"), 64<<10))+`"}]}]}`,
		"none")
}

// TestJudgeWatches feeds the watch with what the judge says: light answers that
// differ and are as good do not refute, those that are worse do.
func TestJudgeWatches(t *testing.T) {
	f := func(lightFirst, strongFirst, want string) {
		t.Helper()
		s := compiled(t, partnered+"    mode: enforce\n"+judgedShadow)
		if problem := certifiedAt(t, s, 1, asIs); problem != "" {
			t.Fatal(problem)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, judged("LIGHT: the answer is 41", "STRONG: the answer is 42", lightFirst, strongFirst))
			for range 50 {
				b.do(b.ask(t.Context(), wire.OpConverse, hello))
				synctest.Wait()
			}
			if got := b.do(b.ask(t.Context(), wire.OpConverse, hello)).path; got != want {
				t.Errorf("the judge says %s and %s: %s, want %s", lightFirst, strongFirst, got, want)
			}
			b.line.Close(t.Context())
		})
	}
	f("SECOND", "FIRST", "direct")
	f("TIE", "TIE", "light")
	f("FIRST", "SECOND", "light")
	f("what?", "FIRST", "light")
}

func onlyPair(t *testing.T, dir string) *pairs.Pair {
	t.Helper()
	data, err := os.ReadFile(pairs.File(dir, "support"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*pairs.Pair
	_, err = pairs.Read(bytes.NewReader(data), func(p *pairs.Pair) error {
		all = append(all, p)
		return nil
	})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d pairs, %v", len(all), err)
	}
	return all[0]
}
