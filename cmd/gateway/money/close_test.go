package money

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestClose closes last month on both ledgers while the gateway runs: what comes later is a correction in this
// month, and the report of last month stays what its statement says.
func TestClose(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { closeMonths(t, "") })
	t.Run("redis", func(t *testing.T) {
		closeMonths(t, "ledger: {redis: "+redistest.NewServer(t).URL()+"}\n")
	})
}

func closeMonths(t *testing.T, ledger string) {
	u := use(t, ledger)
	defer u.stop()
	this := time.Date(time.Now().UTC().Year(), time.Now().UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	last := this.AddDate(0, -1, 0)
	month, within := last.Format("2006-01"), last.Add(75*time.Hour).Format(time.RFC3339)
	adjust := func(id, usd string) {
		u.works([]string{"made"}, "adjust", "--tenant", "acme/support", "--model", lite, "--usd", usd, "--at", within,
			"--reason", "test", "--id", id)
	}
	adjust("one", "1.000000000001")
	shared := filepath.Join(t.TempDir(), "shared.csv")
	if err := os.WriteFile(shared, []byte("name,usd,by\nPT,7,usd\nPT,1,usd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u.fails("shared.csv:3: PT is there twice", true, "close", month, "--shared", shared)
	if err := os.WriteFile(shared, []byte("name,usd,by\nPT,7,usd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u.fails("can be closed", true, "close", this.Format("2006-01"))
	u.fails("is no month", true, "close", "last")
	u.fails("needs a --reason", true, "close", month, "--accept")
	u.fails("is no amount", true, "close", month, "--tolerance", "much")

	texts := []string{"acme " + month + " closed: 8.000000000001 USD", "shared costs 7.00"}
	u.works(texts, "close", month, "--shared", shared)
	file := filepath.Join(u.gw.Dir, "data", "statements", "acme", month+".json")
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	of := func(from time.Time, columns string) string {
		t.Helper()
		to := from.AddDate(0, 1, 0)
		return u.works(nil, "report", "--from", from.Format(time.DateOnly), "--to", to.Format(time.DateOnly),
			"--by", columns, "--format", "csv")
	}
	u.works([]string{"acme " + month + " " + file + " sha256 "}, "close")
	before, now := of(last, "tenant,model"), of(this, "tenant,model")
	adjust("two", "0.25")
	if diff := cmp.Diff(before, of(last, "tenant,model")); diff != "" {
		t.Errorf("the closed month has changed:\n%s", diff)
	}
	if of(this, "tenant,model") == now {
		t.Error("the correction is nowhere")
	}
	again := u.works([]string{"acme " + month + " was closed before, at 8.000000000001 USD"}, "close", month,
		"--root", "acme", "--root", "acme")
	if strings.Count(again, "\n") != 1 {
		t.Errorf("a root that is named twice is closed twice: %s", again)
	}
	if is, err := os.ReadFile(file); err != nil || string(is) != string(was) {
		t.Errorf("the statement has changed: %v", err)
	}
	u.works([]string{" 0 differences"[1:]}, "verify", "--all")
	u.fails("in order", true, "close", last.AddDate(0, -2, 0).Format("2006-01"))
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(was), "8.0", "9.0", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	u.fails("it was changed", false, "close", month)
}

// TestCloseRefuses: what is open is named, and closed only when that is accepted.
func TestCloseRefuses(t *testing.T) {
	u := use(t, "")
	defer u.stop()
	last := time.Now().UTC().AddDate(0, 0, -time.Now().UTC().Day())
	month, within := last.Format("2006-01"), last.Truncate(24*time.Hour).Format(time.RFC3339)
	u.works([]string{"made"}, "adjust", "--tenant", "acme/support", "--model", lite, "--at", within, "--reason", "test",
		"--set", "unknown=1", "--set", "suspense_usd=0.5", "--set", "unpriced=2", "--set", "legs=3")
	u.fails("acme: 1 attempts ended without known usage: 0.50 USD are in suspense", false, "close", month)
	u.fails("acme: 2 legs have no price, of "+lite, false, "close", month, "--tolerance", "0.5")
	if _, err := os.Stat(filepath.Join(u.gw.Dir, "data", "statements")); err == nil {
		t.Error("something was written")
	}
	u.works([]string{"closed: 0.00 USD"}, "close", month, "--accept", "--reason", "it is a test")
	text, err := os.ReadFile(filepath.Join(u.gw.Dir, "data", "statements", "acme", month+".json"))
	for _, want := range []string{"0.50 USD are in suspense", "it is a test"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v, want %q in %s", err, want, text)
		}
	}
}
