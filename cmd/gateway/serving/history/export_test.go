package history

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/lake"
)

// slow is a store whose first upload ends only with the export. It has one decision.
type slow struct {
	began chan struct{}
	files []string
}

func (s *slow) Put(ctx context.Context, name string, _ []byte) error {
	if s.began != nil {
		close(s.began)
		s.began = nil
		<-ctx.Done()
		return ctx.Err()
	}
	s.files = append(s.files, name)
	return nil
}

func (s *slow) Each(after string, _ int, yield func(*decision.Decision) error) (string, error) {
	if after != "" {
		return after, nil
	}
	return "1", yield(&decision.Decision{ID: "01M8JJHRB1FE77ND3F00000001", Tenant: "acme"})
}

// TestStopDuringAnUpload: a stop ends an upload, which is no failure: the last round repeats it.
func TestStopDuringAnUpload(t *testing.T) {
	to := &slow{began: make(chan struct{})}
	began := to.began
	exporter, err := lake.Open(lake.Options{
		Store: to, Decisions: to, State: filepath.Join(t.TempDir(), "export.json"), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	e := &Export{
		exporter: exporter, every: time.Millisecond, log: slog.New(slog.NewTextHandler(&log, nil)), done: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(t.Context())
	e.stop = stop
	go e.run(ctx)
	<-began
	e.Close(t.Context())
	if len(to.files) != 2 || log.Len() > 0 {
		t.Errorf("%q written, logged: %s", to.files, &log)
	}
}
