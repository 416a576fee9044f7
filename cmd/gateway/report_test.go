package main

import (
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// TestQualityBound shows a bound only for what the certificate is about.
func TestQualityBound(t *testing.T) {
	const proof = `{"cascade":"support","models":["light","","escalation"],"bound":0.018,"delta":0.1,"n":500,"more":1}`
	f := func(mode, contents, escalation, want string) {
		t.Helper()
		c := &config.Cascade{Name: "support", Mode: mode, Certificate: file(t, "cert.json", contents)}
		if got := qualityBound(c, "light", escalation); got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
	f("enforce", proof, "escalation", "at most 1.8 points, 90 % sure, n = 500")
	f("check", proof, "escalation", "uncertified")
	f("enforce", proof, "another", "uncertified: the certificate is for something else")
	f("enforce", "{", "escalation", "uncertified: the certificate cannot be read")
	if got := qualityBound(&config.Cascade{Mode: "enforce"}); got != "uncertified" {
		t.Errorf("without a file: %q", got)
	}
	if got := qualityBound(&config.Cascade{Mode: "enforce", Certificate: "/nonexistent"}); got != "uncertified: the certificate cannot be read" {
		t.Errorf("with a missing file: %q", got)
	}
}
