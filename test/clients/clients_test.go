package clients

import "testing"

// TestEnvIsShared: programs that run side by side append to one environment, and none may write into what another has
// appended. The AWS CLI's setting took the place of MODEL once, and a client of Claude asked Nova.
func TestEnvIsShared(t *testing.T) {
	for n := range 12 {
		shared := Env("http://127.0.0.1:1", make([]string, n)...)
		first, second := append(shared, "MODEL=mine"), append(shared, "MODEL=another's")
		if got := first[len(first)-1]; got != "MODEL=mine" {
			t.Errorf("%d extra: the first has %s, the second %s", n, got, second[len(second)-1])
		}
	}
}
