package capacity

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// TestSleepers: calls that can wait go together, or with a call that wakes the model, and never wait while it is awake.
func TestSleepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Block{Capacity: &config.Capacity{ARN: "a", Gather: &config.Gather{Wait: 40 * time.Second}}}
		other := &Block{Capacity: &config.Capacity{ARN: "b", Gather: &config.Gather{Wait: 40 * time.Second}}}
		var s Sleepers
		var all sync.WaitGroup
		never := make(chan struct{})
		call := func(want time.Duration) {
			t.Helper()
			all.Go(func() {
				if got := s.Wait(t.Context(), never, b, time.Now); got != want {
					t.Errorf("waited %s, want %s", got, want)
				}
				s.Called(b, time.Now())
			})
			synctest.Wait()
		}
		call(40 * time.Second) // the first waits for others
		time.Sleep(30 * time.Second)
		call(10 * time.Second) // and a later one goes with it
		s.Called(other, time.Now())
		all.Wait()
		call(0) // it is awake
		time.Sleep(awake - time.Second)
		call(0)
		time.Sleep(awake)
		call(7 * time.Second) // until a call that does not wait
		time.Sleep(7 * time.Second)
		s.Called(b, time.Now())
		all.Wait()

		time.Sleep(2 * awake)
		gone, leave := context.WithCancel(t.Context())
		all.Go(func() {
			if got := s.Wait(t.Context(), gone.Done(), b, time.Now); got != time.Second {
				t.Errorf("who left waited %s", got)
			}
		})
		time.Sleep(time.Second)
		leave()
		all.Wait()
		call(39 * time.Second) // the group it began goes when it would have gone
		all.Wait()
	})
}
