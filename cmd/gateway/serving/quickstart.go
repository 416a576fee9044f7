package serving

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving/localca"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving/tour"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

func quickstartCommand(version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Run the gateway on the built-in stand-in, with a demo tenant and calls to paste",
		Long: "Run the gateway on the built-in stand-in, with a demo tenant and calls to paste.\n\n" +
			"All that it needs is written to ./data once: change data/quickstart.yaml and start again.\n" +
			"The AWS SDKs send bearer keys over TLS only. With --tls the gateway has a certificate for\n" +
			"this machine, of an authority of its own that the printed calls trust.",
		Args: command.Args(cobra.NoArgs),
	}
	withTLS := cmd.Flags().Bool("tls", false, "serve HTTPS with a certificate of its own, unless the file names one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return quickstart(cmd.Context(), version, *withTLS, cmd.OutOrStdout())
	}
	return cmd
}

func quickstart(ctx context.Context, version string, withTLS bool, out io.Writer) error {
	dir, err := filepath.Abs("data")
	if err != nil {
		return err
	}
	file, key, err := demo(dir)
	if err != nil {
		return err
	}
	o := options{version: version, load: fromFile(file)}
	guide := tour.Gateway{Version: version, Key: key, Program: os.Args[0], File: file}
	if withTLS {
		own, err := localca.Ensure(filepath.Join(dir, "tls"), time.Now())
		if err != nil {
			return err
		}
		o.load = withCertificate(o.load, own)
		guide.CA = own.CA
	}
	o.started = func(a *app) {
		guide.Snapshot, guide.Listen, guide.Admin = a.snapshots.Load(), a.edge.Addr(), a.admin.Addr()
		if used := guide.Snapshot.Config.TLS; used == nil || filepath.Dir(used.Cert) != filepath.Dir(guide.CA) {
			guide.CA = ""
		}
		guide.Print(out, time.Now()) //nolint:errcheck // nobody reads it
	}
	return serve(ctx, o)
}

// withCertificate adds a certificate to what load returns, unless that names one.
func withCertificate(
	load func(*config.Config) (*config.Config, error), own localca.Files,
) func(*config.Config) (*config.Config, error) {
	return func(previous *config.Config) (*config.Config, error) {
		cfg, err := load(previous)
		if err == nil && cfg.TLS == nil {
			cfg.TLS = &config.TLS{Cert: own.Cert, Key: own.Key}
		}
		return cfg, err
	}
}

// demo finds the quickstart's configuration and key, or makes them.
func demo(dir string) (file string, key tenant.Credentials, err error) {
	file, secretIn := filepath.Join(dir, "quickstart.yaml"), dir
	if _, err := os.Stat(file); err == nil {
		cfg, err := command.Load(file)
		if err != nil {
			return file, key, err
		}
		secretIn = cfg.DataDir // it may have been moved
	}
	secrets, err := command.Secrets(secretIn)
	if err != nil {
		return file, key, err
	}
	if key, err = demoKey(dir, secrets); err != nil {
		return file, key, err
	}
	file, err = demoConfig(dir, key)
	return file, key, err
}

// demoConfig writes the quickstart's configuration beside its data, for the
// other commands and as a first configuration to change. It keeps one that is
// there.
func demoConfig(dir string, key tenant.Credentials) (string, error) {
	file := filepath.Join(dir, "quickstart.yaml")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	here := strings.NewReplacer("data_dir: ./data", "data_dir: .", "${SLUICE_DEMO_KEY}", key.KeyID)
	return file, os.WriteFile(file, []byte(here.Replace(string(config.Quickstart()))), 0o600)
}

// demoKey is the demo tenant's key, the same at each start.
func demoKey(dir string, secrets *tenant.Secrets) (tenant.Credentials, error) {
	file := filepath.Join(dir, "demo-key")
	if id, err := os.ReadFile(file); err == nil {
		if c, err := secrets.Credentials(strings.TrimSpace(string(id))); err == nil {
			return c, nil
		}
	}
	id, err := secrets.NewKeyID(rand.Reader)
	if err != nil {
		return tenant.Credentials{}, err
	}
	if err := os.WriteFile(file, []byte(id+"\n"), 0o600); err != nil {
		return tenant.Credentials{}, err
	}
	return secrets.Credentials(id)
}
