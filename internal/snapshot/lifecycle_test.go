package snapshot

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// TestEndings warns 90 days before a configured model ends, and not before.
func TestEndings(t *testing.T) {
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	cfg.Upstream.Region = "us-east-1"
	cfg.Aliases = map[string]string{
		"fast": "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "new": "us.anthropic.claude-opus-5",
	}
	s, _ := Compile(cfg, nil, time.Now())
	day := func(text string) time.Time { d, _ := time.Parse(time.DateOnly, text); return d }
	if got := s.Endings(day("2027-01-07")); len(got) != 0 {
		t.Errorf("too early: %v", got)
	}
	got := s.Endings(day("2027-01-08"))
	if len(got) != 1 || got[0].Path != "aliases.fast" || !got[0].Warning || !strings.Contains(got[0].Message,
		"ends on 2027-04-08; its successor is anthropic.claude-sonnet-5-5, at $2.2 for a million tokens of input and $11 ") {
		t.Errorf("%+v", got)
	}
}
