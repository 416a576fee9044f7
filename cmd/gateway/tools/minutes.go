package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
)

// minutesFlags are where the sums of minutes come from, and of which time.
type minutesFlags struct {
	command.Asked
	files        []string
	since, until string
}

func (f *minutesFlags) add(cmd *cobra.Command) {
	f.File = command.ConfigFlag(cmd)
	f.Flag(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.files, "minutes", nil, "`FILE` with an answer of /api/v1/minutes, not a gateway; repeatable")
	flags.StringVar(&f.since, "since", "30d", "from `TIME` on: 30d, or 2026-11-01T00:00:00Z")
	flags.StringVar(&f.until, "until", "", "before `TIME`")
}

// read yields the rows of the time that is asked for, and returns which time they cover.
func (f *minutesFlags) read(
	cmd *cobra.Command, now time.Time, yield func(*decision.Row),
) (from, to time.Time, err error) {
	if len(f.files) > 0 {
		from, to, err = f.readFiles(cmd, yield)
		return from, to, command.Invalid(err)
	}
	if from, err = moment("since", f.since, now); err != nil {
		return from, to, err
	}
	if to, err = moment("until", f.until, now); err != nil {
		return from, to, err
	}
	if to.IsZero() {
		to = now
	}
	from, to = from.Truncate(time.Minute), to.Truncate(time.Minute)
	ctx, cancel := context.WithTimeout(cmd.Context(), 12*command.AskWithin)
	defer cancel()
	client, err := f.Client(ctx)
	if err != nil {
		return from, to, err
	}
	kept, silent := client.Minutes(ctx, from, to, yield)
	command.WarnSilent(cmd.ErrOrStderr(), silent)
	if len(silent) == len(client.Gateways) {
		return from, to, errSilent
	}
	if kept.After(from) {
		fmt.Fprintf(cmd.ErrOrStderr(), "minutes of all gateways are kept since %s; the time begins there\n",
			kept.UTC().Format(time.RFC3339))
		from = kept
	}
	return from, to, nil
}

// readFiles reads saved answers. They cover what they have, or what --since and --until say.
func (f *minutesFlags) readFiles(cmd *cobra.Command, yield func(*decision.Row)) (from, to time.Time, err error) {
	var rows []decision.Row
	for _, name := range f.files {
		data, err := userfile.UTF8(name)
		if err != nil {
			return from, to, err
		}
		var sums api.MinuteSums
		if err := json.Unmarshal(data, &sums); err != nil {
			return from, to, fmt.Errorf("%s is no answer of %s: %w", name, api.Minutes, err)
		}
		rows = append(rows, sums.Minutes...)
	}
	if len(rows) == 0 {
		return from, to, fmt.Errorf("%s: there is no minute", strings.Join(f.files, ", "))
	}
	oldest := func(a, b decision.Row) int { return a.Minute.Compare(b.Minute) }
	from, to = slices.MinFunc(rows, oldest).Minute, slices.MaxFunc(rows, oldest).Minute.Add(time.Minute)
	last := to
	for _, bound := range []struct {
		flag, text string
		dst        *time.Time
	}{{"since", f.since, &from}, {"until", f.until, &to}} {
		if !cmd.Flags().Changed(bound.flag) {
			continue
		}
		if *bound.dst, err = moment(bound.flag, bound.text, last); err != nil {
			return from, to, err
		}
	}
	for i := range rows {
		if at := rows[i].Minute; !at.Before(from) && at.Before(to) {
			yield(&rows[i])
		}
	}
	return from, to, nil
}
