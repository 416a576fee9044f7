package meter

import "testing"

// TestTransitions: what becomes of a partition, by state and event.
func TestTransitions(t *testing.T) {
	const same = stopped + 1
	for _, c := range []struct {
		name string
		e    event
		// want is by the state before: unasked, following, behind, searching, restoring
		want [stopped]state
	}{
		{"the ledger has all", level, [...]state{following, following, following, following, following}},
		{"a segment has what it lacks", reread, [...]state{behind, behind, behind, behind, behind}},
		{"no segment is known to have it", search, [...]state{searching, searching, searching, searching, searching}},
		{"a checkpoint has it", restore, [...]state{restoring, restoring, restoring, restoring, restoring}},
		{"the next number is there", found, [...]state{same, same, same, behind, same}},
		{"a call failed", failed, [...]state{same, behind, same, same, same}},
		{"all was read again", caughtUp, [...]state{same, following, following, following, same}},
		{"another partition lost something", doubt, [...]state{same, unasked, same, same, same}},
		{"it can never be posted", halt, [...]state{stopped, stopped, stopped, stopped, stopped}},
	} {
		for before, want := range c.want {
			if want == same {
				want = state(before)
			}
			if got := state(before).after(c.e); got != want {
				t.Errorf("%s: state %d becomes %d, want %d", c.name, before, got, want)
			}
		}
		if got := stopped.after(c.e); got != stopped {
			t.Errorf("%s: a stopped partition becomes %d", c.name, got)
		}
	}
}
