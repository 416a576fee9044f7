package memory

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// sending looks at requests of made lengths, one each interval.
type sending struct {
	traffic     *Traffic
	certificate *certify.Certificate
	now         time.Time
	each        time.Duration
}

func (s *sending) send(route string, n int, length func() int) (shifted, news int) {
	for range n {
		s.now = s.now.Add(s.each)
		is, new := s.traffic.Look(s.certificate, route, length(), s.now)
		if is {
			shifted++
		}
		if new {
			news++
		}
	}
	return shifted, news
}

// describes is a certificate of so many pairs of the route "known".
func describes(n int, length func() int) *certify.Certificate {
	requests := make([]certify.Request, n)
	for i := range requests {
		requests[i] = certify.Request{Bytes: length(), Weight: 1}
	}
	return &certify.Certificate{Hash: "a", Routes: []certify.Traffic{certify.TrafficOf("known", requests)}}
}

// TestTrafficShifts: a route whose requests become others is refused within some hundred
// of them, and taken again when they are as before. One that stays as it was never is, in
// twenty thousand requests of certificates from 50 to 1000 pairs, and neither is one that
// the certificate does not describe.
func TestTrafficShifts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	short := func() int { return 100 + rng.IntN(900) }
	long := func() int { return 900 + rng.IntN(2000) }
	for _, each := range []time.Duration{time.Millisecond, time.Minute} {
		for _, n := range []int{50, 100, 300, 1000} {
			s := sending{&Traffic{}, describes(n, short), time.Unix(0, 0), each}
			if shifted, _ := s.send("known", 5000, short); shifted != 0 {
				t.Errorf("%d pairs: %d of 5000 requests refused, although nothing shifted", n, shifted)
			}
			if shifted, _ := s.send("unknown", 1000, long); shifted != 0 {
				t.Errorf("%d requests of a route refused that the certificate does not have", shifted)
			}
			s = sending{&Traffic{}, s.certificate, s.now, each}
			shifted, news := s.send("known", 1000, long)
			if shifted != 1000-leastSeen+1 || news != 1 {
				t.Errorf("%d pairs: %d of 1000 others refused, %d times new", n, shifted, news)
			}
			if shifted, news = s.send("known", 10_000, short); shifted == 0 || shifted > 5000 || news != 1 {
				t.Errorf("%d pairs: %d of 10,000 refused that are as before, %d times new", n, shifted, news)
			}
		}
	}
}

// TestTrafficOfABurst: a burst of requests of one kind, in an hour like others, is no
// shift; when it lasts it is one.
func TestTrafficOfABurst(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	usual := func() int { return 100 + rng.IntN(900) }
	batch := func() int { return 5000 }
	s := sending{&Traffic{}, describes(400, usual), time.Unix(0, 0), time.Second}
	s.send("known", 7200, usual)
	s.each = 100 * time.Millisecond
	if shifted, _ := s.send("known", 1000, batch); shifted != 0 {
		t.Errorf("%d of a burst of 1000 beside 7200 are a shift", shifted)
	}
	if shifted, _ := s.send("known", 10_000, batch); shifted < 8000 {
		t.Errorf("%d of 10,000 others refused", shifted)
	}
}

// TestTrafficOfOneLength has nothing to compare but that, and a name that is a letter
// longer is no other traffic.
func TestTrafficOfOneLength(t *testing.T) {
	s := sending{&Traffic{}, describes(60, func() int { return 700 }), time.Unix(0, 0), time.Second}
	if shifted, _ := s.send("known", 2000, func() int { return 760 }); shifted != 0 {
		t.Error("about the same length is another")
	}
	if shifted, _ := s.send("known", 5000, func() int { return 900 }); shifted == 0 {
		t.Error("another length is the same")
	}
}

// TestTrafficOfFew: a description of few requests is one, and of none has nothing to
// compare.
func TestTrafficOfFew(t *testing.T) {
	for n := range 12 {
		c := describes(n, func() int { return n })
		if got := len(c.Routes[0].Ends); got != min(n, 1) {
			t.Errorf("%d requests of one length have %d ends", n, got)
		}
	}
	got := certify.TrafficOf("r", []certify.Request{{Bytes: 3, Weight: 3}, {Bytes: 1, Weight: 1}})
	if !slices.Equal(got.Ends, []int{1, 3}) || !slices.Equal(got.Shares, []float64{0.25, 1}) {
		t.Errorf("weights are not heeded: %+v", got)
	}
}

// TestTrafficOutlastsARestart: what shifted is kept, beside what the watch keeps, and ends
// with the certificate or with the shift.
func TestTrafficOutlastsARestart(t *testing.T) {
	short, long := func() int { return 100 }, func() int { return 5000 }
	kept := &Tightened{File: filepath.Join(t.TempDir(), "tightened.json")}
	var before Store
	state := before.Of("support")
	state.Watch.StepBack(Stepped{"earlier", 2})
	s := sending{&state.Traffic, describes(100, short), time.Unix(0, 0), time.Second}
	s.send("known", leastSeen, long)
	if err := kept.Keep("support", state); err != nil {
		t.Fatal(err)
	}
	restarted := func() *State {
		var m Store
		if err := kept.Restore(&m); err != nil {
			t.Fatal(err)
		}
		return m.Of("support")
	}
	after := restarted()
	if after.Watch.Back("earlier") != 2 {
		t.Error("the watch forgot how far it stepped back")
	}
	s.traffic = &after.Traffic
	if shifted, news := s.send("known", 10, short); shifted != 10 || news != 0 {
		t.Errorf("%d of the first 10 requests refused after a restart, %d times new", shifted, news)
	}
	if shifted, news := s.send("known", 2*leastSeen, short); shifted > leastSeen || news != 1 {
		t.Errorf("%d requests refused that are as before", shifted)
	}
	s.traffic = &restarted().Traffic
	other := *s.certificate
	other.Hash = "b"
	s.certificate = &other
	if shifted, _ := s.send("known", 10, long); shifted != 0 {
		t.Error("another certificate inherits the shift")
	}
}
