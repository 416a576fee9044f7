package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health [--admin ADDR] [--ready]",
		Short: "Ask a running gateway whether it is well, for HEALTHCHECK and probes",
		Long: "Ask a running gateway, at its admin port, whether its process answers, or with\n" +
			"--ready whether it takes new requests. No configuration is read. The exit code is\n" +
			"0 when it does and 1 when it does not.",
		Example: "  HEALTHCHECK CMD [\"gateway\", \"health\"]\n" +
			"  gateway health --admin 10.0.0.7:9090 --ready",
		Args: command.Args(cobra.NoArgs),
	}
	flags := cmd.Flags()
	admin := flags.String("admin", "127.0.0.1:9090",
		"`ADDR` of the admin port; one that listens everywhere is asked on loopback")
	ready := flags.Bool("ready", false, "also fail while new requests would be refused")
	timeout := flags.Duration("timeout", 3*time.Second, "how long to wait for an answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		addr, err := command.Reachable(*admin)
		if err != nil {
			return command.BadUsage(cmd, fmt.Errorf("--admin: %w", err))
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		path := "/healthz"
		if *ready {
			path = "/readyz"
		}
		return askHealth(ctx, "http://"+addr+path, cmd.OutOrStdout())
	}
	return cmd
}

// askHealth prints what the gateway answers, and fails when that is not 200.
func askHealth(ctx context.Context, url string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy: this is on this machine or near
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return unanswered(req.URL.Host, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return err
	}
	if !ofGateway(body) {
		return fmt.Errorf("what listens at %s is no admin port of a gateway: is that its admin.listen?", req.URL.Host)
	}
	fmt.Fprint(out, string(body))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answers %s%s", res.Status, reasons(body))
	}
	return nil
}

// unanswered says why nothing was heard of a gateway.
func unanswered(host string, err error) error {
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is a gateway running, and is that its admin.listen?", host)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer in time: --timeout waits longer: %w", host, err)
	case errors.As(err, &name):
		return fmt.Errorf("there is no host %s: --admin is where the gateway's admin.listen is", name.Name)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("what listens at %s is no admin port of a gateway, or it ends: %w", host, err)
}

// ofGateway reports whether /healthz or /readyz of a gateway answers so.
func ofGateway(body []byte) bool {
	var state struct {
		Status *string
		Ready  *bool
	}
	return json.Unmarshal(body, &state) == nil && (state.Status != nil || state.Ready != nil)
}

// reasons are those of /readyz for not being ready.
func reasons(body []byte) string {
	var state struct {
		Draining bool
		Degraded map[string]string
	}
	if json.Unmarshal(body, &state) != nil {
		return ""
	}
	var all []string
	if state.Draining {
		all = append(all, "it is draining")
	}
	for what, why := range state.Degraded {
		all = append(all, what+": "+why)
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return ": " + strings.Join(all, "; ")
}
