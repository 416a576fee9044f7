package redis

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// names are the gateways that a declaration brings, in order.
func names(t *testing.T, l *Board, d peers.Declaration, file string) (all []string, known bool) {
	t.Helper()
	declared, known, err := l.Declare(t.Context(), d, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range declared {
		all = append(all, d.Gateway+" "+d.Digest)
	}
	slices.Sort(all)
	return all, known
}

// TestM20Declare: two gateways declare in each kind of set-up, hear of each other, leave,
// die, and find each other again after a loss.
func TestM20Declare(t *testing.T) {
	single, cluster, sentinels := redistest.NewServer(t), redistest.NewCluster(t, 3), redistest.NewSentinelSet(t)
	for name, url := range map[string]string{
		"single": single.URL(), "cluster": cluster.URL(), "sentinel": sentinels.URL(),
	} {
		t.Run(name, func(t *testing.T) {
			l := NewBoard(newLedger(t, url))
			a := peers.Declaration{Gateway: "a", Digest: "0a", Lease: 2 * time.Second}
			b := peers.Declaration{Gateway: "b", Digest: "0b", Lease: time.Minute}
			if _, known := names(t, l, a, ""); known {
				t.Error("a file that nobody has sent is known")
			}
			names(t, l, a, "the file of a")
			names(t, l, b, "the file of b")
			got, known := names(t, l, a, "")
			if !slices.Equal(got, []string{"a 0a", "b 0b"}) || !known {
				t.Errorf("declared: %q, %t", got, known)
			}
			for digest, want := range map[string]string{"0b": "the file of b", "0c": ""} {
				if body, err := l.File(t.Context(), digest); err != nil || string(body) != want {
					t.Errorf("file %s: %q, %v", digest, body, err)
				}
			}
			time.Sleep(2100 * time.Millisecond)
			if got, _ := names(t, l, b, ""); !slices.Equal(got, []string{"b 0b"}) {
				t.Errorf("after the lease of a: %q", got)
			}
			b.Digest = ""
			if got, known := names(t, l, b, ""); !slices.Equal(got, []string{"b "}) || !known {
				t.Errorf("b leaves: %q", got)
			}
		})
	}
	single.CLI("FLUSHALL")
	l := NewBoard(newLedger(t, single.URL()))
	if _, known := names(t, l, peers.Declaration{Gateway: "b", Digest: "0b", Lease: time.Minute}, ""); known {
		t.Error("a lost file is known")
	}
}
