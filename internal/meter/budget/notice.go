package budget

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Notice is that a budget's spending has passed a threshold. It comes once per
// window, threshold and process; its ID is the same from every gateway, so that
// it can be sent once.
type Notice struct {
	ID         string
	Tenant     string // whose budget it is
	Period     string
	Start, End time.Time // of the window
	// Limit and Spent are nano-dollars; Spent is what is posted or in suspense.
	Limit, Spent int64
	Percent      int // the threshold: 50, 80 or 100
}

// Body is the message of a webhook; amounts are decimal dollars.
func (n *Notice) Body() any {
	return struct {
		ID      string    `json:"id"`
		Tenant  string    `json:"tenant"`
		Period  string    `json:"period"`
		Start   time.Time `json:"window_start"`
		End     time.Time `json:"window_end"`
		Limit   string    `json:"limit_usd"`
		Spent   string    `json:"spent_usd"`
		Percent int       `json:"percent"`
	}{n.ID, n.Tenant, n.Period, n.Start, n.End, dollars(n.Limit), dollars(n.Spent), n.Percent}
}

func dollars(nano int64) string { return (money.Pico(nano) * money.Nano).String() }

var thresholds = [...]int{50, 80, 100}

// notch is one threshold of one limit in a window.
type notch struct {
	limit   int64
	percent int
}

// watch returns the notices that an account's state calls for and that have not
// been given yet. refused is what a request needed that was refused, 0 for none:
// a budget that holds is never spent to the last cent, so it counts as 100
// percent when what is spent, not what is held for a while, left too little.
func (a *account) watch(refused int64) []Notice {
	if a.limit == nil {
		return nil
	}
	var notices []Notice
	spent := a.state.Posted + a.state.Suspense
	for _, limit := range a.limit.alerts {
		for _, percent := range thresholds {
			full := percent == 100 && limit <= a.limit.of(Normal) && refused <= limit && spent+refused > limit
			at := notch{limit, percent}
			if a.noticed[at] || !full && (!a.known || spent < share(limit, percent)) {
				continue
			}
			if a.noticed == nil {
				a.noticed = make(map[notch]bool)
			}
			a.noticed[at] = true
			notices = append(notices, a.notice(at, spent))
		}
	}
	return notices
}

func (a *account) notice(at notch, spent int64) Notice {
	w := &a.window
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %s %d %d %d", w.Tenant, w.Period, w.Start.Unix(), at.limit, at.percent))
	return Notice{
		ID: hex.EncodeToString(sum[:16]), Tenant: w.Tenant, Period: w.Period, Start: w.Start, End: w.End,
		Limit: at.limit, Spent: spent, Percent: at.percent,
	}
}

// share is percent of a limit, rounded up.
func share(limit int64, percent int) int64 {
	p := int64(percent)
	return limit/100*p + (limit%100*p+99)/100
}
