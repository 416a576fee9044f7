package bedrock

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/smithy-go/logging"

	"github.com/sluice-gateway/sluice/internal/outbound"
)

// TestSDKLogsThroughSlog: the SDK prints to stderr by default, in a form of its own.
func TestSDKLogsThroughSlog(t *testing.T) {
	var out bytes.Buffer
	calls, err := outbound.New(outbound.Settings{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{region: "us-east-1", calls: calls, log: slog.New(slog.NewJSONHandler(&out, nil))}
	loaded, err := c.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loaded.Logger.Logf(logging.Warn, "falling back to %s", "IMDSv1")
	loaded.Logger.Logf(logging.Debug, "retrying")
	if got := out.String(); !strings.Contains(got, `"msg":"AWS SDK","text":"falling back to IMDSv1"`) ||
		strings.Contains(got, "retrying") {
		t.Error(got)
	}
}

// TestProgramsLogThroughSlog: what a credential_process says is a line of the log. U10, U18
func TestProgramsLogThroughSlog(t *testing.T) {
	var out bytes.Buffer
	isolate(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file := filepath.Join(t.TempDir(), "config")
	t.Setenv("AWS_CONFIG_FILE", file)
	err := os.WriteFile(file, []byte("[default]\ncredential_process = /bin/sh -c 'printf \"a\\n b\" >&2; "+
		`echo {\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}'`+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := outbound.New(outbound.Settings{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{region: "us-east-1", calls: calls, log: slog.New(slog.NewJSONHandler(&out, nil))}
	if found, err := c.Retrieve(t.Context()); err != nil || found.AccessKeyID != "A" {
		t.Errorf("%+v %v", found, err)
	}
	if got := out.String(); !strings.Contains(got, `"msg":"credential_process","text":"a b"`) {
		t.Error(got)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestHopLimit: the token of an instance does not reach a container that is one hop too
// far away, and without it the instance answers 401. The error says the way out. U10
func TestHopLimit(t *testing.T) {
	isolate(t)
	instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusUnauthorized
		if r.Method == http.MethodPut {
			status = http.StatusMethodNotAllowed
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(instance.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.URL)
	calls, err := outbound.New(outbound.Settings{Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{region: "us-east-1", calls: calls, log: slog.New(slog.DiscardHandler)}
	const want = "HttpPutResponseHopLimit must be 2"
	if _, err := c.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
}
