package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

//go:embed scripts/lease.lua
var leaseLua string

//go:embed scripts/grant.lua
var grantLua string

//go:embed scripts/renew.lua
var renewLua string

// retireAtOnce bounds how many windows one call closes.
const retireAtOnce = 200

var _ ledger.Leaser = (*Ledger)(nil)

// Grant implements ledger.Leaser. It may be repeated after any error.
func (l *Ledger) Grant(ctx context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	lost, err := l.lostUnheard(ctx, r.Root, r.TTL)
	if err != nil {
		return nil, err
	}
	c := l.leaseCall(r.Root, asker{r.Writer, r.Epoch, r.Watermark, r.Lost || lost, r.TTL})
	c.addCount(len(r.Wants))
	for i := range r.Wants {
		w := &r.Wants[i]
		c.addWindow(r.Root, w.Window)
		c.add(decimal(w.Limit), decimal(w.Granted), decimal(w.Returned), decimal(w.Min), decimal(w.Ask))
	}
	a, err := l.lease(ctx, l.grant, r.Root, c)
	if err != nil {
		return nil, err
	}
	reply := &ledger.GrantReply{Amounts: a.amounts, Windows: a.windows, Recall: a.recall}
	switch a.word {
	case "OK":
		reply.State = ledger.Granted
	case "REFUSED":
		reply.State, reply.Refused = ledger.Refused, int(a.detail)
	case "FROZEN":
		reply.State, reply.Until = ledger.Frozen, time.UnixMilli(a.detail).UTC()
	}
	return reply, nil
}

// Renew implements ledger.Leaser. It may be repeated after any error.
func (l *Ledger) Renew(ctx context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.Retire {
		return l.retire(ctx, r)
	}
	return l.renewOnce(ctx, r)
}

func (l *Ledger) renewOnce(ctx context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	asserts := !r.Retire && len(r.Held) == len(r.Accounts)
	c := l.leaseCall(r.Root, asker{r.Writer, r.Epoch, r.Watermark, false, r.TTL})
	c.add(number(cmp.Or(r.Head, r.Watermark)), digit(asserts), digit(r.Retire), digit(r.Lapsed))
	c.add(digit(r.Leaves), digit(r.Part))
	c.addCount(len(r.Accounts))
	for i := range r.Accounts {
		a := &r.Accounts[i]
		c.addWindow(r.Root, a.Window)
		held := int64(0)
		if len(r.Held) > 0 {
			held = r.Held[i]
		}
		c.add(decimal(a.Granted), decimal(a.Returned), decimal(held))
	}
	a, err := l.lease(ctx, l.renew, r.Root, c)
	if err != nil {
		return nil, err
	}
	reply := &ledger.RenewReply{Recall: a.recall, Open: a.word == "OPEN", Windows: a.windows}
	if a.detail > 0 {
		reply.Frozen, reply.Until = true, time.UnixMilli(a.detail).UTC()
	}
	return reply, nil
}

// retire closes the writer's accounts in all windows of the root, those of the
// request first and all others in further calls.
func (l *Ledger) retire(ctx context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	others, err := l.windowsOf(ctx, r.Root)
	if err != nil {
		return nil, err
	}
	others = slices.DeleteFunc(others, func(w record.Window) bool {
		return slices.ContainsFunc(r.Accounts, func(a ledger.Account) bool { return a.Window.UTC() == w })
	})
	part := *r
	part.Held = nil
	reply, err := l.renewOnce(ctx, &part)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(others, retireAtOnce) {
		part.Accounts = nil
		for _, w := range some {
			part.Accounts = append(part.Accounts, ledger.Account{Window: w})
		}
		more, err := l.renewOnce(ctx, &part)
		if err != nil {
			return nil, err
		}
		reply.Open = reply.Open || more.Open
	}
	return reply, nil
}

