package budget

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Reason is why a reservation is refused.
type Reason uint8

// The reasons. The zero value is not used.
const (
	_          Reason = iota
	UsedUp            // a window has too little left
	LedgerAway        // the ledger cannot be asked, or grants nothing for now
)

// Refusal is a claim that was not granted. Nothing of it is held.
type Refusal struct {
	Reason Reason
	// Window is the one that has too little left; the numbers are its own, in its
	// unit, as the ledger reported them last. Need is what the claim asked for.
	Window                              record.Window
	Limit, Posted, Held, Suspense, Need int64
	// LightOnly is whether the window is a light_only budget's, so that the light
	// leg alone may still be served: claim that in class LightOnly.
	LightOnly bool
	// Until is when it may be worth asking again; zero when that is not known.
	Until time.Time

	account *account
}

func usedUp(a *account, class Class, need int64) *Refusal {
	return &Refusal{
		Reason: UsedUp, Window: a.window, Limit: a.limit.of(class), Need: need, Until: a.window.End,
		Posted: a.state.Posted, Held: a.state.Held, Suspense: a.state.Suspense,
		LightOnly: class == Normal && a.limit.light < a.limit.hard,
		account:   a,
	}
}
