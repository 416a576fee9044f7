package similar

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"usd", "period", "on_exceed", "models", "us-east-1", "us-west-1", "us-west-2"}
	f := func(in, want string) {
		t.Helper()
		if got := Nearest(in, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
	f("usdd", "usd")
	f("USD", "usd")
	f("on_exced", "on_exceed")
	f("model", "models")
	f("peroid", "period")
	f("us-esat-1", "us-east-1")
	f("us-west-3", "us-west-1")
	f("models", "")
	f("zzz", "")
	f("x", "")
	f("", "")
	if got := Hint("usdd", names); got != `; did you mean "usd"?` {
		t.Error(got)
	}
	if got := Hint("zzz", names); got != "" {
		t.Error(got)
	}
}
