package bedrock

import (
	"bytes"
	"log/slog"
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
