package serving

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

func quickstartCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use:   "quickstart",
		Short: "Run the gateway on the built-in stand-in, with a demo tenant and calls to paste",
		Args:  command.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return quickstart(cmd.Context(), version, cmd.OutOrStdout())
		},
	}
}

func quickstart(ctx context.Context, version string, out io.Writer) error {
	dir, err := filepath.Abs("data")
	if err != nil {
		return err
	}
	secrets, err := command.Secrets(dir)
	if err != nil {
		return err
	}
	key, err := demoKey(dir, secrets)
	if err != nil {
		return err
	}
	file, err := demoConfig(dir, key)
	if err != nil {
		return err
	}
	cfg, err := command.Load(file)
	if err != nil {
		return err
	}
	printTour(out, version, cfg, key)
	return serve(ctx, options{version: version}, file)
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

const tour = `
Sluice %[1]s in front of the built-in stand-in for Bedrock. Its answers are canned; tokens, costs and reports are real.
Model "auto" is a cascade: %[4]s first, %[5]s by rule.

curl:
  curl -s http://%[2]s/model/auto/converse -H 'Authorization: Bearer %[3]s' \
    -d '{"messages":[{"role":"user","content":[{"text":"hello"}]}]}'

boto3:
  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://%[2]s AWS_BEARER_TOKEN_BEDROCK=%[3]s AWS_DEFAULT_REGION=us-east-1
  python3 -c 'import boto3; print(boto3.client("bedrock-runtime").converse(modelId="auto",
    messages=[{"role":"user","content":[{"text":"hello"}]}])["output"])'

AWS CLI (the same variables, or a key pair: AWS_ACCESS_KEY_ID=%[6]s AWS_SECRET_ACCESS_KEY=%[7]s):
  aws bedrock-runtime converse --model-id auto --messages '[{"role":"user","content":[{"text":"hello"}]}]'

What it cost:
  bin/gateway report --config %[8]s
Health and metrics:
  curl -s http://%[9]s/readyz; curl -s http://%[9]s/metrics

`

func printTour(out io.Writer, version string, cfg *config.Config, key tenant.Credentials) {
	light, escalation := cfg.Cascades[0].Light, cfg.Cascades[0].Escalation
	fmt.Fprintf(out, tour, version, cfg.Listen, key.Bearer, light, escalation, key.AccessKeyID, key.SecretAccessKey,
		filepath.Join(cfg.DataDir, "quickstart.yaml"), cfg.Admin.Listen)
}
