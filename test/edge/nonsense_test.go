package edge

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// upstreamNonsense is E9.
func upstreamNonsense() row {
	return row{
		name: "E9 upstream nonsense",
		goal: "answers of an upstream that are none, and valid ones that are unusual",
		must: "modelled error that no SDK repeats, sent once, unknown in the books; valid ones pass unchanged",
		run:  nonsense,
	}
}

// reply is what an upstream writes, and whether it then keeps the connection.
type reply struct {
	op, raw string
	keep    bool
}

const (
	converse, stream, invoke = "converse", "converse-stream", "invoke"
	jsonType                 = "Content-Type: application/json\r\n"
	streamType               = "Content-Type: application/vnd.amazon.eventstream\r\n"
)

func sized(status, fields, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(body), body)
}

// typed is an answer with further fields, and ok one of JSON.
func typed(fields, body string) string { return sized("200 OK", fields, body) }
func ok(body string) string            { return typed(jsonType, body) }

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// broken are answers that must not count as success.
func broken(t *testing.T) map[string]reply {
	good := converseAnswer("hi")
	all := map[string]reply{
		"html":                  {converse, typed("Content-Type: text/html\r\n", "<html>ok</html>"), true},
		"html that says json":   {converse, ok("<html>ok</html>"), true},
		"json that says html":   {converse, typed("Content-Type: text/html\r\n", good), true},
		"xml":                   {invoke, typed("Content-Type: application/xml\r\n", "<a/>"), true},
		"empty":                 {converse, ok(""), true},
		"only white space":      {converse, ok(" \r\n\t"), true},
		"empty, invoke":         {invoke, ok(""), true},
		"nothing at all":        {converse, "HTTP/1.1 200 OK\r\n\r\n", false},
		"an array":              {converse, ok("[" + good + "]"), true},
		"null":                  {converse, ok("null"), true},
		"a number":              {converse, ok("1"), true},
		"an empty object":       {converse, ok("{}"), true},
		"a message":             {converse, ok(`{"message":"Internal"}`), true},
		"cut json":              {converse, ok(good[:len(good)-20]), true},
		"cut json, chunked":     {converse, inChunks(jsonType, good[:len(good)/2]), true},
		"cut json, invoke":      {invoke, ok(`{"content":[{"text":"a`), true},
		"cut at the end of all": {converse, "HTTP/1.1 200 OK\r\n" + jsonType + "\r\n" + good[:50], false},
		"two answers in one":    {converse, ok(good + good), true},
		"NUL in the text":       {converse, ok(strings.Replace(good, "hi", "h\x00i", 1)), true},
		"NUL behind it":         {converse, ok(good + "\x00"), true},
		"NUL in a field":        {converse, typed(jsonType+"X-Amzn-A: \x00\r\n", good), true},
		"NUL alone":             {converse, ok("\x00\x00\x00\x00"), true},
		"longer than it says": {
			converse, strings.Replace(ok(good), "Content-Length: ", "Content-Length: 1", 1), false,
		},
		"shorter than it says": {
			converse, "HTTP/1.1 200 OK\r\n" + jsonType + "Content-Length: 20\r\n\r\n" + good, false,
		},
		"two lengths": {converse, typed(jsonType+"Content-Length: 3\r\n", good), false},
		"no length, but a number": {
			converse, "HTTP/1.1 200 OK\r\n" + jsonType + "Content-Length: x\r\n\r\n" + good, false,
		},
		"length and chunks": {
			converse, strings.Replace(inChunks(jsonType, good), "\r\n", "\r\nContent-Length: 5\r\n", 1), false,
		},
		"cut chunk": {
			converse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{", false,
		},
		"bad chunk": {
			converse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", false,
		},
		"other transfer coding": {
			converse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false,
		},
		"204":                        {converse, "HTTP/1.1 204 No Content\r\n\r\n", true},
		"205":                        {converse, sized("205 Reset Content", jsonType, good), true},
		"206":                        {converse, sized("206 Partial Content", jsonType, good), true},
		"226":                        {converse, sized("226 IM Used", jsonType, good), true},
		"299":                        {converse, sized("299 Odd", jsonType, good), true},
		"101":                        {converse, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", false},
		"1xx without end":            {converse, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), false},
		"102 without an answer":      {converse, "HTTP/1.1 102 Processing\r\n\r\n", false},
		"gzip, not said":             {converse, ok(gzipped(good)), true},
		"gzip":                       {converse, typed(jsonType+"Content-Encoding: gzip\r\n", gzipped(good)), true},
		"identity, then gzip":        {converse, typed(jsonType+"Content-Encoding: identity, gzip\r\n", good), true},
		"gzip that is json":          {converse, typed(jsonType+"content-encoding: GZIP\r\n", good), true},
		"gzip, a stream":             {stream, typed(streamType+"Content-Encoding: gzip\r\n", gzipped("x")), true},
		"multipart":                  {invoke, typed("Content-Type: multipart/mixed; boundary=a\r\n", "--a--"), true},
		"a picture":                  {converse, typed("Content-Type: image/png\r\n", "\x89PNG"), true},
		"json for a stream":          {stream, ok(good), true},
		"html for a stream":          {stream, typed("Content-Type: text/html\r\n", "<html>"), true},
		"empty for a stream":         {stream, typed(streamType, ""), true},
		"stream for json":            {converse, typed(streamType, whole(t)), true},
		"stream of another type":     {stream, typed("Content-Type: application/octet-stream\r\n", whole(t)), true},
		"stream that says json":      {stream, ok(whole(t)), true},
		"server-sent events":         {stream, typed("Content-Type: text/event-stream\r\n", "data: {}\n\n"), true},
		"first frame with bad CRC":   {stream, typed(streamType, flip(whole(t), 20)), false},
		"first prelude with bad CRC": {stream, typed(streamType, flip(whole(t), 2)), false},
		"a frame of 4 GB":            {stream, typed(streamType, "\xff\xff\xff\xff\x00\x00\x00\x00aaaa"), false},
		"half a frame":               {stream, typed(streamType, whole(t)[:30]), false},
		"garbage for a stream":       {stream, typed(streamType, strings.Repeat("\x00", 200)), false},
		"no HTTP":                    {converse, "SSH-2.0-OpenSSH_9.6\r\n", false},
		"HTTP/2":                     {converse, "\x00\x00\x12\x04\x00\x00\x00\x00\x00", false},
		"HTTP/1.1 and no status":     {converse, "HTTP/1.1 \r\n\r\n", false},
		"status 99":                  {converse, sized("099 Low", jsonType, good), false},
		"folded field":               {converse, typed("X-A: a\r\n b\r\n", good), false},
		"bare line feeds":            {converse, strings.ReplaceAll(ok(good), "\r\n", "\n"), false},
		"reset at once":              {converse, "", false},
	}
	for _, status := range []string{"300", "301", "302", "303", "304", "305", "307", "308", "399"} {
		all["redirect "+status] = reply{
			converse, sized(status+" Elsewhere", "Location: http://127.0.0.1:1/\r\n"+jsonType, good), status != "304",
		}
	}
	for _, coding := range []string{"br", "deflate", "zstd", "compress", "x-gzip", "dcb", "unknown", "aws-chunked", "*"} {
		all["encoding "+coding] = reply{converse, typed(jsonType+"Content-Encoding: "+coding+"\r\n", good), true}
	}
	return all
}

// inChunks is an answer in chunks of some bytes.
func inChunks(fields, body string) string {
	out := "HTTP/1.1 200 OK\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n"
	for part := range slices.Chunk([]byte(body), 40) {
		out += fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
	}
	return out + "0\r\n\r\n"
}

// whole is a stream from its beginning to its end.
func whole(t *testing.T) string {
	var b bytes.Buffer
	for _, e := range [][2]string{
		{"messageStart", `{"role":"assistant"}`},
		{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"hi"}}`},
		{"contentBlockStop", `{"contentBlockIndex":0}`}, {"messageStop", `{"stopReason":"end_turn"}`},
		{"metadata", `{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}`},
	} {
		b.Write(harness.EncodeFrame(t, "event", e[0], e[1]))
	}
	return b.String()
}

func flip(s string, at int) string { return s[:at] + string(s[at]^1) + s[at+1:] }

// unusual are valid answers, and what the caller has to get of each.
func unusual(t *testing.T) map[string]reply {
	good := converseAnswer("hi")
	spaced := "\r\n\t " + strings.ReplaceAll(good, ":", " :\n\t") + "\n\n"
	return map[string]reply{
		"plain":           {converse, ok(good), true},
		"no content type": {converse, typed("", good), true},
		"charset": {
			converse, typed("content-type: Application/JSON; charset=UTF-8\r\n", good), true,
		},
		"amz-json":             {converse, typed("Content-Type: application/x-amz-json-1.1\r\n", good), true},
		"text/plain":           {converse, typed("Content-Type: text/plain\r\n", good), true},
		"identity":             {converse, typed(jsonType+"Content-Encoding: identity\r\n", good), true},
		"identity in capitals": {converse, typed(jsonType+"CONTENT-ENCODING: Identity\r\n", good), true},
		"white space":          {converse, ok(spaced), true},
		"no reason":            {converse, sized("200", jsonType, good), true},
		"201":                  {converse, sized("201 Created", jsonType, good), true},
		"202":                  {converse, sized("202 Accepted", jsonType, good), true},
		"chunks":               {converse, inChunks(jsonType, good), true},
		"chunks with extensions": {
			converse, strings.ReplaceAll(inChunks(jsonType, good), "28\r\n", "28;a=b\r\n"), true,
		},
		"trailers": {
			converse, strings.TrimSuffix(inChunks(jsonType, good), "\r\n") + "X-A: b\r\n\r\n", true,
		},
		"until the end": {converse, "HTTP/1.1 200 OK\r\n" + jsonType + "\r\n" + good, false},
		"HTTP/1.0":      {converse, strings.Replace(ok(good), "HTTP/1.1", "HTTP/1.0", 1), false},
		"interim answers": {
			converse, strings.Repeat("HTTP/1.1 102 Processing\r\nX-A: b\r\n\r\n", 3) + ok(good), true,
		},
		"early hints":          {converse, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok(good), true},
		"closes":               {converse, typed(jsonType+"Connection: close\r\n", good), false},
		"members that are new": {converse, ok(`{"new":[1,{"a":null}],` + good[1:]), true},
		"members twice":        {converse, ok(`{"usage":{},` + good[1:]), true},
		"no usage":             {converse, ok(`{"output":{"message":{"role":"assistant","content":[]}}}`), true},
		"escapes":              {converse, ok(strings.Replace(good, "hi", `\ud83d\ude00\u0000\/`, 1)), true},
		"half a surrogate":     {converse, ok(strings.Replace(good, "hi", `\ud83d`, 1)), true},
		"not UTF-8":            {converse, ok(strings.Replace(good, "hi", "\xff\xfe", 1)), true},
		"deep": {
			converse, ok(`{"deep":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `,` + good[1:]), true,
		},
		"a long number":            {converse, ok(`{"n":1` + strings.Repeat("0", 5000) + `,` + good[1:]), true},
		"a large one":              {converse, ok(converseAnswer(strings.Repeat("a", 3<<20))), true},
		"many fields":              {converse, typed(jsonType+strings.Repeat("X-Amzn-A: b\r\n", 200), good), true},
		"invoke, an array":         {invoke, ok(`[{"generated_text":"hi"}]`), true},
		"invoke, an empty object":  {invoke, ok(`{}`), true},
		"invoke, a picture":        {invoke, typed("Content-Type: image/png\r\n", "\x89PNG\r\n\x1a\n\x00"), true},
		"invoke, octets":           {invoke, typed("Content-Type: audio/mpeg\r\n", "\x00\xff"), true},
		"a stream":                 {stream, typed(streamType, whole(t)), true},
		"a stream in small chunks": {stream, inChunks(streamType, whole(t)), true},
		"a stream with a parameter": {
			stream, typed("Content-Type: Application/Vnd.Amazon.EventStream; a=b\r\n", whole(t)), true,
		},
		"a stream until the end": {stream, "HTTP/1.1 200 OK\r\n" + streamType + "\r\n" + whole(t), false},
		"a stream with a new event": {
			stream, typed(streamType, string(harness.EncodeFrame(t, "event", "newEvent", "{}"))+whole(t)), true,
		},
	}
}

// body is what of an answer is its body.
func (r reply) body() string {
	at := strings.LastIndex(r.raw, "HTTP/1.")
	_, body, _ := strings.Cut(r.raw[at:], "\r\n\r\n")
	return body
}

func nonsense(t *testing.T, m *measured) {
	bad, odd := broken(t), unusual(t)
	plays := map[string]harness.Play{}
	for _, table := range []map[string]reply{bad, odd} {
		for name, r := range table {
			plays[modelOf(name)] = func(c *net.TCPConn, _ int) bool {
				if r.raw == "" {
					c.SetLinger(0)
				}
				c.Write([]byte(r.raw))
				return r.keep
			}
		}
	}
	plays["warm"] = func(c *net.TCPConn, _ int) bool {
		c.Write([]byte(ok(converseAnswer("hi"))))
		return true
	}
	upstream := harness.StartScripted(t, plays)
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 3, on_timeout: true}}
unknown_family: allow
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), key.KeyID)})
	post := func(name, op string) harness.Answer {
		return g.Post(t, key.BearerCredential, "/model/"+url.PathEscape(modelOf(name))+"/"+op, ask)
	}
	for name, r := range bad {
		// so that there is a kept connection
		if got := g.Post(t, key.BearerCredential, "/model/warm/converse", ask); got.Status != 200 {
			t.Fatalf("warm: %d %s", got.Status, got.Body)
		}
		got := post(name, r.op)
		if got.Status != 424 || got.Header.Get("X-Amzn-Errortype") != "ModelErrorException" ||
			got.Header.Get("Content-Type") != "application/json" || !strings.Contains(string(got.Body), `"message"`) {
			t.Errorf("%s: %d %v %.200q", name, got.Status, got.Header, got.Body)
		}
		if n := upstream.Calls(modelOf(name)); n != 1 {
			t.Errorf("%s was sent %d times", name, n)
		}
	}
	for name, r := range odd {
		got, want := post(name, r.op), r.body()
		if strings.Contains(r.raw, "Transfer-Encoding") {
			want = converseAnswer("hi")
			if r.op == stream {
				want = whole(t)
			}
		}
		if got.Status/100 != 2 || string(got.Body) != want {
			t.Errorf("%s: %d %.300q, want %.300q", name, got.Status, got.Body, want)
		}
	}
	m.note("%d kinds of nonsense, %d unusual answers", len(bad), len(odd))
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var wrong []string
		for _, r := range g.Report("model") {
			if name := r.Model; isBroken(bad, name) && (r.Unknown != 1 || r.Legs != 1) {
				wrong = append(wrong, fmt.Sprintf("%+v", r))
			}
		}
		return len(wrong) == 0, strings.Join(wrong, "\n")
	})
}

func modelOf(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" /,+*", r) {
			return '-'
		}
		return r
	}, "x."+name)
}

func isBroken(bad map[string]reply, model string) bool {
	for name := range bad {
		if modelOf(name) == model {
			return true
		}
	}
	return false
}
