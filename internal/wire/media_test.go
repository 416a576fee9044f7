package wire

import "testing"

func TestMediaBytes(t *testing.T) {
	f := func(op Operation, d *Dialect, body string, want int) {
		t.Helper()
		var facts Facts
		if err := facts.Read(op, d, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if facts.MediaBytes != want {
			t.Errorf("%s: %d media bytes, want %d", body, facts.MediaBytes, want)
		}
	}
	f(OpConverse, nil, `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`, 0)
	f(OpConverse, nil, `{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}]}`,
		len(`{"format":"png","source":{"bytes":"AAAA"}}`))
	f(OpConverse, nil, `{"messages":[{"role":"user","content":[{"document":{"format":"pdf","name":"a",`+
		`"source":{"bytes":"AAAA"}}}]}]}`, 4)
	f(OpConverse, nil, `{"messages":[{"role":"user","content":[{"image":null},{"text":"{\"image\":\"AAAA\"}"}]}]}`, 0)
	f(OpInvoke, DialectNamed("anthropic"), `{"messages":[{"role":"user","content":[{"type":"image",`+
		`"source":{"type":"base64","data":"AAAAAAAA"}},{"type":"text","text":"x"}]}]}`, 8)
}
