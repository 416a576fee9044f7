package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Bounds of the single requests that savings looks at, of each gateway.
const (
	waitingFor   = 14 * 24 * time.Hour
	mostRequests = 200_000
)

// waiting finds the calls that could have waited, in the newest requests before a time. Saved minutes are
// without requests, unless --requests names some.
func (f *savingsFlags) waiting(
	cmd *cobra.Command, book *advice.Book, from, to time.Time,
) ([]advice.Finding, error) {
	if f.prove != "" {
		return nil, nil // no line of configuration makes batch jobs
	}
	w := advice.NewWaiting(book)
	add := func(d *decision.Decision) {
		if f.tenant == "" || record.Within(d.Tenant, f.tenant) {
			w.Add(d)
		}
	}
	var since time.Time
	var err error
	if from = later(from, to.Add(-waitingFor)); len(f.requests)+len(f.files) > 0 {
		since, to, err = readRequests(f.requests, add)
	} else {
		since, err = f.askRequests(cmd, decision.Filter{Since: from, Until: to, Status: 200}, add)
	}
	if err != nil {
		return nil, err
	}
	if w.Left > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d calls are left out of those that could have waited: too many callers\n", w.Left)
	}
	return w.Findings(to.Sub(later(from, since))), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// askRequests asks the gateways.
func (f *savingsFlags) askRequests(
	cmd *cobra.Command, of decision.Filter, yield func(*decision.Decision),
) (since time.Time, err error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 12*command.AskWithin)
	defer cancel()
	client, err := f.Client(ctx)
	if err != nil {
		return since, err
	}
	since, silent := client.Each(ctx, of, mostRequests, yield)
	command.WarnSilent(cmd.ErrOrStderr(), silent)
	return since, nil
}

// readRequests reads saved answers, and returns which time they are of.
func readRequests(files []string, yield func(*decision.Decision)) (from, to time.Time, err error) {
	for _, name := range files {
		data, err := userfile.UTF8(name)
		if err != nil {
			return from, to, err
		}
		var list api.RequestList
		if err := json.Unmarshal(data, &list); err != nil {
			return from, to, fmt.Errorf("%s is no answer of %s: %w", name, api.Requests, err)
		}
		for i := range list.Requests {
			at := list.Requests[i].Received
			if from.IsZero() || at.Before(from) {
				from = at
			}
			to = later(to, at)
			yield(&list.Requests[i])
		}
	}
	return from, to, nil
}
