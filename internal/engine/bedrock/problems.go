package bedrock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/outbound"
)

// Problems are what is wrong with the upstreams of a configuration on this machine:
// New fails of each. It connects to nobody. What further upstreams have from the
// default one is told once.
func Problems(cfg *config.Config) []config.Problem {
	ctx := context.Background()
	problems := problemsOf(ctx, "upstream", cfg.Upstream)
	told := map[string]bool{}
	for _, p := range problems {
		told[p.Message] = true
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Upstreams)) {
		for _, p := range problemsOf(ctx, fmt.Sprintf("upstreams[%q]", name), cfg.Upstreams[name]) {
			if !told[p.Message] {
				problems = append(problems, p)
			}
			told[p.Message] = true
		}
	}
	return problems
}

func problemsOf(ctx context.Context, path string, u config.Upstream) []config.Problem {
	calls, err := outbound.New(outbound.Settings{Proxy: u.Proxy, CAFile: u.CAFile})
	var m *outbound.SettingError
	if errors.As(err, &m) {
		if m.Key != "" {
			path += "." + m.Key
		}
		return []config.Problem{{Path: path, Message: m.Text}}
	}
	if u.Endpoint == config.Sandbox || u.Region == "" {
		return nil // the former needs nothing, the latter is a mistake of its own
	}
	if u.Endpoint != "" {
		if _, err := configuredEndpoint(u.Endpoint); err != nil {
			return []config.Problem{{Path: path + ".endpoint", Message: err.Error()}}
		}
	}
	found := &chain{calls: calls, log: slog.New(slog.DiscardHandler)}
	if _, err := locate(ctx, u, found, u.BearerToken != ""); err != nil {
		return []config.Problem{{Path: path, Message: "the AWS configuration of this process: " + err.Error()}}
	}
	return nil
}
