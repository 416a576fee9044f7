package redis

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// unitNames are the units as window names have them, by unit.
var unitNames = [...]string{
	record.UnitUSD: "usd", record.UnitTokens: "tokens", record.UnitRequests: "requests",
	record.UnitConcurrent: "concurrent",
}

// windowName writes a window as one readable line, the end of its key.
func windowName(w record.Window) string {
	w = w.UTC()
	b := appendEscaped(nil, w.Tenant)
	b = append(append(b, '|'), unitNames[w.Unit]...)
	b = appendEscaped(append(b, '|'), w.Period)
	return string(b) + "|" + unix(w.Start) + "|" + unix(w.End)
}

// parseWindow is the inverse of windowName.
func parseWindow(name string) (record.Window, error) {
	damaged := fmt.Errorf("%w: window %q", ErrDamaged, name)
	parts := strings.Split(name, "|")
	if len(parts) != 5 {
		return record.Window{}, damaged
	}
	tenant, err1 := url.PathUnescape(parts[0])
	period, err2 := url.PathUnescape(parts[2])
	start, err3 := strconv.ParseInt(parts[3], 10, 64)
	end, err4 := strconv.ParseInt(parts[4], 10, 64)
	unit := slices.Index(unitNames[:], parts[1])
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || unit < 0 {
		return record.Window{}, damaged
	}
	w := record.Window{Tenant: tenant, Unit: record.Unit(unit), Period: period}
	if w.Unit != record.UnitConcurrent {
		w.Start, w.End = time.Unix(start, 0).UTC(), time.Unix(end, 0).UTC()
	}
	return w, nil
}

// windowsOf lists the windows that a root has.
func (l *Ledger) windowsOf(ctx context.Context, root string) ([]record.Window, error) {
	client, k, err := l.server.of(ctx, root)
	if err != nil {
		return nil, err
	}
	names, err := client.ZRange(ctx, k.windows(), 0, -1).Result()
	if err != nil {
		return nil, failed(err)
	}
	slices.Sort(names)
	all := make([]record.Window, len(names))
	for i, name := range names {
		if all[i], err = parseWindow(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Windows returns every window of a root that the ledger still has, by name. The
// windows are read one after the other, so they are not of one moment.
func (l *Ledger) Windows(ctx context.Context, root string) ([]ledger.WindowBook, error) {
	all, err := l.windowsOf(ctx, root)
	if err != nil {
		return nil, err
	}
	client, k, err := l.server.of(ctx, root)
	if err != nil {
		return nil, err
	}
	var books []ledger.WindowBook
	for _, w := range all {
		hash, err := client.HGetAll(ctx, k.window(windowName(w))).Result()
		if err != nil {
			return nil, failed(err)
		}
		book, err := decodeWindow(hash)
		if err != nil {
			return nil, err
		}
		if book.WindowState == (ledger.WindowState{}) && len(book.Accounts) == 0 {
			continue // it has expired, or nothing came of it
		}
		book.Window = w
		books = append(books, book)
	}
	return books, nil
}

func decodeWindow(hash map[string]string) (ledger.WindowBook, error) {
	var b ledger.WindowBook
	accounts := make(map[string]*ledger.AccountBook)
	account := func(writer string) *ledger.AccountBook {
		if accounts[writer] == nil {
			accounts[writer] = &ledger.AccountBook{Writer: writer}
		}
		return accounts[writer]
	}
	for name, text := range hash {
		var err error
		kind, writer, _ := strings.Cut(name, ":")
		switch kind {
		case "p":
			b.Posted, err = strconv.ParseInt(text, 10, 64)
		case "h":
			b.Held, err = strconv.ParseInt(text, 10, 64)
		case "s":
			b.Suspense, err = strconv.ParseInt(text, 10, 64)
		case "o":
			account(writer).Left, err = strconv.ParseInt(text, 10, 64)
		case "a":
			err = parseAccount(text, account(writer))
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return b, fmt.Errorf("%w: field %q of a window holds %q", ErrDamaged, name, text)
		}
	}
	for _, writer := range slices.Sorted(maps.Keys(accounts)) {
		b.Accounts = append(b.Accounts, *accounts[writer])
	}
	return b, nil
}

// parseAccount reads "epoch granted returned remains", with " x" behind it when
// expired.
func parseAccount(text string, a *ledger.AccountBook) error {
	text, a.Expired = strings.CutSuffix(text, " x")
	parts := strings.Split(text, " ")
	if len(parts) != 4 {
		return strconv.ErrSyntax
	}
	epoch, err := strconv.ParseUint(parts[0], 10, 64)
	a.Epoch = epoch
	for i, to := range []*int64{&a.Granted, &a.Returned, &a.Remains} {
		if err == nil {
			*to, err = strconv.ParseInt(parts[i+1], 10, 64)
		}
	}
	return err
}

// Counts returns what the ledger has of windows, each at zero when it has nothing. They
// are read in one go for each root, not of one moment.
func (l *Ledger) Counts(ctx context.Context, of []record.Window) (map[record.Window]ledger.WindowState, error) {
	byRoot := map[string][]record.Window{}
	for _, w := range of {
		root := record.RootOf(w.Tenant)
		byRoot[root] = append(byRoot[root], w.UTC())
	}
	all := make(map[record.Window]ledger.WindowState, len(of))
	for root, windows := range byRoot {
		client, k, err := l.server.of(ctx, root)
		if err != nil {
			return nil, err
		}
		pipe := client.Pipeline()
		replies := make([]*goredis.SliceCmd, len(windows))
		for i, w := range windows {
			replies[i] = pipe.HMGet(ctx, k.window(windowName(w)), "p", "h", "s")
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, failed(err)
		}
		for i, w := range windows {
			hash := map[string]string{}
			for field, value := range replies[i].Val() {
				if text, is := value.(string); is {
					hash[[...]string{"p", "h", "s"}[field]] = text
				}
			}
			book, err := decodeWindow(hash)
			if err != nil {
				return nil, err
			}
			all[w] = book.WindowState
		}
	}
	return all, nil
}
