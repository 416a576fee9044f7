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

const (
	easyPrompt = "hello"
	hardPrompt = "1 2 3 4 5 6 7 8 9 10 11 12 13"
)

// trained writes a score file that knows hardPrompt to end in wrong answers,
// and returns its hash.
func trained(t *testing.T, file string) string {
	t.Helper()
	a := &answer.Answer{Text: "the answer is 42"}
	key := answer.KeyOf(&answer.Request{}, a)
	rows := make([]score.Row, 200)
	for i := range rows {
		rows[i] = score.Row{Input: score.Input{Prompt: easyPrompt, Light: a, Partner: a, LightK: key, PartK: key}, Light: 1,
			Escalation: 1}
		if i%2 == 0 {
			rows[i].Input.Prompt, rows[i].Light = hardPrompt, 0
		}
	}
	data := score.TrainModel(rows, 1).Encode()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return score.FileHash(data)
}

// TestTrainedScoreDecides has the certificate say which order its threshold is
// about.
func TestTrainedScoreDecides(t *testing.T) {
	file := filepath.Join(t.TempDir(), "support.score")
	hash := trained(t, file)
	same := reply{text: "the answer is 42"}
	f := func(name, prompt string, scores map[string]string, path, reason string) {
		t.Helper()
		s := compiled(t, enforcing+"    score: "+file+"\n")
		if problem := certifiedAt(t, s, 0.9, func(b *certify.Binding) { b.Scores = scores }); problem != "" {
			t.Fatal(problem)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, byModel(same, same, same))
			got := b.do(b.ask(t.Context(), wire.OpConverse, strings.Replace(hello, "hello", prompt, 1)))
			b.line.Close(t.Context())
			if got.path != path || got.reason != reason {
				t.Errorf("%s: %s %q, want %s %q", name, got.path, got.reason, path, reason)
			}
		})
	}
	bound := map[string]string{certify.RoleScore: hash}
	f("easy", easyPrompt, bound, "light", "agree")
	f("hard", hardPrompt, bound, "escalated", "score")
	f("hard, and not certified with the score", hardPrompt, map[string]string{}, "light", "agree")
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
		c := b.line.accept(b.ask(t.Context(), wire.OpConverse, body))
		if err := b.line.authenticate(c); err != nil {
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
