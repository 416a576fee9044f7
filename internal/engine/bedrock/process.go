package bedrock

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// process is the credential_process of a profile. The SDK would let it write into the
// gateway's own standard error, raw between the lines of the log.
type process struct {
	command string
	said    *os.File // what it writes to its standard error, nil for nothing
}

// processOf returns the program that the profile in use, or the one that its roles begin with,
// takes credentials from; nil when they come from elsewhere. profiles are those above it, which
// assume roles, the last one first.
func processOf(loaded *aws.Config) (p *process, profiles []*awsconfig.SharedConfig) {
	direct := aws.IsCredentialsProvider(loaded.Credentials, (*processcreds.Provider)(nil))
	if !direct && !aws.IsCredentialsProvider(loaded.Credentials, (*stscreds.AssumeRoleProvider)(nil)) {
		return nil, nil
	}
	for _, from := range loaded.ConfigSources {
		profile, ok := from.(awsconfig.SharedConfig)
		if !ok {
			continue
		}
		at := &profile
		for ; at.Source != nil && len(profiles) < maxProfiles; at = at.Source {
			profiles = append([]*awsconfig.SharedConfig{at}, profiles...)
		}
		others := at.Credentials.HasKeys() || at.CredentialSource != "" || at.WebIdentityTokenFile != "" ||
			at.SSOAccountID != "" || at.LoginSession != ""
		if at.CredentialProcess == "" || others {
			return nil, nil
		}
		return &process{command: at.CredentialProcess}, profiles
	}
	return nil, nil
}

// maxProfiles is how many profiles may take credentials from one another.
const maxProfiles = 20

// provider runs the program, and assumes the roles of profiles on top of it as the SDK does.
func (p *process) provider(site aws.Config, profiles []*awsconfig.SharedConfig) aws.CredentialsProvider {
	site.Credentials = processcreds.NewProviderCommand(p)
	for _, of := range profiles {
		if of.RoleARN == "" {
			continue
		}
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(site), of.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = of.RoleSessionName
			if of.ExternalID != "" {
				o.ExternalID = aws.String(of.ExternalID)
			}
			if d := of.RoleDurationSeconds; d != nil && *d > 15*time.Minute {
				o.Duration = *d
			}
		})
		site.Credentials = role
	}
	return aws.NewCredentialsCache(site.Credentials, refreshEarly)
}

// NewCommand implements processcreds.NewCommandBuilder. The standard error is a file, because
// nobody has to wait for what the program leaves running, as with a pipe.
func (p *process) NewCommand(ctx context.Context) (*exec.Cmd, error) {
	cmd, err := processcreds.DefaultNewCommandBuilder{Args: []string{p.command}}.NewCommand(ctx)
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stderr = nil, nil
	if p.said, err = os.CreateTemp("", "credential_process"); err == nil {
		cmd.Stderr = p.said
	}
	return cmd, nil // without such a file, what it says is lost
}

// remark returns the beginning of what the program said, in one line, and forgets it.
func (p *process) remark() string {
	if p.said == nil {
		return ""
	}
	const most = 500
	text := make([]byte, most)
	n, _ := p.said.ReadAt(text, 0)
	_ = p.said.Close()
	_ = os.Remove(p.said.Name())
	p.said = nil
	return strings.Join(strings.Fields(string(text[:n])), " ")
}

// after adds to an error what the program said, and logs it where there is no error.
func (p *process) after(err error, c *chain) error {
	said := p.remark()
	switch {
	case said == "":
		return err
	case err != nil:
		return fmt.Errorf("%w; it said: %s", err, said)
	}
	c.log.Info("credential_process", "text", said)
	return nil
}
