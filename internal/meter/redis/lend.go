package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

//go:embed scripts/lend.lua
var lendLua string

//go:embed scripts/grant.lua
var grantLua string

//go:embed scripts/settle.lua
var settleLua string

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
	c := l.lendCall(r.Root, asker{r.Writer, r.Epoch, r.Watermark, r.Lost || lost, r.TTL})
	c.addCount(len(r.Wants))
	for i := range r.Wants {
		w := &r.Wants[i]
		c.addWindow(r.Root, w.Window)
		c.add(decimal(w.Limit), decimal(w.Granted), decimal(w.Returned), decimal(w.Min), decimal(w.Ask))
	}
	a, err := l.lend(ctx, l.grant, r.Root, c)
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
	case "FENCED":
		reply.State = ledger.Fenced
	}
	return reply, nil
}

// Renew implements ledger.Leaser. It may be repeated after any error. It fails
// with ledger.ErrFenced when a newer epoch of the writer is known.
func (l *Ledger) Renew(ctx context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.Retire {
		return l.retire(ctx, r)
	}
	return l.settleOnce(ctx, r)
}

func (l *Ledger) settleOnce(ctx context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	head := r.Head
	if head == 0 {
		head = r.Watermark
	}
	asserts := !r.Retire && len(r.Held) == len(r.Accounts)
	c := l.lendCall(r.Root, asker{r.Writer, r.Epoch, r.Watermark, false, r.TTL})
	c.add(strconv.FormatUint(head, 10), digit(asserts), digit(r.Retire), digit(r.Lapsed))
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
	a, err := l.lend(ctx, l.settle, r.Root, c)
	if err != nil {
		return nil, err
	}
	if a.word == "FENCED" {
		return nil, ledger.ErrFenced
	}
	reply := &ledger.RenewReply{Recall: a.recall, Open: a.word == "OPEN", Windows: a.windows}
	if a.detail > 0 {
		reply.Frozen, reply.Until = true, time.UnixMilli(a.detail).UTC()
	}
	return reply, nil
}

// retire closes the writer's accounts in all windows of the root, those of the
// request first.
func (l *Ledger) retire(ctx context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	all, err := l.windowsOf(ctx, r.Root)
	if err != nil {
		return nil, err
	}
	listed := make(map[record.Window]bool, len(r.Accounts))
	for i := range r.Accounts {
		listed[r.Accounts[i].Window.UTC()] = true
	}
	part := *r
	part.Held = nil
	reply, err := l.settleOnce(ctx, &part)
	if err != nil {
		return nil, err
	}
	part.Accounts = nil
	for i, w := range all {
		if !listed[w] {
			part.Accounts = append(part.Accounts, ledger.Account{Window: w})
		}
		if len(part.Accounts) == retireAtOnce || i == len(all)-1 && len(part.Accounts) > 0 {
			more, err := l.settleOnce(ctx, &part)
			if err != nil {
				return nil, err
			}
			reply.Open = reply.Open || more.Open
			part.Accounts = nil
		}
	}
	return reply, nil
}

// asker is who asks, and what it knows of the root.
type asker struct {
	writer           string
	epoch, watermark uint64
	lost             bool
	term             time.Duration
}

// lendCall begins the call of a script that lends.
func (l *Ledger) lendCall(root string, a asker) *call {
	k := keysOf(root)
	l.mu.Lock()
	known := l.roots[root].lent
	l.mu.Unlock()
	c := &call{keys: []string{k.marks(), k.state(), k.windows()}}
	c.add(a.writer, strconv.FormatUint(a.epoch, 10), strconv.FormatUint(a.watermark, 10), digit(a.lost), decimal(a.term.Milliseconds()), known, rand.Text())
	return c
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

// answered is the reply of a script that lends.
type answered struct {
	word    string
	detail  int64
	recall  bool
	amounts []int64
	windows []ledger.WindowState
}

func (l *Ledger) lend(ctx context.Context, script *goredis.Script, root string, c *call) (*answered, error) {
	if err := validRoot(root); err != nil {
		return nil, err
	}
	client, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.register(ctx, client, root); err != nil {
		return nil, err
	}
	reply, err := script.Run(ctx, client, c.keys, c.args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	a, err := parseAnswer(reply)
	if err != nil || a.word == "FENCED" {
		return a, err
	}
	l.sawLent(root, reply[3])
	return a, l.sawGeneration(ctx, client, root, reply[3])
}

func (l *Ledger) sawLent(root, generation string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.roots[root]
	last.lent = generation
	l.roots[root] = last
}

func parseAnswer(reply []string) (*answered, error) {
	if len(reply) < 4 || len(reply)%4 != 0 {
		return nil, fmt.Errorf("%w: the script answered %q", ErrDamaged, reply)
	}
	numbers := make([]int64, len(reply)-4)
	for i, text := range reply[4:] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: the script answered %q", ErrDamaged, text)
		}
		numbers[i] = n
	}
	detail, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: the script answered %q", ErrDamaged, reply[1])
	}
	a := &answered{word: reply[0], detail: detail, recall: reply[2] == "1"}
	for i := 0; i < len(numbers); i += 4 {
		a.amounts = append(a.amounts, numbers[i])
		a.windows = append(a.windows, ledger.WindowState{Posted: numbers[i+1], Held: numbers[i+2], Suspense: numbers[i+3]})
	}
	return a, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

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
