package simulate

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

const exportCSV = "from,to,tenant,model,requests,legs,escalated,input_tokens,output_tokens," +
	"cache_read_tokens,cache_write_tokens,cost_usd,unpriced,unknown" + `
2026-10-01,2026-11-01,acme,light,80,101,0,400000,60000,0,0,1.00,0,1
2026-10-01,2026-11-01,acme,strong,20,20,20,70000,12000,10000,0,1.00,0,0
`

const exportJSON = `[
  {"from":"2026-10-01","to":"2026-11-01","tenant":"acme","model":"light","requests":80,"legs":101,"escalated":0,
    "input_tokens":400000,"output_tokens":60000,"cache_read_tokens":0,"cache_write_tokens":0,
    "cost_usd":"1.00","unpriced":0,"unknown":1},
  {"from":"2026-10-01","to":"2026-11-01","tenant":"acme","model":"strong","requests":20,"legs":20,"escalated":20,
    "input_tokens":70000,"output_tokens":12000,"cache_read_tokens":10000,"cache_write_tokens":0,
    "cost_usd":"1.00","unpriced":0,"unknown":0}
]`

// TestParseUsage counts each request once, though twenty were answered twice.
func TestParseUsage(t *testing.T) {
	day := func(month time.Month) time.Time { return time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC) }
	want := Usage{Workload{100, 400_000, 60_000}, day(10), day(11), 20, 1}
	f := func(data string) {
		t.Helper()
		got, err := ParseUsage([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if *got != want {
			t.Errorf("%+v, want %+v", *got, want)
		}
	}
	f(exportCSV)
	f(exportJSON)
}

func TestParseUsageRefuses(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		if _, err := ParseUsage([]byte(data)); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", data, err, want)
		}
	}
	f("", "no request")
	f("[]", "no request")
	f("[{]", "invalid character")
	f("requests,legs\n1,2,3\n", "wrong number of fields")
	f("requests,legs\nx,2\n", `column requests: "x"`)
	f("requests,legs\n-1,2\n", "-1 is not a count")
	f("requests,legs,unknown\n1,2,2\n", "no leg with known usage")
	f("requests,legs,from,to\n1,2,today,never\n", `"today" is neither`)
	f(`[{"requests":9007199254740000,"legs":1},{"requests":9007199254740000,"legs":1}]`, "out of range")
}

func TestOver(t *testing.T) {
	f := func(covered *big.Rat, days int64, want Workload) {
		t.Helper()
		if got := (Workload{31, 3100, 62}).Over(covered, days); got != want {
			t.Errorf("%s to %d days: %+v, want %+v", covered, days, got, want)
		}
	}
	f(big.NewRat(31, 1), 30, Workload{30, 3000, 60})
	f(big.NewRat(1, 2), 1, Workload{62, 6200, 124})
	f(big.NewRat(62, 1), 31, Workload{16, 1550, 31})
}

func FuzzParseUsage(f *testing.F) {
	f.Add([]byte(exportCSV))
	f.Add([]byte(exportJSON))
	f.Add([]byte("requests,legs\n1,1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := ParseUsage(data)
		if err != nil {
			return
		}
		if u.Requests <= 0 || u.Input < 0 || u.Output < 0 || u.Repeated < 0 || u.Unknown < 0 {
			t.Errorf("%+v", u)
		}
	})
}
