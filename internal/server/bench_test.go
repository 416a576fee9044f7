package server

import (
	"bytes"
	"io"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// BenchmarkEdgeHTTP2 is the edge's part of a request of 2 KB, with a caller that costs
// two system calls.
func BenchmarkEdgeHTTP2(b *testing.B) {
	answer := strings.Repeat("a", 700)
	s := start(b, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		defer r.Body.Release()
		if _, err := r.Body.ReadAll(); err != nil {
			b.Error(err)
		}
		return &gateway.Response{Status: 200, Body: []byte(answer), Header: wire.Header{
			{Name: "content-type", Value: "application/json"}, {Name: "x-amzn-requestid", Value: r.ID},
			{Name: "x-amzn-bedrock-input-token-count", Value: "1200"}, {Name: "x-sluice-model", Value: "amazon.nova-lite-v1:0"},
			{Name: "x-sluice-path", Value: "escalate"}, {Name: "x-sluice-reason", Value: "session"},
		}}
	})})
	c := dial(b, s)
	io.WriteString(c, xhttp2.ClientPreface)
	var out bytes.Buffer
	send := xhttp2.NewFramer(&out, nil)
	send.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30})
	send.WriteWindowUpdate(0, 1<<30)
	receive := xhttp2.NewFramer(io.Discard, c)
	receive.SetReuseFrames()
	head := block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/model/auto/converse",
		"content-type", "application/json", "content-length", "2048", "authorization", "Bearer slk_"+strings.Repeat("k", 80),
		"user-agent", "benchmark")
	body := []byte(strings.Repeat("b", 2048))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		id := uint32(2*i + 1)
		send.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true})
		send.WriteData(id, true, body)
		if _, err := out.WriteTo(c); err != nil {
			b.Fatal(err)
		}
		for {
			f, err := receive.ReadFrame()
			if err != nil {
				b.Fatal(err)
			}
			if d, ok := f.(*xhttp2.DataFrame); ok && d.StreamEnded() {
				break
			}
		}
	}
}
