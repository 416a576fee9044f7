package anthropic

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// The models of the tests, by the names that callers use.
var testModels = map[string]caller.Model{
	"claude":  modelOf("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Family),
	"claude3": modelOf("anthropic.claude-3-haiku-20240307-v1:0", Family),
	"nova":    modelOf("amazon.nova-lite-v1:0", "nova"),
	"nova2":   modelOf("us.amazon.nova-2-lite-v1:0", "nova"),
	"llama":   modelOf("us.meta.llama3-1-8b-instruct-v1:0", "llama"),
	"oss":     modelOf("openai.gpt-oss-120b-1:0", "openai"),
	"mistral": modelOf("mistral.mistral-large-2402-v1:0", "mistral"),
	"opaque":  {ID: "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"},
	"opus":    modelOf("anthropic.claude-opus-5-5-v1:0", ""), // a Claude that is asked by Converse
	"unheard": {ID: "does-not-exist"},
}

// testModel is a model by its name in the tests, or by its id.
func testModel(name string) caller.Model {
	for short, m := range testModels {
		if name == short || name == m.ID {
			return m
		}
	}
	return caller.Model{}
}

func modelOf(id, family string) caller.Model {
	return caller.Model{ID: id, Foundation: wire.ParseModelID(id).Foundation, Family: family}
}

// request is one of Messages with a policy and header fields.
func request(body string, policy caller.Policy, header ...wire.Field) *caller.Request {
	return &caller.Request{
		ID: "01REQUEST", Path: "/v1/messages", Header: header, Body: []byte(body), Policy: policy,
		Received: time.Unix(1_700_000_000, 0),
		Model:    testModel,
		Foreign:  func(*caller.Native) bool { return false },
	}
}

// sameJSON compares two texts as JSON.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err, want)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Error(err, got)
		return false
	}
	return reflect.DeepEqual(g, w)
}

// ask wraps members of a request: a model and its turns, and what else is said.
func ask(model, more string, turns ...string) string {
	body := `{"model":"` + model + `","messages":[` + strings.Join(turns, ",") + `]`
	if !strings.Contains(more, `"max_tokens"`) {
		body += `,"max_tokens":100`
	}
	if more != "" {
		body += "," + more
	}
	return body + "}"
}

func user(content string) string      { return `{"role":"user","content":` + content + `}` }
func assistant(content string) string { return `{"role":"assistant","content":` + content + `}` }

const hi = `{"role":"user","content":"hi"}`

func native(t *testing.T, r *caller.Request) *caller.Native {
	t.Helper()
	n, failure := Open("POST", "/v1/messages").Native(r)
	if failure != nil {
		t.Fatalf("%s\n%s", r.Body, failure.Message)
	}
	return n
}
