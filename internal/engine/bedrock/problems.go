package bedrock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

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
	at, err := locate(ctx, u, found, u.BearerToken != "")
	if err != nil {
		return []config.Problem{{Path: path, Message: ofThisProcess(err)}}
	}
	if file := profileBundle(at.aws); file != "" {
		return []config.Problem{{Path: path, Warning: true, Message: "ca_bundle of the AWS profile does not hold here: set " +
			"ca_file, or the variable AWS_CA_BUNDLE, to " + file}}
	}
	return nil
}

// ofThisProcess is what is wrong with the AWS configuration, in words for who wrote it.
func ofThisProcess(err error) string {
	var none awsconfig.SharedConfigProfileNotExistError
	if errors.As(err, &none) {
		return fmt.Sprintf("there is no profile %q (AWS_PROFILE) in %s and %s", none.Profile,
			cmp.Or(os.Getenv("AWS_CONFIG_FILE"), awsconfig.DefaultSharedConfigFilename()),
			cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), awsconfig.DefaultSharedCredentialsFilename()))
	}
	return "the AWS configuration of this process: " + err.Error()
}

// profileBundle is the file of authorities that a profile names, "" where the environment
// names another: the SDK would trust it for its own calls alone.
func profileBundle(loaded aws.Config) string {
	for _, source := range loaded.ConfigSources {
		switch s := source.(type) {
		case awsconfig.EnvConfig:
			if s.CustomCABundle != "" {
				return ""
			}
		case awsconfig.SharedConfig:
			return s.CustomCABundle
		}
	}
	return ""
}
