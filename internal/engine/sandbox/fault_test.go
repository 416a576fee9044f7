package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const helloBody = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`

// post sends a request with the bearer token, on a connection of its own unless
// client is given.
func (b *bench) post(t *testing.T, client *http.Client, target, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequest("POST", b.url+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+DefaultBearerToken)
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	return client.Do(req)
}

// frames reads a stream with the SDK's decoder up to its end or first error.
func (b *bench) frames(t *testing.T) (got []eventstream.Message, err error) {
	t.Helper()
	res, err := b.post(t, nil, "/model/"+nova+"/converse-stream", helloBody)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	decoder := eventstream.NewDecoder()
	for {
		m, err := decoder.Decode(res.Body, nil)
		if err != nil {
			return got, err
		}
		got = append(got, m)
	}
}

func TestErrors(t *testing.T) {
	b := newBench(t, `rules: [{times: 2, error: {status: 429, type: ThrottlingException, message: slow down}},
		{match: {text: broken}, error: {status: 503, type: ServiceUnavailableException, message: away}}]`)
	for range 2 {
		_, err := b.converse("x")
		var throttled *types.ThrottlingException
		if !errors.As(err, &throttled) || throttled.ErrorMessage() != "slow down" {
			t.Fatalf("error %v", err)
		}
	}
	if _, err := b.converse("x"); err != nil {
		t.Fatal(err)
	}
	_, err := b.converse("it is broken")
	wantCode(t, err, "ServiceUnavailableException")
	var statuses []int
	for _, e := range b.Log() {
		statuses = append(statuses, e.Status)
		if (e.Input+e.Output > 0) != (e.Status == 200) {
			t.Errorf("billed %+v", e)
		}
	}
	if diff := cmp.Diff([]int{429, 429, 200, 503}, statuses); diff != "" {
		t.Error(diff)
	}
}

func TestStreamFaults(t *testing.T) {
	whole := newBench(t, "").mustFrames(t)
	severed := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	properly := func(err error) bool { return errors.Is(err, io.EOF) }
	checksum := func(err error) bool {
		var bad eventstream.ChecksumError
		return errors.As(err, &bad)
	}
	f := func(fault, note string, frames int, ended func(error) bool) {
		t.Helper()
		b := newBench(t, "rules: [{fault: {"+fault+"}}]")
		got, err := b.frames(t)
		if len(got) != frames || !ended(err) {
			t.Errorf("%s: %d frames, want %d; ended by %v", fault, len(got), frames, err)
		}
		e := b.only(t)
		if e.Note != note || e.Complete || e.Input == 0 || e.Output == 0 || e.Status != 200 {
			t.Errorf("%s: log %+v", fault, e)
		}
	}
	f("cut_after_frames: 0", noteCutAfter, 0, severed)
	f("cut_after_frames: 3", noteCutAfter, 3, severed)
	f("cut_in_frame: 2", noteCutIn, 1, severed)
	f("missing_usage: true", noteMissingUsage, whole-1, properly)
	f("corrupt_crc: 2", noteCorrupt, 1, checksum)
}

func (b *bench) mustFrames(t *testing.T) int {
	t.Helper()
	got, err := b.frames(t)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	lengths := map[int]bool{}
	for _, m := range got {
		var payload struct{ P *string }
		if err := json.Unmarshal(m.Payload, &payload); err != nil || payload.P == nil {
			t.Fatalf("no filler in %s: %v", m.Payload, err)
		}
		lengths[len(*payload.P)] = true
	}
	if len(lengths) < 3 {
		t.Errorf("lengths of the filler are %v, want many", lengths)
	}
	return len(got)
}

func TestExceptionInStream(t *testing.T) {
	b := newBench(t, `rules: [{answer: {text: "0123456789abcdef0123456789abcdef", output_tokens: 10},
		fault: {exception_after_frames: 2, exception: throttlingException}}]`)
	got := b.converseStream(t, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: said("hello")})
	var throttled *types.ThrottlingException
	if !errors.As(got.err, &throttled) || got.text != "0123456789abcdef" || got.usage != nil {
		t.Errorf("stream %+v", got)
	}
	if e := b.only(t); e.Output != 5 || e.Complete || e.Note != noteException {
		t.Errorf("log %+v", e)
	}
}

func TestCutInBody(t *testing.T) {
	b := newBench(t, "rules: [{fault: {cut_in_body: true}}]")
	res, err := b.post(t, nil, "/model/"+nova+"/converse", helloBody)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || int64(len(body)) != res.ContentLength/2 {
		t.Errorf("%d of %d bytes, error %v", len(body), res.ContentLength, err)
	}
	if e := b.only(t); e.Complete || e.Output == 0 || e.Note != noteCutBody {
		t.Errorf("log %+v", e)
	}
}

func TestMissingUsageInBody(t *testing.T) {
	b := newBench(t, "rules: [{fault: {missing_usage: true}}]")
	out, err := b.converse("hello")
	if err != nil || out.Usage != nil {
		t.Errorf("%v, usage %+v", err, out.Usage)
	}
	if e := b.only(t); e.Complete || e.Output == 0 {
		t.Errorf("log %+v", e)
	}
}

func TestHangIsBilled(t *testing.T) {
	b := newBench(t, "rules: [{fault: {hang: true}}]")
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := b.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: said("hello")})
		failed <- err
	}()
	waitFor(t, func() bool { return len(b.Log()) == 1 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if e := b.only(t); e.Note != noteHang || e.Output == 0 || e.Complete || e.Status != 0 {
		t.Errorf("log %+v", e)
	}
}

// waitFor polls, because another process of the test has to come first.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not come true")
}

func TestKeptConnectionIsClosed(t *testing.T) {
	b := newBench(t, "rules: [{fault: {close_connection: true}}]")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	call := func() error {
		res, err := b.post(t, client, "/model/"+nova+"/converse", helloBody)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return err
	}
	if err := call(); err != nil {
		t.Fatal("a new connection: ", err)
	}
	if err := call(); err == nil {
		t.Fatal("a kept connection was answered")
	}
	if err := call(); err != nil {
		t.Fatal("a new connection after it: ", err)
	}
	log := b.Log()
	if len(log) != 3 || log[1].Status != 0 || log[1].Output != 0 || log[1].Note != noteClosed || log[2].Status != 200 {
		t.Errorf("log %+v", log)
	}
}

func TestClientThatLeavesAStreamIsBilledWhole(t *testing.T) {
	b := newBench(t, `rules: [{answer: {output_tokens: 50}, delay: {frame: 20ms}}]`)
	res, err := b.post(t, nil, "/model/"+nova+"/converse-stream", helloBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eventstream.NewDecoder().Decode(res.Body, nil); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	waitFor(t, func() bool { return len(b.Log()) == 1 })
	if e := b.only(t); e.Note != noteClientGone || e.Output != 50 || e.Complete {
		t.Errorf("log %+v", e)
	}
}

func TestNothingIsToldThatCannotBeLogged(t *testing.T) {
	b := newBenchOf(t, Options{LogPath: t.TempDir() + "/log"})
	broken := errors.New("the disk is broken")
	b.log.served.sync = func(*lineFile) error { return broken }
	_, err := b.converse("hello")
	wantCode(t, err, "InternalServerException")
	frames, err := b.frames(t)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("stream ended with %v", err)
	}
	for _, m := range frames {
		if m.Headers.Get(":event-type").String() == "metadata" {
			t.Error("usage was told")
		}
	}
	claude := wire.Target{Op: wire.OpInvokeStream, Model: bodies[0].model}
	res, err := b.post(t, nil, claude.String(), bodies[0].body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	usage := wire.StreamUsage{Op: wire.OpInvokeStream}
	for frames := wire.NewFrameReader(res.Body); ; {
		raw, err := frames.Next()
		if err != nil {
			break
		}
		frame, _ := wire.ParseFrame(raw) // Next has checked it
		if chunk := string(wire.AppendChunk(nil, frame)); usage.Observe(frame) || strings.Contains(chunk, "message_delta") {
			t.Errorf("usage was told: %s", chunk)
		}
	}
	if len(b.Log()) != 0 {
		t.Errorf("log %+v", b.Log())
	}
}

func TestCloseEndsHangingCalls(t *testing.T) {
	s, err := New(Options{Script: load(t, "rules: [{fault: {hang: true}}]"), LogPath: t.TempDir() + "/log"})
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s, url: url}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := b.post(t, nil, "/model/"+nova+"/converse", helloBody); err == nil {
			res.Body.Close()
			t.Error("answered")
		}
	}()
	waitFor(t, func() bool { return len(s.Log()) == 1 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if _, err := s.Start("127.0.0.1:0"); err == nil {
		t.Error("a closed server started")
	}
	if info, err := os.Stat(s.opts.LogPath); err != nil || info.Size() == 0 {
		t.Error("no log on disk: ", err)
	}
}

func TestDelays(t *testing.T) {
	frames := newBench(t, "").mustFrames(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Script: load(t, "rules: [{delay: {first_byte: 1h, frame: 1m}}]")})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := httptest.NewRequest("POST", "/model/"+nova+"/converse-stream", strings.NewReader(helloBody))
		r.Header.Set("Authorization", "Bearer "+DefaultBearerToken)
		start := time.Now()
		s.ServeHTTP(httptest.NewRecorder(), r)
		if got, want := time.Since(start), time.Hour+time.Duration(frames)*time.Minute; got != want {
			t.Errorf("%d frames took %v of the bubble's clock, want %v", frames, got, want)
		}
	})
}

func TestInvocationLogHasWhatWasServed(t *testing.T) {
	path := t.TempDir() + "/invocations"
	b := newBenchOf(t, Options{InvocationLogPath: path, Script: load(t, `rules:
  - {match: {text: refuse}, error: {status: 429, type: ThrottlingException}}
  - {match: {text: break}, answer: {output_tokens: 9, cache_read_tokens: 4}, fault: {cut_in_body: true}}`)})
	_, refused := b.converse("refuse")
	wantCode(t, refused, "ThrottlingException")
	if _, err := b.converse("break"); err == nil {
		t.Fatal("a broken answer was taken")
	}
	got := readLines[invocation](t, path)
	if len(got) != 1 || got[0].Output.Tokens != 9 || got[0].Input.CacheRead != 4 ||
		got[0].RequestID != b.Log()[1].RequestID {
		t.Errorf("invocations %+v", got)
	}
}
