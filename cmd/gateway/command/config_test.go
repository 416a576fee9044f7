package command

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestExampleIsRight compiles the example of every key. Nothing is wrong with it
// but that the files are missing that a cascade learns from.
func TestExampleIsRight(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"SLUICE_SUPPORT_KEY": "SLKAAAAAAAAAAAAAAAAAAAAA",
			"SLUICE_WEBHOOK_SECRET": "a secret of the test"}[name]
	}
	cfg, err := config.Load(filepath.Join("..", "..", "..", "config", "example.yaml"), env)
	if err != nil {
		t.Fatal(err)
	}
	_, problems := snapshot.Compile(cfg, nil, time.Now())
	for _, p := range problems {
		if !p.Warning && p.Path != "cascades[0].pre_score" {
			t.Errorf("%s: %s", p.Path, p.Message)
		}
	}
}

// FuzzAllFaults looks for further mistakes in what could be read of broken
// configurations: nothing may break on the parts that are missing.
func FuzzAllFaults(f *testing.F) {
	f.Add(string(config.Quickstart()))
	f.Add("upstream: {region: r}\ncascades: [{name: a, match: 'request.x'}]\nnonsense: 1\n")
	f.Add("tenants: [{keys: [a]}, {id: 1}]\nprices: [x]\nmodels: [y]\n")
	f.Add("cascades: [{light: a, escalation: [b], escalate_if: [{if: '1 +'}]}, 3]\naliases: {a: [b]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := withAllFaults(config.Load(harness.File(t, "sluice.yaml", text), func(string) string { return "" }))
		var faulty *config.Error
		var noText *userfile.Error
		switch {
		case errors.As(err, &noText): // there is no line in it to name
		case err == nil && cfg == nil:
			t.Error("neither a configuration nor an error")
		case err != nil && (!errors.As(err, &faulty) || len(faulty.Faults) == 0):
			t.Errorf("an error without a mistake: %v", err)
		}
	})
}

// TestLostRootSecret: where a gateway has run, no new root secret is made, which would
// refuse every key.
func TestLostRootSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	t.Setenv("SLUICE_ROOT_SECRET", "")
	made, err := Secrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := Secrets(dir)
	if err != nil || again.Fingerprint() != made.Fingerprint() {
		t.Fatalf("another one: %v", err)
	}
	secret := filepath.Join(dir, "root.secret")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if _, err := Secrets(dir); err == nil || !strings.Contains(err.Error(), "put its file back") {
		t.Errorf("without its file: %v", err)
	}
	if _, err := os.Stat(secret); err == nil {
		t.Error("a new one was made")
	}
}