// asker is who asks, and what it knows of the root.
type asker struct {
	writer           string
	epoch, watermark uint64
	lost             bool
	ttl              time.Duration
}

// leaseCall begins the call of a script that changes leases.
func (l *Ledger) leaseCall(root string, a asker) *call {
	k := keysOf(root)
	c := &call{keys: []string{k.marks(), k.state(), k.windows(), k.damage(), k.copyOf(k.marks()), k.copyOf(k.windows())}}
	c.add(a.writer, number(a.epoch), number(a.watermark), digit(a.lost), decimal(a.ttl.Milliseconds()))
	c.add(l.roots.of(root).leased, rand.Text())
	return c
}

// lostUnheard reports whether the ledger may have lost a root that this gateway
// asks for leases of for the first time.
func (l *Ledger) lostUnheard(ctx context.Context, root string, ttl time.Duration) (bool, error) {
	if l.roots.of(root).leased != "" {
		return false, nil
	}
	client, err := l.server.connected(ctx)
	if err != nil {
		return false, err
	}
	return l.roots.begunAnew(ctx, client, ttl)
}

func (c *call) addWindow(root string, w record.Window) {
	w = w.UTC()
	name := windowName(w)
	c.keys = append(c.keys, keysOf(root).window(name))
	end := int64(0)
	if !w.End.IsZero() {
		end = w.End.UnixMilli()
	}
	c.add(name, digit(w.Unit == record.UnitConcurrent), decimal(end), unix(w.Expiry()))
}

// answered is the reply of a script that changes leases.
type answered struct {
	word    string
	detail  int64
	recall  bool
	amounts []int64
	windows []ledger.WindowState
}

func (l *Ledger) lease(ctx context.Context, script *goredis.Script, root string, c *call) (*answered, error) {
	client, _, err := l.server.of(ctx, root)
	if err != nil {
		return nil, err
	}
	if err := l.roots.register(ctx, client, root); err != nil {
		return nil, err
	}
	reply, err := script.Run(ctx, client, c.keys, c.args...).StringSlice()
	if err != nil {
		return nil, failed(err)
	}
	a, err := parseAnswer(reply)
	if err != nil {
		return nil, err
	}
	if a.word == "FENCED" {
		return nil, ledger.ErrFenced
	}
	l.roots.change(root, func(s *sighting) { s.leased = reply[3] })
	return a, l.roots.sawGeneration(ctx, client, root, reply[3])
}

// parseAnswer reads a word, its detail, whether to recall, the generation, and
// four numbers for each window.
func parseAnswer(reply []string) (*answered, error) {
	damaged := fmt.Errorf("%w: the script answered %q", ErrDamaged, reply)
	if len(reply) < 4 || len(reply)%4 != 0 {
		return nil, damaged
	}
	detail, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return nil, damaged
	}
	a := &answered{word: reply[0], detail: detail, recall: reply[2] == "1"}
	for window := range slices.Chunk(reply[4:], 4) {
		var numbers [4]int64
		for i, text := range window {
			if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
				return nil, damaged
			}
		}
		a.amounts = append(a.amounts, numbers[0])
		a.windows = append(a.windows, ledger.WindowState{Posted: numbers[1], Held: numbers[2], Suspense: numbers[3]})
	}
	return a, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// unix writes a time in seconds, 0 for the zero time.
func unix(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return decimal(t.Unix())
}

func digit(is bool) string {
	if is {
		return "1"
	}
	return "0"
}

// Claim reports whether this gateway may do what only one should for a root, and
// keeps the others from it for a time.
func (l *Ledger) Claim(ctx context.Context, root, what string, ttl time.Duration) (bool, error) {
	client, k, err := l.server.of(ctx, root)
	if err != nil {
		return false, err
	}
	err = client.SetArgs(ctx, k.prefix+"c:"+what, "1", goredis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if errors.Is(err, goredis.Nil) {
		return false, nil
	}
	return err == nil, failed(err)
}
