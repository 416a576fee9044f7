package gateway

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// The answers of light models that the score of trained knows: a list is good, and a
// sentence that goes nowhere is not.
const (
	goodProse = "There are three ways to get there.\n- Take the stairs.\n- Take the lift.\n- Take the ramp.\nAll are open."
	badProse  = "It depends on what you have in mind and on whom you ask about it there"
	second    = "You can take the stairs, or the lift that is next to them"
)

// halfway is a risk above that of one half of the answers that a score was trained on.
const halfway = 1.355

// trained writes a score file for answers with a second opinion, or for those without,
// and returns its hash.
func trained(t *testing.T, file string, reach score.Reach) string {
	t.Helper()
	rows := make([]score.Answered, 200)
	for i := range rows {
		text, grade := goodProse, 8.0
		if i%2 == 0 {
			text, grade = badProse, 3
		}
		in := score.Input{Prompt: "hello\n", Light: &answer.Answer{Text: text}}
		if reach != score.Alone {
			in.Partner = &answer.Answer{Text: second}
		}
		rows[i] = score.Answered{Light: score.Features(&in), LightGrade: grade}
	}
	m, _ := score.CrossFit(rows, certify.DefaultGrid(), reach)
	data := m.Encode()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return score.FileHash(data)
}

// TestTrainedScoreDecides has the certificate say which order its threshold is about, and
// a score rank what has no key: with a second opinion, and without one where the cascade
// has no partner.
func TestTrainedScoreDecides(t *testing.T) {
	f := func(name, settings string, reach score.Reach, bound bool, light string, path, reason string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "support.score")
		scores := map[string]string{certify.RoleScore: trained(t, file, reach)}
		if !bound {
			scores = map[string]string{}
		}
		s := compiled(t, settings+"    score: "+file+"\n")
		if problem := certifiedAt(t, s, halfway, func(b *certify.Binding) { b.Scores = scores }); problem != "" {
			t.Fatal(problem)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, byModel(reply{text: light}, reply{text: second}, reply{text: second}))
			got := b.do(b.ask(t.Context(), wire.OpConverse, hello))
			b.line.Close(t.Context())
			if got.path != path || got.reason != reason {
				t.Errorf("%s: %s %q, want %s %q", name, got.path, got.reason, path, reason)
			}
		})
	}
	f("good", enforcing, score.Unkeyed, true, goodProse, "light", "score")
	f("bad", enforcing, score.Unkeyed, true, badProse, "escalated", "unknown")
	f("good, and not certified with the score", enforcing, score.Unkeyed, false, goodProse, "escalated", "unknown")
	f("agreeing", enforcing, score.Other, true, second, "light", "agree")
	lone := strings.Replace(enforcing, partnered, "", 1)
	f("good, without a partner", lone, score.Alone, true, goodProse, "light", "score")
	f("bad, without a partner", lone, score.Alone, true, badProse, "escalated", "unknown")
	f("good, trained with a partner", lone, score.Unkeyed, true, goodProse, "escalated", "unknown")
}

const (
	structured = `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":%q,"name":"n"}}}}}`
	withTool   = `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"look","inputSchema":{"json":%s}}}]}}`
)

func demanding(form, schema string) string {
	if form == structured {
		schema = `"` + strings.ReplaceAll(schema, `"`, `\"`) + `"`
		return strings.Replace(form, "%q", schema, 1)
	}
	return strings.Replace(form, "%s", schema, 1)
}

// TestSchemasAreCertified serves requests whose schema the pairs had, however it
// is written, and leaves all others to the escalation model.
func TestSchemasAreCertified(t *testing.T) {
	const schema, respelt, other = `{"type":"object","required":["answer"]}`,
		`{ "required": ["answer"], "type": "object" }`, `{"type":"object","required":["reply"]}`
	for _, form := range []string{structured, withTool} {
		s := compiled(t, enforcing)
		hash := schemaOf(t, s, demanding(form, schema))
		if problem := certifiedAt(t, s, 1, func(b *certify.Binding) { b.Schemas = []string{hash} }); problem != "" {
			t.Fatal(problem)
		}
		synctest.Test(t, func(t *testing.T) {
			same := reply{text: `{"answer": 42, "reply": 42}`}
			b := newBench(s, byModel(same, same, same))
			var logged bytes.Buffer
			b.line.asker.Log = slog.New(slog.NewTextHandler(&logged, nil))
			f := func(body, path, reason string) {
				t.Helper()
				got := b.do(b.ask(t.Context(), wire.OpConverse, body))
				if got.path != path || got.reason != reason {
					t.Errorf("%s: %s %q, want %s %q", body, got.path, got.reason, path, reason)
				}
			}
			f(demanding(form, schema), "light", "agree")
			f(demanding(form, respelt), "light", "agree")
			f(demanding(form, other), "direct", "uncertified")
			f(demanding(form, other), "direct", "uncertified")
			f(hello, "direct", "uncertified")
			b.line.Close(t.Context())
			if n := strings.Count(logged.String(), "are not certified"); n != 2 {
				t.Errorf("%d warnings, want one for each schema:\n%s", n, &logged)
			}
		})
	}
}

// schemaOf is the hash that a gateway that observes logs for this body.
func schemaOf(t *testing.T, s *snapshot.Snapshot, body string) string {
	t.Helper()
	var hash string
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, byModel(reply{}, reply{}, reply{}))
		c, err := b.line.begin(b.ask(t.Context(), wire.OpConverse, body))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.line.read(c); err != nil {
			t.Fatal(err)
		}
		hash = b.line.cascades.schemas.Hash(c.request())
		c.finish()
	})
	return hash
}
