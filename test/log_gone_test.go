package test

import (
	"os"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestLogReaderLeaves: who reads the log through a pipe has ended, as a collector that is
// restarted. The gateway serves without its lines (U18).
func TestLogReaderLeaves(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	key, stranger := harness.NewKey(t, "acme"), harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{
		YAML:   "upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: acme, keys: [" + key.KeyID + "]}]\n",
		Prefix: []string{"sh", "-c", `exec "$@" >&3 2>&3`, "sh"},
		Files:  []*os.File{w},
	})
	if a := gw.Post(t, stranger.BearerCredential, lightCall, ask); a.Status != 403 { // a line of the log
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := gw.Post(t, key.BearerCredential, lightCall, ask); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
