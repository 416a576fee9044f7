package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/meter/redis/admins"
)

// Asked is which gateways a command asks.
type Asked struct {
	File  *string // --config
	admin []string
}

// AskWithin is how long gateways and the ledger may take.
const AskWithin = 10 * time.Second

// Flag adds --admin to a command that has --config.
func (a *Asked) Flag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&a.admin, "admin", nil,
		"`ADDR` of a gateway's admin port; repeatable. Default those that --config and its ledger name.\n"+
			"The token is admin.token of --config, or "+AdminToken)
}

// Client is how they are asked.
func (a *Asked) Client(ctx context.Context) (*api.Client, error) {
	var cfg *config.Config
	if *a.File != "" || len(a.admin) == 0 {
		var err error
		if cfg, err = LoadToRead(*a.File); err != nil {
			if *a.File == "" {
				err = Invalidf("--config FILE or --admin ADDR is needed, to know which gateways to ask")
			}
			return nil, err
		}
	}
	return a.ClientOf(ctx, cfg)
}

// ClientOf is how they are asked by a configuration, which may be nil where --admin names them.
func (a *Asked) ClientOf(ctx context.Context, cfg *config.Config) (*api.Client, error) {
	c := &api.Client{Token: os.Getenv(AdminToken), HTTP: &http.Client{Transport: &http.Transport{}}}
	if cfg != nil && cfg.Admin.Token != "" {
		c.Token = cfg.Admin.Token
	}
	addresses := a.admin
	if len(addresses) == 0 {
		var err error
		if addresses, err = known(ctx, cfg); err != nil {
			return nil, err
		}
	}
	for _, addr := range addresses {
		base, err := adminURL(addr)
		if err != nil {
			return nil, Invalidf("--admin %s: %w", addr, err)
		}
		c.Gateways = append(c.Gateways, base)
	}
	return c, nil
}

// known are the gateways of which a configuration's ledger knows, or the one of the
// configuration itself.
func known(ctx context.Context, cfg *config.Config) ([]string, error) {
	own := []string{cfg.Admin.Listen}
	if cfg.Ledger.Redis == "" {
		return own, nil
	}
	shared, err := OpenRedis(cfg)
	if err != nil {
		return nil, err
	}
	defer shared.Close() //nolint:errcheck // it was only read
	all, err := admins.New(shared, time.Now).Addresses(ctx)
	if err != nil {
		return nil, fmt.Errorf("the ledger cannot say which gateways there are; --admin names them: %w", err)
	}
	if len(all) == 0 {
		return own, nil
	}
	return all, nil
}

// adminURL makes a base URL of an address.
func adminURL(addr string) (string, error) {
	if strings.HasPrefix(addr, "http://") || strings.HasPrefix(addr, "https://") {
		return strings.TrimRight(addr, "/"), nil
	}
	host, err := Reachable(addr)
	return "http://" + host, err
}

// Reachable is an address to which this machine can connect: one that listens on all
// addresses is asked on loopback.
func Reachable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(listen, "http://"), "/"))
	if err != nil || strings.ContainsAny(host+port, "/ ") {
		return "", fmt.Errorf("%q is no address such as 127.0.0.1:9090, which is the configuration's admin.listen", listen)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// WarnSilent says which gateways were not heard.
func WarnSilent(w io.Writer, silent []api.Silent) {
	for _, s := range silent {
		fmt.Fprintf(w, "warning: gateway %s was not heard: %v\n", s.Gateway, s.Err)
	}
}
