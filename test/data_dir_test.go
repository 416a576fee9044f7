package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestDataDirTakenAway does to all files of a serving gateway at once, but for the segments
// and the lock of its journal (TestJournalGone), what an operator's shell may do. It goes on
// to serve, and after a restart every call is counted, and what was revoked is. U21
func TestDataDirTakenAway(t *testing.T) {
	t.Parallel() // it mostly waits
	overwrite := func(file string) error {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		return os.WriteFile(file, harness.Noise(int(info.Size())), 0o600)
	}
	for name, mishap := range map[string]func(file string) error{
		"removed": os.Remove,
		"emptied": func(file string) error { return os.Truncate(file, 0) },
		"cut":     func(file string) error { return os.Truncate(file, 30) },
		"noise":   overwrite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, revoked := harness.NewKey(t, "acme"), harness.NewKey(t, "acme")
			c := harness.Config{AdminToken: "a token of the test", Dir: t.TempDir(), YAML: fmt.Sprintf("upstream: {region: "+
				"us-east-1, endpoint: sandbox}\ntenants: [{id: acme, keys: [%s, %s], budgets: [{period: month, usd: 10}]}]\n",
				key.KeyID, revoked.KeyID)}
			served := 0
			want := func(gw *harness.Gateway, key harness.Key, status int) (id string) {
				t.Helper()
				a := gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", simplest)
				if a.Status != status {
					t.Errorf("%d %s, want %d", a.Status, a.Body, status)
				}
				if a.Status == http.StatusOK {
					served++
				}
				return a.Header.Get("x-sluice-request-id")
			}
			gw := harness.Start(t, c)
			want(gw, key, http.StatusOK)
			want(gw, revoked, http.StatusOK)
			harness.Run(t, 0, nil, "keys", "revoke", revoked.KeyID, "--config", gw.ConfigFile())
			harness.Eventually(t, time.Minute, func() (bool, string) {
				a := gw.Post(t, revoked.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", simplest)
				if a.Status == http.StatusOK {
					served++
				}
				return a.Status == http.StatusForbidden, fmt.Sprint("revoked: ", a.Status)
			})
			for _, file := range sideFiles(t, filepath.Join(c.Dir, "data"), name == "noise" || name == "cut") {
				if err := mishap(file); err != nil {
					t.Error(err)
				}
			}
			id := want(gw, key, http.StatusOK)
			want(gw, revoked, http.StatusForbidden)
			harness.Eventually(t, time.Minute, func() (bool, string) {
				status, answer := gw.API(http.MethodGet, "/api/v1/requests/"+id, "", nil)
				return status == http.StatusOK, answer
			})
			gw.Stop()
			gw = harness.Start(t, c)
			want(gw, key, http.StatusOK)
			want(gw, revoked, http.StatusForbidden)
			rows := gw.Report("tenant")
			if len(rows) != 1 || rows[0].Requests != int64(served) {
				t.Errorf("%d were served, the report has %+v", served, rows)
			}
		})
	}
}

// sideFiles are the files of a data directory that a gateway can do without. By another
// fingerprint the ledger would be somebody else's.
func sideFiles(t *testing.T, dir string, otherwise bool) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*", "journal/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			info, err := os.Stat(file)
			base := filepath.Base(file)
			if err != nil || !info.Mode().IsRegular() || base == "lock" || filepath.Ext(file) == ".seg" ||
				otherwise && base == "fingerprint" {
				continue
			}
			all = append(all, file)
		}
	}
	return all
}
