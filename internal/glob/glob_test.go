package glob

import "testing"

func TestMatch(t *testing.T) {
	f := func(pattern, s string, want bool) {
		t.Helper()
		if got := Compile(pattern).Match(s); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, s, got, want)
		}
		if got := Compile(pattern).String(); got != pattern {
			t.Errorf("String() = %q, want %q", got, pattern)
		}
	}
	f("", "", true)
	f("", "a", false)
	f("*", "", true)
	f("*", "arn:aws:bedrock:us-east-1::foundation-model/a", true)
	f("eu.*", "eu.amazon.nova-lite-v1:0", true)
	f("eu.*", "us.amazon.nova-lite-v1:0", false)
	f("*haiku*", "us.anthropic.claude-3-5-haiku-20241022-v1:0", true)
	f("*haiku", "haiku-3", false)
	f("a*b*c", "axbxc", true)
	f("a*b*c", "abc", true)
	f("a*b*c", "ac", false)
	f("a*a", "a", false)
	f("ab*ba", "aba", false)
	f("auto", "auto", true)
	f("auto", "auto2", false)
	f("a?c", "abc", false)
}
