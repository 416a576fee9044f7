package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestJournalGone takes a gateway's files away while it serves: it serves nobody until they
// are back, because what it would write is lost. U21
func TestJournalGone(t *testing.T) {
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: "+
		"[{id: acme, keys: [%s]}]\n", sandbox.URL(), key.KeyID)})
	data := filepath.Join(gw.Dir, "data")
	want := func(what string, status int) {
		t.Helper()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			got := gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask).Status
			code, r := gw.Readyz()
			gone := strings.Contains(r.Degraded["journal"], "the journal is gone")
			return got == status && r.Ready == (status == http.StatusOK) && gone == !r.Ready,
				fmt.Sprintf("%s: %d, /readyz %d %+v", what, got, code, r)
		})
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	want("at the start", http.StatusOK)
	move(data, data+".moved")
	want("data_dir moved", http.StatusServiceUnavailable)
	move(data+".moved", data)
	want("moved back", http.StatusOK)
	if _, stderr := harness.RunBoth(t, 0, nil, "verify", "--config", gw.ConfigFile()); stderr != "" {
		t.Error(stderr)
	}
	segments, err := filepath.Glob(filepath.Join(data, "journal", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatal(err, segments)
	}
	for _, s := range segments {
		if err := os.Remove(s); err != nil {
			t.Fatal(err)
		}
	}
	want("segments removed", http.StatusServiceUnavailable)
	gw.Kill()
}
