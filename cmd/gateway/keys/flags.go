package keys

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/network"
)

// settingsFlags are the flags that set something of a key.
type settingsFlags struct {
	name, owner, expires string
	networks, budgets    []string
	limits               keys.Limits
}

// settingNames are the names of the flags.
var settingNames = [...]string{"name", "owner", "expires", "network", "budget", "requests-per-minute",
	"tokens-per-minute", "concurrent-requests"}

func (f *settingsFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "`NAME` of the key, for people")
	flags.StringVar(&f.owner, "owner", "", "`WHO` is answerable for the key")
	flags.StringVar(&f.expires, "expires", "",
		"`WHEN` it expires: after 90d or 12h, at 2027-01-31 (UTC), 2027-01-31T18:00:00Z, or never")
	flags.StringArrayVar(&f.networks, "network", nil,
		"`CIDR` or address that requests may come from; may be repeated; any for everywhere")
	flags.StringArrayVar(&f.budgets, "budget", nil,
		"budget of the key itself, as `PERIOD=USD`: month=50 or day=5:light_only; may be repeated; none for none")
	flags.Int64Var(&f.limits.RequestsPerMinute, "requests-per-minute", 0, "most requests in a minute, `N`; 0 for no limit")
	flags.Int64Var(&f.limits.TokensPerMinute, "tokens-per-minute", 0, "most tokens in a minute, `N`; 0 for no limit")
	flags.Int64Var(&f.limits.ConcurrentRequests, "concurrent-requests", 0, "most requests at once, `N`; 0 for no limit")
}

// given reports whether any of the flags is set.
func (f *settingsFlags) given(cmd *cobra.Command) bool {
	for _, name := range settingNames {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// apply puts what is given into settings.
func (f *settingsFlags) apply(cmd *cobra.Command, s *keys.Settings) error {
	set := func(name string) bool { return cmd.Flags().Changed(name) }
	if set("name") {
		s.Name = f.name
	}
	if set("owner") {
		s.Owner = f.owner
	}
	if set("expires") {
		at, err := parseWhen(f.expires, time.Now())
		if err != nil {
			return err
		}
		s.Expires = at
	}
	if set("network") {
		s.Networks = nil
		for _, text := range f.networks {
			if text == "any" && len(f.networks) == 1 {
				continue
			}
			n, err := network.Parse(text)
			if err != nil {
				return command.Invalidf("--network: %w", err)
			}
			s.Networks = append(s.Networks, n)
		}
	}
	if set("budget") {
		s.Budgets = nil
		for _, text := range f.budgets {
			if text == "none" && len(f.budgets) == 1 {
				continue
			}
			b, err := parseBudget(text)
			if err != nil {
				return err
			}
			s.Budgets = append(s.Budgets, b)
		}
	}
	f.applyLimits(set, s)
	return command.Invalid(s.Check())
}

func (f *settingsFlags) applyLimits(set func(name string) bool, s *keys.Settings) {
	var l keys.Limits
	if s.Limits != nil {
		l = *s.Limits
	}
	for name, of := range map[string]struct{ to, from *int64 }{
		"requests-per-minute": {&l.RequestsPerMinute, &f.limits.RequestsPerMinute},
		"tokens-per-minute":   {&l.TokensPerMinute, &f.limits.TokensPerMinute},
		"concurrent-requests": {&l.ConcurrentRequests, &f.limits.ConcurrentRequests},
	} {
		if set(name) {
			*of.to = *of.from
		}
	}
	s.Limits = &l
	if l == (keys.Limits{}) {
		s.Limits = nil
	}
}

func parseBudget(text string) (keys.Budget, error) {
	period, amount, ok := strings.Cut(text, "=")
	if !ok {
		return keys.Budget{}, command.Invalidf("--budget %q: it is PERIOD=USD, such as month=50 or day=5:light_only", text)
	}
	amount, then, _ := strings.Cut(amount, ":")
	return keys.Budget{Period: period, USD: amount, OnExceed: then}, nil
}

// parseWhen reads a time, or how long it is until then. "never" is nil.
func parseWhen(text string, now time.Time) (*time.Time, error) {
	if text == "never" {
		return nil, nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return &at, nil
		}
	}
	d, err := parseDuration(text)
	if err != nil || d <= 0 {
		return nil, command.Invalidf("--expires %q: it is a time such as 2027-01-31 or 2027-01-31T18:00:00Z, or how long "+
			"until then, such as 90d or 12h, or never", text)
	}
	at := now.Add(d).UTC().Truncate(time.Second)
	return &at, nil
}

// parseDuration reads a duration, in days too.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		const most = 100 * 366
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > most {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}

func reasonFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("reason", "", "`WHY`, for the audit log")
}
