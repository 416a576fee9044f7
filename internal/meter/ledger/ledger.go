// Package ledger is the contract of the stores that hold the counters and the
// budgets of all tenants: Ledger adds batches of postings exactly once, Leaser
// leases parts of budgets to writers. meter/redis and meter/embedded implement
// both, meter/ledgertest checks that they do.
package ledger

import (
	"cmp"
	"context"
	"errors"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Batch is a run of postings of one writer to one root tenant, the unit in
// which a ledger is fed. It posts the sequence numbers From to To, inclusive,
// each exactly once and in order.
type Batch struct {
	Writer string // the journal's writer id
	Epoch  uint64 // raised each time the journal is opened
	Root   string // root tenant: the ledger's slot
	// Holder is whose accounts the charges are taken out of; "" is Writer's own.
	// A recovery writer charges what the dead writer held.
	Holder string
	// From and To are the sequence numbers of the first and the last posting.
	From, To uint64
	// Totals is whether the postings are a checkpoint's sums, which stand for
	// the numbers From to To together and have none of their own. From is then 1.
	Totals   bool
	Postings []record.Posting

	// Gossip is whether the ledger should carry Facts to other gateways, and bring
	// those that it has of them.
	Gossip bool
	Facts  []gossip.Fact
}

// Empty reports whether the batch posts nothing: it has no numbers. It is sent
// for what the reply brings.
func (b *Batch) Empty() bool { return b.From == 0 && b.To == 0 && len(b.Postings) == 0 }

// Reply is what a ledger answers to a batch.
type Reply struct {
	// Watermark is the last sequence number that is applied, 0 for none.
	Watermark uint64
	// Carried is whether the ledger has taken the batch's facts along.
	Carried bool
	// Facts are what other gateways sent, each once, also when Apply fails.
	Facts []gossip.Fact
}

// Account returns whose accounts the batch's charges are taken out of.
func (b *Batch) Account() string { return cmp.Or(b.Holder, b.Writer) }

// Ledger holds the counters. It adds a batch and moves the writer's watermark
// in one atomic step, so that after any fault the writer reads the watermark
// and goes on behind it.
type Ledger interface {
	// Apply adds the batch when its From follows the watermark of the batch's
	// writer and root, and returns the watermark after it. A batch that is not next
	// is no error: nothing is added and the watermark says where to go on. An empty
	// batch adds nothing. It fails with ErrFenced or ErrBadBatch; after any other
	// error the outcome is unknown and the writer asks again.
	Apply(ctx context.Context, b *Batch) (Reply, error)
	// Watermark returns the last sequence number applied, 0 for none. It changes
	// nothing.
	Watermark(ctx context.Context, writer, root string) (uint64, error)
	// Fingerprint stores fp, the mark of the root secret, when the ledger has
	// none yet, and fails when it has another.
	Fingerprint(ctx context.Context, fp string) error
}

// Exchange applies a batch together with the facts that wait on the board, and
// hands the board those of the reply. A nil board has no part in gossip.
func Exchange(ctx context.Context, l Ledger, board *gossip.Board, b *Batch) (watermark uint64, err error) {
	b.Gossip, b.Facts = board != nil, board.Waiting(b.Root)
	reply, err := l.Apply(ctx, b)
	if reply.Carried {
		board.Carried(b.Root, b.Facts)
	}
	board.Receive(reply.Facts)
	return reply.Watermark, err
}

// ErrFenced is returned by a ledger that has seen a higher epoch of the same
// writer: another process owns its journal now, and this one must stop posting.
var ErrFenced = errors.New("the ledger has seen a newer epoch of this writer")

// ErrFingerprint is returned by a ledger that was made with another root
// secret. Its keys would belong to other tenants, so nothing may be posted.
var ErrFingerprint = errors.New("the ledger was made with another root secret")

// ErrBadBatch is returned by a ledger that refuses a batch for its contents
// (sequence numbers that do not fit, an amount out of range). Nothing was added
// and a retry cannot help.
var ErrBadBatch = errors.New("the ledger refuses the batch")
