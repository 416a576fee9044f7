package keys

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// alone is a gateway without a board, with a key that was issued and revoked.
func alone(t *testing.T) (b *Book, file string) {
	t.Helper()
	dir := t.TempDir()
	b, err := openAlone(dir)
	must(t, err)
	must(t, b.Do(func(*State) ([]Act, error) { return []Act{issue("SLKA")}, nil }))
	must(t, b.Do(func(*State) ([]Act, error) { return []Act{{Kind: Revoke, Key: "SLKA"}}, nil }))
	return b, filepath.Join(dir, FileName)
}

func openAlone(dir string) (*Book, error) {
	return Open(Options{DataDir: dir, Sealer: sealer{"ROOT"}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

// TestFileOfActsTakenAway does to the file what an operator's shell may do while a gateway
// runs: the gateway puts its acts back, and after a restart what was revoked is.
func TestFileOfActsTakenAway(t *testing.T) {
	for name, mishap := range map[string]func(file string, text []byte) error{
		"removed":     func(file string, _ []byte) error { return os.Remove(file) },
		"moved":       func(file string, _ []byte) error { return os.Rename(file, file+".old") },
		"emptied":     func(file string, _ []byte) error { return os.Truncate(file, 0) },
		"cut":         func(file string, text []byte) error { return os.Truncate(file, int64(len(text)/2)) },
		"overwritten": func(file string, text []byte) error { return os.WriteFile(file, harness.Noise(len(text)), 0o600) },
		"overwritten by more": func(file string, text []byte) error {
			return os.WriteFile(file, harness.Noise(2*len(text)), 0o600)
		},
		"overwritten by zeros": func(file string, text []byte) error {
			return os.WriteFile(file, make([]byte, len(text)), 0o600)
		},
		"an older copy": func(file string, text []byte) error {
			return os.WriteFile(file, text[:bytes.IndexByte(text, '\n')+1], 0o600)
		},
	} {
		b, file := alone(t)
		must(t, b.Refresh(context.Background()))
		text, err := os.ReadFile(file)
		must(t, err)
		time.Sleep(20 * time.Millisecond) // file systems count time in steps
		must(t, mishap(file, text))
		for range 2 {
			must(t, b.Refresh(context.Background()))
		}
		again, err := openAlone(filepath.Dir(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(again.State().Keys) == 0 || again.Len() != 2 {
			t.Errorf("%s: of two acts %d are left", name, again.Len())
		}
		must(t, again.Close(context.Background()))
		must(t, b.Close(context.Background()))
	}
}

// TestNoFileOfActs: what was revoked is not known, and a start would admit it.
func TestNoFileOfActs(t *testing.T) {
	_, file := alone(t)
	text, err := os.ReadFile(file)
	must(t, err)
	for what, refused := range map[string]bool{
		string(harness.Noise(len(text))):        true,
		string(harness.Noise(len(text))) + "\n": true,
		"SQLite format 3":                       true,
		`{"key": "SLKA"}` + "\n":                true,
		"":                                      false,
		string(text[:40]):                       false, // of an act that was not done
		"{":                                     false,
		string(make([]byte, 4096)):              false, // as above, where a machine died
		string(harness.Noise(len(text))) + "\n" + string(text): false,
		string(text): false,
	} {
		must(t, os.WriteFile(file, []byte(what), 0o600))
		b, err := openAlone(filepath.Dir(file))
		if errors.Is(err, ErrNoActs) != refused {
			t.Errorf("%.20q: %v, refused should be %v", what, err, refused)
		}
		if err == nil {
			must(t, b.Close(context.Background()))
		}
	}
}

// TestMissingActsAreTold removes an act from the middle of the file.
func TestMissingActsAreTold(t *testing.T) {
	b, file := alone(t)
	must(t, b.Do(func(*State) ([]Act, error) { return []Act{issue("SLKB")}, nil }))
	if err := b.Trouble(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	lines := bytes.SplitAfter(text, []byte("\n"))
	must(t, os.WriteFile(file, append(lines[0], lines[2]...), 0o600))
	again, err := openAlone(filepath.Dir(file))
	must(t, err)
	if err := again.Trouble(); err == nil || !strings.Contains(err.Error(), "1 acts are missing") {
		t.Errorf("trouble: %v", err)
	}
}
