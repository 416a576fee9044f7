package bedrock

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/sluice-gateway/sluice/internal/outbound"
)

// chain finds the gateway's own credentials where the AWS SDKs look for them:
// environment, web identity, shared files with all that a profile may name
// (process, SSO, a role), container, instance. It looks anew each time, because an
// SDK reads its files once.
type chain struct {
	region string // whose security token service is asked
	calls  *outbound.Calls
	log    *slog.Logger
}

// load reads the AWS configuration of this process.
func (c *chain) load(ctx context.Context) (aws.Config, error) {
	return awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(c.region),
		awsconfig.WithCredentialsCacheOptions(refreshEarly),
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(c.calls.Apply, seldom)),
		awsconfig.WithLogger(sdkLog{c.log}))
}

// sdkLog is where the SDK logs.
type sdkLog struct{ *slog.Logger }

// Logf implements logging.Logger.
func (l sdkLog) Logf(class logging.Classification, format string, args ...any) {
	level := slog.LevelDebug
	if class == logging.Warn {
		level = slog.LevelWarn
	}
	l.Log(context.Background(), level, "AWS SDK", "text", fmt.Sprintf(format, args...))
}

// seldom is for calls between which no connection is worth keeping.
func seldom(t *http.Transport) { t.DisableKeepAlives = true }

// Retrieve implements aws.CredentialsProvider.
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	loaded, err := c.load(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	program, profiles := processOf(&loaded)
	if program != nil {
		loaded.Credentials = program.provider(loaded, profiles)
	}
	found, err := loaded.Credentials.Retrieve(ctx)
	if program != nil {
		err = program.after(err, c)
	}
	if err != nil {
		err = explained{plainly(err.Error(), os.Getenv), err}
	}
	return found, err
}

// explained is an error of the SDK in words for who runs the gateway.
type explained struct {
	text string
	error
}

func (e explained) Error() string { return e.text }

// Unwrap returns what the SDK said.
func (e explained) Unwrap() error { return e.error }

// plainly says why there are no credentials: where all places were looked at, the SDK tells
// of the last one alone.
func plainly(said string, getenv func(string) string) string {
	said = strings.TrimPrefix(said, "failed to refresh cached credentials, ")
	key, secret := getenv("AWS_ACCESS_KEY_ID") != "", getenv("AWS_SECRET_ACCESS_KEY") != ""
	switch {
	case !strings.Contains(said, "EC2 IMDS"):
		return said
	case key && !secret:
		said = "AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY, so it does not count; last, " + said
	case secret && !key:
		said = "AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID, so it does not count; last, " + said
	}
	if strings.Contains(said, "StatusCode: 401") { // asked without a token, because none came
		said += "; in a container, the instance's HttpPutResponseHopLimit must be 2"
	}
	profile := cmp.Or(getenv("AWS_PROFILE"), getenv("AWS_DEFAULT_PROFILE"), "default")
	return fmt.Sprintf("no credentials were found: neither in the environment, nor in profile %s, nor of a container or "+
		"an instance: %s", profile, said)
}

// lookEvery is how often the shared files are looked at.
const lookEvery = 2 * time.Second

// keyFiles are the shared files of credentials, in which keys may be rotated that
// never expire.
func keyFiles(getenv func(string) string) []string {
	return []string{
		cmp.Or(getenv("AWS_SHARED_CREDENTIALS_FILE"), awsconfig.DefaultSharedCredentialsFilename()),
		cmp.Or(getenv("AWS_CONFIG_FILE"), awsconfig.DefaultSharedConfigFilename()),
	}
}

// stampOf identifies the states of files without reading them.
func stampOf(files []string) string {
	var b strings.Builder
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintln(&b, info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

// watchKeys renews credentials when the shared files have changed.
func (e *Engine) watchKeys(ctx context.Context, files []string) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for stamp := stampOf(files); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if now := stampOf(files); now != stamp && e.renewAll() {
			stamp = now
		}
	}
}

// renewAll begins to look for other credentials. It reports false when a source
// looked only just now, perhaps before the files changed.
func (e *Engine) renewAll() (all bool) {
	all = true
	for _, up := range e.upstreams {
		if id := up.identity; id != nil && id.roles != nil && id.base.current.Load() != nil {
			all = id.base.refresh() != nil && all
		}
	}
	return all
}
