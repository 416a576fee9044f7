package anthropic

import (
	"encoding/base64"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// BenchmarkReframed is an event of InvokeModel's stream on its way to a caller of Messages.
func BenchmarkReframed(b *testing.B) {
	const event = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" piece number 7"}}`
	payload := `{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(event)) + `","p":"abcdefghijklmnopqrstuvwxyz"}`
	raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"},
		{Name: ":content-type", Value: "application/json"}, {Name: ":message-type", Value: "event"}}, []byte(payload))
	s := Open("POST", "/v1/messages").Stream(&caller.Answer{Op: wire.OpInvokeStream})
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out, _ = s.Frame(out[:0], wire.SplitFrame(raw))
	}
}

// BenchmarkInvoke is a request of Messages on its way to InvokeModel.
func BenchmarkInvoke(b *testing.B) {
	body := ask("claude", `"temperature":0.2,"tools":[`+tool+`,`+tool+`],"stop_sequences":["x"],"system":"be kind"`, hi)
	b.ReportAllocs()
	for b.Loop() {
		if _, failure := Open("POST", "/v1/messages").Native(request(body, "")); failure != nil {
			b.Fatal(failure)
		}
	}
}
