package redis

import (
	"flag"
	"os"
	"testing"
)

// TestMain gives the random histories the same start each time, so that a change
// is judged by what it changes. SLUICE_LONG=1 draws new ones; `make test-faults`
// sets it.
func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); os.Getenv("SLUICE_LONG") == "" && seed != nil && seed.Value.String() == "0" {
		if err := flag.Set("rapid.seed", "1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
