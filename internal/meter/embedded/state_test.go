package embedded_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
)

func TestCases(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Ledger { return &embedded.State{} })
}
