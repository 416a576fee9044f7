package telemetry

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// silent is a client whose collector accepts and never answers.
type silent struct{}

func (silent) send(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

func (silent) close() {}

// TestCloseDoesNotWaitForASilentCollector (U22): whatever waits or is under way, a stop
// is not held up.
func TestCloseDoesNotWaitForASilentCollector(t *testing.T) {
	f := func(name string, spans int, before time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			tel, err := newWith(t.Context(), silent{}, Options{Sample: 1})
			if err != nil {
				t.Fatal(err)
			}
			for range spans {
				serve(tel, wire.Header{})
			}
			time.Sleep(before)
			synctest.Wait()
			begun := time.Now()
			tel.Close(context.Background())
			if took := time.Since(begun); took > lastBatches {
				t.Errorf("%s: %s", name, took)
			}
		})
	}
	f("nothing waits", 0, 0)
	f("some wait", 10, 0)
	f("an export hangs", 10, batchEvery+time.Second)
	f("an export hangs and more wait", waitingSpans, batchEvery+time.Second)
	f("an export has failed", 10, batchEvery+batchTimeout+time.Second)
}

// TestCloseOverHTTP is the same with the real client and a socket.
func TestCloseOverHTTP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tel, err := New(t.Context(), Options{OTLP: "http://" + ln.Addr().String(), Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	serve(tel, wire.Header{})
	ended := make(chan struct{})
	go func() {
		tel.Close(context.Background())
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute): // 50 s of a busy machine are no failure; for ever is
		t.Fatal("the stop waits for the collector")
	}
}

// TestLostSpansAreCounted: spans that found no room, and those of an export that failed.
func TestLostSpansAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, err := newWith(t.Context(), silent{}, Options{Sample: 1})
		if err != nil {
			t.Fatal(err)
		}
		serve(tel, wire.Header{})
		tel.batches.mu.Lock()
		of := tel.batches.count
		tel.batches.mu.Unlock()
		time.Sleep(batchEvery + time.Second) // the export of the first is under way
		for range waitingSpans {
			serve(tel, wire.Header{})
		}
		tel.Close(context.Background())
		want := fmt.Sprintf("\nsluice_spans_lost_total %d\n", of+of*waitingSpans)
		if got := scrape(t, tel); !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	})
}
