package embedded_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
)

func TestCases(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Ledger { return &embedded.State{} })
}

func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &embedded.State{}
		subject := ledgertest.Subject{Gateways: []ledgertest.Ledger{s}}
		if err := ledgertest.Replay(t.Context(), subject, ledgertest.Histories().Draw(t, "history")); err != nil {
			t.Fatal(err)
		}
	})
}
