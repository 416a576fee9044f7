package tenant

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const (
	oldRoot = "the root secret of last year"
	newRoot = "the root secret of this year"
)

func environ(current, previous string) func(string) string {
	return func(name string) string {
		return map[string]string{envCurrent: current, envPrevious: previous}[name]
	}
}

func mustLoad(t testing.TB, dir string, env func(string) string) *Secrets {
	t.Helper()
	s, err := LoadSecrets(dir, env, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustKeyID(t testing.TB, s *Secrets) string {
	t.Helper()
	id, err := s.NewKeyID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustCredentials(t testing.TB, s *Secrets, keyID string) Credentials {
	t.Helper()
	c, err := s.Credentials(keyID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFirstStartMakesASecretThatStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "deep")
	first := mustLoad(t, dir, environ("", ""))
	stat, err := os.Stat(filepath.Join(dir, secretFile))
	if err != nil {
		t.Fatal(err)
	}
	if stat.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", stat.Mode())
	}
	again := mustLoad(t, dir, environ("", ""))
	if first.Fingerprint() != again.Fingerprint() {
		t.Error("another secret at the second start")
	}
	if other := mustLoad(t, t.TempDir(), environ("", "")); other.Fingerprint() == first.Fingerprint() {
		t.Error("two gateways with one secret")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("left in the folder: %v %v", names, err)
	}
}

// TestStartsAtOnce: of several processes that start at once all have one secret.
func TestStartsAtOnce(t *testing.T) {
	dir := t.TempDir()
	prints := make([]string, 8)
	var wg sync.WaitGroup
	for i := range prints {
		wg.Go(func() {
			s, err := LoadSecrets(dir, environ("", ""), rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = s.Fingerprint()
		})
	}
	wg.Wait()
	for _, p := range prints {
		if p != prints[0] {
			t.Fatal(prints)
		}
	}
}

func TestLoadSecretsRefuses(t *testing.T) {
	f := func(name string, mode os.FileMode, contents string, env func(string) string) {
		t.Helper()
		dir := t.TempDir()
		path := filepath.Join(dir, secretFile)
		if err := os.WriteFile(path, []byte(contents), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s, err := LoadSecrets(dir, env, rand.Reader)
		var refusal *SecretError
		if s != nil || !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && contents != "" && strings.Contains(err.Error(), strings.TrimSpace(contents)) {
			t.Errorf("%s: the message shows the secret", name)
		}
	}
	f("others can read", 0o604, oldRoot, environ("", ""))
	f("the group can read", 0o640, oldRoot, environ("", ""))
	f("everybody can read", 0o644, oldRoot, environ("", ""))
	f("the group can write", 0o620, oldRoot, environ("", ""))
	f("empty file", 0o600, "", environ("", ""))
	f("short file", 0o600, "fifteen bytes..\n\n\n", environ("", ""))
	f("huge file", 0o600, strings.Repeat("x", maxSecretFile+1), environ("", ""))
	f("short variable", 0o600, oldRoot, environ("fifteen bytes..", ""))
	f("short previous", 0o600, oldRoot, environ("", "fifteen bytes.."))
}

func TestLoadSecretsRefusesWhatIsNoFile(t *testing.T) {
	for what, put := range map[string]func(string) error{
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		dir := t.TempDir()
		if err := put(filepath.Join(dir, secretFile)); err != nil {
			t.Fatal(err)
		}
		_, err := LoadSecrets(dir, environ("", ""), rand.Reader)
		var refusal *SecretError
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestLoadSecretsFailsWithoutRandomness(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadSecrets(dir, environ("", ""), iotest.ErrReader(io.ErrClosedPipe))
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, secretFile)); !errors.Is(err, os.ErrNotExist) {
		t.Error("half a secret was left behind")
	}
}

// TestVariableWins: the file is neither read nor made.
func TestVariableWins(t *testing.T) {
	dir := t.TempDir()
	s := mustLoad(t, dir, environ(newRoot, ""))
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("%v %v", names, err)
	}
	// The same secret out of a file is the same secret.
	if err := os.WriteFile(filepath.Join(dir, secretFile), []byte(newRoot+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if file := mustLoad(t, dir, environ("", "")); file.Fingerprint() != s.Fingerprint() {
		t.Error("variable and file differ")
	}
	if other := mustLoad(t, dir, environ(oldRoot, "")); other.Fingerprint() == s.Fingerprint() {
		t.Error("the file won")
	}
}

func TestKeyIDForm(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	form := regexp.MustCompile(`^SLK[A-Z2-7]{21}$`)
	seen := make(map[string]bool)
	for range 100 {
		id := mustKeyID(t, s)
		if !form.MatchString(id) || !IsKeyID(id) || seen[id] {
			t.Fatalf("key id %q", id)
		}
		seen[id] = true
	}
	if _, err := s.NewKeyID(bytes.NewReader(make([]byte, randomBytes-1))); err == nil {
		t.Error("a key id without randomness")
	}
}

// TestCredentialsStay pins what a key id derives to: keys in use depend on it.
// The values were computed with Python's hmac by RFC 5869.
func TestCredentialsStay(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	id, err := s.NewKeyID(bytes.NewReader(make([]byte, randomBytes)))
	if err != nil {
		t.Fatal(err)
	}
	want := Credentials{
		KeyID:           "SLKDSILJAAAAAAAAAAAAAAAA",
		Bearer:          "slk_SLKDSILJAAAAAAAAAAAAAAAA_rehtnbzi6q3xbz457sv74x4t4bqjeaz6yxf3uw6srffgyh6ouema",
		AccessKeyID:     "SLKDSILJAAAAAAAAAAAAAAAA",
		SecretAccessKey: "u7s4ad5wskm7osrhlh7szaln6qohbji5kawkiuyjd7yxe4exptwq",
	}
	if diff := cmp.Diff(want, mustCredentials(t, s, id)); diff != "" {
		t.Error(diff)
	}
	if got := s.Fingerprint(); got != "6473ad8b103e6ebaae39d9c319e55901" {
		t.Errorf("fingerprint %s", got)
	}
}

func TestCredentialsDiffer(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	a, b := mustCredentials(t, s, mustKeyID(t, s)), mustCredentials(t, s, mustKeyID(t, s))
	if a.SecretAccessKey == b.SecretAccessKey || strings.Contains(a.Bearer, a.SecretAccessKey) {
		t.Error("secrets repeat")
	}
	if !regexp.MustCompile(`^slk_` + a.KeyID + `_[a-z2-7]{52}$`).MatchString(a.Bearer) {
		t.Errorf("bearer %q", a.Bearer)
	}
}

func TestRotation(t *testing.T) {
	before := mustLoad(t, "", environ(oldRoot, ""))
	oldID := mustKeyID(t, before)
	during := mustLoad(t, "", environ(newRoot, oldRoot))
	newID := mustKeyID(t, during)
	after := mustLoad(t, "", environ(newRoot, ""))

	if mustCredentials(t, before, oldID) != mustCredentials(t, during, oldID) {
		t.Error("an old key changed during the rotation")
	}
	if mustCredentials(t, after, newID) != mustCredentials(t, during, newID) {
		t.Error("a new key changed after the rotation")
	}
	if during.Fingerprint() != after.Fingerprint() || during.Fingerprint() == before.Fingerprint() {
		t.Error("the fingerprint is not the current secret's")
	}
	if _, err := after.Credentials(oldID); !errors.Is(err, ErrGeneration) {
		t.Error(err)
	}
	// A previous secret equal to the current one is one generation.
	same := mustLoad(t, "", environ(newRoot, newRoot))
	if same.Fingerprint() != after.Fingerprint() || len(same.generations) != 1 {
		t.Error("the same secret twice")
	}
}

func TestCredentialsRefuse(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	id := mustKeyID(t, s)
	f := func(id string) {
		t.Helper()
		if _, err := s.Credentials(id); !errors.Is(err, ErrKeyID) {
			t.Errorf("%q: %v", id, err)
		}
	}
	f("")
	f("stranger")
	f(id[1:])
	f(id + "A")
	f(strings.ToLower(id))
	f("AKIA" + id[4:])
	f(id[:23] + "1")
	f(id[:23] + "/")
}
