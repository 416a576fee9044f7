package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// poster posts calls of one writer to a root, in two hours of two days, charged to a
// budget.
type poster struct {
	t   *testing.T
	l   *Ledger
	now time.Time
	seq uint64
}

func (p *poster) post(n int) {
	p.t.Helper()
	for range n {
		p.seq++
		at := p.now.Add(-time.Duration(p.seq%2) * 24 * time.Hour)
		b := &ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: p.seq, To: p.seq, Postings: []record.Posting{{
			Seq: p.seq, Root: "acme", Add: record.Counters{Legs: 1, Input: 7},
			Row:     record.RowKey{Hour: at, Tenant: "acme", Model: fmt.Sprint("m", p.seq%11)},
			Charges: []record.Charge{{Window: lostMonth(), Amount: 5}},
		}}}
		reply, err := p.l.Apply(p.t.Context(), b)
		if err != nil || reply.Watermark != p.seq {
			p.t.Fatalf("number %d: the watermark is %d, %v", p.seq, reply.Watermark, err)
		}
	}
}

// state is all that a ledger says of a root.
func (p *poster) state() (all []string) {
	p.t.Helper()
	ctx := p.t.Context()
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	must(p.l.Rows(ctx, time.Unix(0, 0), p.now.Add(time.Hour), func(k record.RowKey, c record.Counters) error {
		all = append(all, fmt.Sprintf("%v %s: %d %d", k.Hour, k.Model, c.Legs, c.Input))
		return nil
	}))
	windows, err := p.l.Windows(ctx, "acme")
	must(err)
	for i := range windows {
		all = append(all, fmt.Sprintf("%+v", windows[i].WindowState))
	}
	mark, err := p.l.Watermark(ctx, "w", "acme")
	must(err)
	slices.Sort(all)
	return append(all, fmt.Sprint("watermark ", mark))
}

// TestLostRegisters deletes each key of a root that lists others or says what was posted,
// and each copy, while batches come and while none do: nothing is lost, nothing counts
// twice, and it is said within a look.
func TestLostRegisters(t *testing.T) {
	server := redistest.NewServer(t)
	now := time.Now()
	k := keysOf("acme")
	for _, key := range []string{
		k.marks(), k.shapes(), k.days(), k.windows(), k.index(dayOf(now)), k.index(dayOf(now.Add(-24 * time.Hour))),
		k.copyOf(k.marks()), k.copyOf(k.shapes()), k.copyOf(k.windows()), k.state(),
	} {
		for _, idle := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s idle=%t", key, idle), func(t *testing.T) {
				server.CLI("FLUSHALL")
				p := &poster{t: t, l: newLedger(t, server.URL()), now: now}
				if err := grantOf(t.Context(), p.l, "g", ledger.Granted); err != nil {
					t.Fatal(err)
				}
				p.post(60)
				server.CLI("DEL", key)
				if !idle {
					p.l = newLedger(t, server.URL()) // as another gateway, which knows no ids
					p.post(2)
				}
				found, err := NewMender(p.l).Inspect(t.Context(), now, false)
				if err != nil {
					t.Fatal(err)
				}
				said := len(found.Restored) == 1 && found.Restored[0] == key
				if quiet := strings.Contains(key, ":k:") || key == k.state(); said == quiet || len(found.Lost) > 0 {
					t.Errorf("found %+v", found)
				}
				got := p.state()
				server.CLI("FLUSHALL")
				again := &poster{t: t, l: newLedger(t, server.URL()), now: now}
				if err := grantOf(t.Context(), again.l, "g", ledger.Granted); err != nil {
					t.Fatal(err)
				}
				again.post(int(p.seq))
				if diff := cmp.Diff(again.state(), got); diff != "" {
					t.Errorf("want -, got +\n%s", diff)
				}
			})
		}
	}
}

// TestMovingRowIsNotLost: a row that is on its way to another node of a cluster is not
// taken for one that was lost, which would be added again.
func TestMovingRowIsNotLost(t *testing.T) {
	c := redistest.NewCluster(t, 3)
	p := &poster{t: t, l: newLedger(t, c.URL()), now: time.Now()}
	p.post(30)
	slot := c.Nodes[0].CLI("cluster", "keyslot", "{acme}")
	var from, to *redistest.Server
	for _, n := range c.Masters() {
		if n.CLI("cluster", "countkeysinslot", slot) != "0" {
			from = n
		} else {
			to = n
		}
	}
	to.CLI("cluster", "setslot", slot, "importing", from.CLI("cluster", "myid"))
	from.CLI("cluster", "setslot", slot, "migrating", to.CLI("cluster", "myid"))
	row := strings.Fields(from.CLI("keys", "sl:{acme}:r:*"))[0]
	from.CLI("migrate", "127.0.0.1", fmt.Sprint(to.Port), row, "0", "1000")
	found, err := NewMender(p.l).Inspect(t.Context(), time.Now(), false)
	if err == nil && len(found.Lost) > 0 {
		t.Errorf("found %+v", found)
	}
	if noted := from.CLI("hgetall", "sl:{acme}:x"); noted != "" && !strings.HasPrefix(noted, "ASK") {
		t.Errorf("noted %s", noted)
	}
}
