package meter

import (
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// state is how the records of a partition get to the ledger.
type state uint8

const (
	// unasked: the ledger was not asked how far it is, or it may have lost some
	// since.
	unasked state = iota
	// following: posted as the main reader comes to its records.
	following
	// behind: read again from a place of its own, where its next number is.
	behind
	// searching: read again from the oldest segment, which may lack its next
	// number.
	searching
	// restoring: the ledger has nothing of it and gets the checkpoint's totals
	// first.
	restoring
	// stopped: no longer posted. Its records stay in the journal.
	stopped
)

// event is what happens to a partition.
type event uint8

const (
	level    event = iota // the ledger lacks nothing that the main reader has passed
	reread                // the ledger lacks numbers that a known segment has
	search                // the ledger lacks numbers, and no segment is known to have them
	restore               // the ledger has nothing, and a checkpoint has sums
	found                 // a number was read that the ledger has: the next one follows
	failed                // a call failed, so that what was read must be read again
	caughtUp              // all was read that the main reader has passed
	doubt                 // the ledger has lost something of another partition
	halt                  // it can never be posted
)

// transitions are the states after each event, by the state before it. This is
// all that may happen to a partition.
var transitions = [...][stopped + 1]state{
	//         unasked    following  behind     searching  restoring  stopped
	level:    {following, following, following, following, following, stopped},
	reread:   {behind, behind, behind, behind, behind, stopped},
	search:   {searching, searching, searching, searching, searching, stopped},
	restore:  {restoring, restoring, restoring, restoring, restoring, stopped},
	found:    {unasked, following, behind, behind, restoring, stopped},
	failed:   {unasked, behind, behind, searching, restoring, stopped},
	caughtUp: {unasked, following, following, following, restoring, stopped},
	doubt:    {unasked, unasked, behind, searching, restoring, stopped},
	halt:     {stopped, stopped, stopped, stopped, stopped, stopped},
}

// after returns the state that an event leads to.
func (s state) after(e event) state { return transitions[e][s] }

// partition is how far one partition is posted. Only the shipper changes it, under
// the mu of partitions; everybody else needs that to read it.
type partition struct {
	record.Partition
	state   state
	applied uint64 // the ledger's watermark, as far as known
	head    uint64 // highest number read from the journal
	why     error  // when stopped
	lost    bool   // whether the ledger ever lacked what it had confirmed
	// from is where it is read again, when behind or searching. moves counts how
	// often its place was decided.
	from  journal.Position
	moves int
}

// again reports whether the partition is read from a place of its own.
func (p *partition) again() bool { return p.state == behind || p.state == searching }

// waits reports whether the ledger lacks something of it.
func (p *partition) waits() bool { return p.head > p.applied }
