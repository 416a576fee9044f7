package serving

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/redis/posted"
)

// tellEvery is how often a gateway says in a shared ledger up to when it has posted.
const tellEvery = time.Second

// tellPosted returns what says so: the last moment at which all that was journalled is in
// the ledger by now.
func (a *accounts) tellPosted() func() (more bool) {
	upTo, at, heads := time.Time{}, a.now(), a.meter.Heads()
	var earlier map[string]bool
	return func() bool {
		if a.posted == nil {
			return false
		}
		if a.has(heads) {
			upTo = at
			at, heads = a.now(), a.meter.Heads()
		}
		if a.has(heads) {
			upTo = at
		}
		if !upTo.IsZero() {
			if earlier == nil {
				earlier = a.finished()
			}
			a.tell(upTo, earlier)
		}
		return true
	}
}

// has reports whether the ledger has the records up to these numbers, by root, and none
// waits for the disk.
func (a *accounts) has(heads map[string]uint64) bool {
	for root, head := range heads {
		if _, applied := a.meter.Numbers(root); applied < head {
			return false
		}
	}
	return a.meter.Status().Late == 0
}

// tell says up to when this gateway has posted, and that earlier processes of its
// directory have posted all that they ever will.
func (a *accounts) tell(upTo time.Time, earlier map[string]bool) {
	ctx, cancel := context.WithTimeout(context.Background(), peersTimeout)
	defer cancel()
	_, id := a.meter.Journal()
	err := a.posted.Tell(ctx, posted.Gateway{Writer: id.Writer, Name: gatewayName(id.Writer), UpTo: upTo})
	if err != nil || len(earlier) == 0 {
		return // reports say then that this gateway is behind
	}
	known, err := a.posted.All(ctx)
	if err != nil {
		return
	}
	var gone []string
	for _, g := range known {
		if earlier[g.Writer] {
			gone = append(gone, g.Writer)
		}
	}
	a.posted.Forget(ctx, gone...) //nolint:errcheck // it is tried again
}

// finished are the earlier processes of the directory once all have posted what they ever
// will, nil until then. All segments are opened for that, so it is asked for once.
func (a *accounts) finished() map[string]bool {
	if before, all := a.meter.Predecessors(); !all || len(before) > 0 {
		return nil
	}
	disk, id := a.meter.Journal()
	origins, err := journal.Origins(disk)
	if err != nil {
		return nil
	}
	earlier := make(map[string]bool)
	for _, o := range origins {
		if o.Writer != id.Writer {
			earlier[o.Writer] = true
		}
	}
	return earlier
}

// leavePosted removes what this gateway said, if it has posted all.
func (a *accounts) leavePosted(ctx context.Context) error {
	_, id := a.meter.Journal()
	if a.posted == nil || !a.has(a.meter.Heads()) {
		return nil
	}
	return a.posted.Forget(ctx, id.Writer)
}
