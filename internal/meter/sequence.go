package meter

import (
	"sync"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// sequence numbers postings per root tenant as they are written.
type sequence struct {
	mu    sync.Mutex
	heads map[string]*uint64
	undo  []*uint64
}

var _ journal.Stamper = (*sequence)(nil)

func (q *sequence) reset(writer string, heads map[record.Partition]uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heads = make(map[string]*uint64)
	for l, seq := range heads {
		if l.Writer == writer {
			q.heads[l.Root] = &seq
		}
	}
}

// Stamp implements journal.Stamper.
func (q *sequence) Stamp(kind byte, payload []byte) {
	if !record.Posts(kind) {
		return
	}
	root := record.PostingRoot(payload)
	if len(root) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	head := q.heads[string(root)]
	if head == nil {
		head = new(uint64)
		q.heads[string(root)] = head
	}
	*head++
	q.undo = append(q.undo, head)
	record.SetSeq(payload, *head)
}

// Settle implements journal.Stamper.
func (q *sequence) Settle(written bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !written {
		for _, head := range q.undo {
			*head--
		}
	}
	q.undo = q.undo[:0]
}

func (q *sequence) head(root string) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if head := q.heads[root]; head != nil {
		return *head
	}
	return 0
}

func (q *sequence) all() map[string]uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make(map[string]uint64, len(q.heads))
	for root, head := range q.heads {
		all[root] = *head
	}
	return all
}
