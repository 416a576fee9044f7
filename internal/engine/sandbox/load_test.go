package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// billOf is what one client was told, by request id.
type billOf map[string][2]int64

func TestConcurrentClientsAndTheLogAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	b := newBenchOf(t, Options{LogPath: path, Script: load(t, `rules:
  - {match: {every: 5}, error: {status: 429, type: ThrottlingException}}
  - {match: {every: 7}, answer: {input_tokens: 100, output_tokens: 200}}`)})
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	const clients, calls = 32, 40
	told := make([]billOf, clients)
	var all sync.WaitGroup
	for i := range told {
		told[i] = billOf{}
		all.Go(func() {
			for range calls {
				b.tell(t, client, told[i])
			}
		})
	}
	all.Wait()
	want := billOf{}
	for _, bill := range told {
		for id, tokens := range bill {
			want[id] = tokens
		}
	}
	got := billOf{}
	for _, e := range readLines[Entry](t, path) {
		got[e.RequestID] = [2]int64{e.Input, e.Output}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != clients*calls {
		t.Errorf("%d entries: %s", len(got), diff)
	}
}

// tell makes one call and notes what its answer said.
func (b *bench) tell(t *testing.T, client *http.Client, bill billOf) {
	res, err := b.post(t, client, "/model/"+nova+"/converse", helloBody)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	var answer struct {
		Usage struct{ InputTokens, OutputTokens int64 }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	bill[res.Header.Get("X-Amzn-Requestid")] = [2]int64{answer.Usage.InputTokens, answer.Usage.OutputTokens}
}

// BenchmarkServed is calls through a socket with the log synced, 64 at a time.
func BenchmarkServed(b *testing.B) {
	for _, op := range []string{"converse", "converse-stream"} {
		b.Run(op, func(b *testing.B) {
			s, err := New(Options{LogPath: filepath.Join(b.TempDir(), "log")})
			if err != nil {
				b.Fatal(err)
			}
			url, err := s.Start("127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			transport := &http.Transport{MaxIdleConnsPerHost: 256}
			defer s.Close()
			defer transport.CloseIdleConnections()
			b.SetParallelism(64)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					req, _ := http.NewRequest("POST", url+"/model/"+nova+"/"+op, strings.NewReader(helloBody))
					req.Header.Set("Authorization", "Bearer "+DefaultBearerToken)
					res, err := transport.RoundTrip(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
