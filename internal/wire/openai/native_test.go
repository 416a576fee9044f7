package openai

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// TestPassing: what AWS serves itself passes as it came, but for what must not: nothing is stored, counts come with
// each stream, and the newest models get the cap by its new name and no sampling.
func TestPassing(t *testing.T) {
	request := func(path, model, members string, stores bool) (*caller.Native, *caller.Failure) {
		body := `{"model": "` + model + `"` + members + `}`
		r := &caller.Request{
			ID: "r1", Method: "POST", Path: path, Body: []byte(body), Stores: stores,
			Model: func(name string) caller.Model {
				return caller.Model{ID: name, Foundation: wire.ParseModelID(name).Foundation, Chat: true, Responses: true}
			},
			Cascaded: func(func() *caller.Native) bool { return false },
		}
		return Open("POST", path).Native(r)
	}
	const chat, responses = "/v1/chat/completions", "/v1/responses"
	const oss, gpt = "openai.gpt-oss-20b-1:0", "us.openai.gpt-5.6"
	f := func(path, model, members string, stores bool, want, dropped string) {
		t.Helper()
		n, failure := request(path, model, members, stores)
		if failure != nil {
			t.Fatal(failure.Message)
		}
		named := ""
		for _, d := range n.Dropped {
			named += d + " "
		}
		if string(n.Body) != `{"model": "`+model+`"`+want+`}` || named != dropped || !n.Op.IsOpenAI() {
			t.Errorf("%s: %s, %q", members, n.Body, named)
		}
	}
	as := func(path, model, members string) { t.Helper(); f(path, model, members, false, members, "") }
	as(chat, oss, ` , "messages" : [] , "x":{"y":1e400}`)
	as(chat, oss, `,"store":false,"max_tokens":5,"temperature":0.2`)
	as(chat, oss, `,"stream":true,"stream_options":{"a":1,"include_usage":true}`)
	as(responses, gpt, `,"store":false,"stream":true,"input":"item_reference"`)
	f(chat, oss, `,"store":true`, false, `,"store":false`, "store ")
	f(chat, oss, `,"store":true`, true, `,"store":true`, "")
	f(chat, oss, `,"stream":true`, false, `,"stream":true,"stream_options":{"include_usage":true}`, "")
	f(chat, oss, `,"stream":true,"stream_options":null`, false,
		`,"stream":true,"stream_options":{"include_usage":true}`, "")
	f(chat, oss, `,"stream_options":{"include_usage":false,"a":1},"stream":true`, false,
		`,"stream_options":{"include_usage":true,"a":1},"stream":true`, "")
	f(chat, gpt, `,"max_tokens":5`, false, `,"max_completion_tokens":5`, "")
	f(chat, gpt, `,"max_tokens":5,"max_completion_tokens":6`, false, `,"max_completion_tokens":6`, "")
	f(chat, gpt, `,"temperature":0.2,"top_p":1,"a":1`, false, `,"a":1`, "temperature ")
	as(chat, gpt, `,"temperature":0.2,"reasoning_effort":"none"`)
	f(responses, gpt, `,"input":"hi"`, false, `,"input":"hi","store":false`, "store ")
	f(responses, gpt, `,"store":null,"input":"hi"`, false, `,"store":false,"input":"hi"`, "store ")
	f(responses, gpt, `,"input":"hi","previous_response_id":"r"`, true, `,"input":"hi","previous_response_id":"r"`, "")
	f(responses, gpt, `,"top_p":0.3,"input":"hi"`, true, `,"input":"hi"`, "top_p ")
	for members, param := range map[string]string{
		`,"previous_response_id":"r"`: "previous_response_id", `,"conversation":{"id":"c"}`: "conversation",
		`,"background":true`: "background", `,"input":[{"type":"item_reference","id":"i"}]`: "input",
	} {
		if _, failure := request(responses, gpt, members, false); failure == nil || failure.Param != param {
			t.Errorf("%s: %+v", members, failure)
		}
	}
}
