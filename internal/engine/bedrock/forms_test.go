package bedrock

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// forms are further ways in which the documentation of the SDKs lets a machine say who it is,
// beside those of kinds. put prepares one; fails is in what is reported when nobody can use it.
var forms = []struct {
	name  string
	put   func(p *place, k *issued)
	fails string
}{
	{name: "source_profile", put: func(p *place, k *issued) {
		p.credentials("base", k)
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nexternal_id = ext-1187\nsource_profile = base\n")
	}},
	{name: "source_profile of a source_profile", put: func(p *place, k *issued) {
		p.credentials("base", k)
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/b\nexternal_id = ext-1187\nsource_profile = mid\n" +
			"[profile mid]\nrole_arn = arn:aws:iam::1:role/a\nexternal_id = ext-1187\nsource_profile = base\n")
	}},
	{name: "credential_source Ec2InstanceMetadata", put: func(p *place, _ *issued) {
		p.t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
		p.t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+p.local)
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nexternal_id = ext-1187\n" +
			"credential_source = Ec2InstanceMetadata\n")
	}},
	{name: "ec2_metadata_service_endpoint of a profile", put: func(p *place, _ *issued) {
		p.t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
		p.settings("[default]\nec2_metadata_service_endpoint = http://" + p.local + "\n")
	}},
	{name: "credential_source EcsContainer", put: func(p *place, _ *issued) {
		p.t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", p.cloud.token())
		p.t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://"+p.local+"/container")
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nexternal_id = ext-1187\ncredential_source = EcsContainer\n")
	}},
	{name: "web_identity_token_file of a profile", put: func(p *place, _ *issued) {
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nweb_identity_token_file = " +
			p.write("token", p.cloud.token()) + "\n")
	}},
	{name: "AWS_PROFILE", put: func(p *place, k *issued) {
		p.credentials("work", k)
		p.t.Setenv("AWS_PROFILE", "work")
	}},
	{name: "AWS_DEFAULT_PROFILE", put: func(p *place, k *issued) {
		p.credentials("work", k)
		p.t.Setenv("AWS_DEFAULT_PROFILE", "work")
	}},
	{name: "keys in the file of settings", put: func(p *place, k *issued) {
		p.settings("[default]\naws_access_key_id = " + k.id + "\naws_secret_access_key = " + k.secret + "\n")
	}},
	{name: "a file with Windows lines and comments", put: func(p *place, k *issued) {
		p.t.Setenv("AWS_SHARED_CREDENTIALS_FILE", p.write("credentials", "# mine\r\n[default]\r\naws_access_key_id = "+k.id+
			"\r\n; more\r\naws_secret_access_key = "+k.secret+"\r\n"))
	}},
	{name: "source_profile with a credential_process that says much", put: func(p *place, _ *issued) {
		p.process(p.cloud.issue(lasting))
		text := "[default]\nrole_arn = arn:aws:iam::1:role/a\nexternal_id = ext-1187\nsource_profile = base\n" +
			"[profile base]\ncredential_process = /bin/sh -c 'seq 9999 >&2; cat " + p.dir + "/process.json'\n"
		p.settings(text)
	}},
	{name: "credential_process that leaves a program", put: func(p *place, _ *issued) {
		p.process(p.cloud.issue(lasting))
		p.settings("[default]\ncredential_process = /bin/sh -c 'sleep 60 >/dev/null & cat " + p.dir + "/process.json'\n")
	}},
	{name: "source_profile with a failing credential_process", fails: "no badge", put: func(p *place, _ *issued) {
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = base\n" +
			"[profile base]\ncredential_process = /bin/sh -c 'echo no badge >&2; exit 3'\n")
	}},
	{name: "mfa_serial", fails: "MFA", put: func(p *place, k *issued) {
		p.credentials("base", k)
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nexternal_id = ext-1187\nsource_profile = base\n" +
			"mfa_serial = arn:aws:iam::1:mfa/ann\n")
	}},
	{name: "AWS_PROFILE that there is not", fails: "nosuch", put: func(p *place, k *issued) {
		p.credentials("work", k)
		p.t.Setenv("AWS_PROFILE", "nosuch")
	}},
	{name: "source_profile that there is not", fails: "nosuch", put: func(p *place, _ *issued) {
		p.settings("[default]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = nosuch\n")
	}},
	{name: "credential_process that fails", fails: "it said: no badge", put: func(p *place, _ *issued) {
		p.settings("[default]\ncredential_process = /bin/sh -c 'echo no badge >&2; exit 3'\n")
	}},
	{name: "credential_process that is not there", fails: "not found", put: func(p *place, _ *issued) {
		p.settings("[default]\ncredential_process = /nosuch/program\n")
	}},
	{name: "AWS_WEB_IDENTITY_TOKEN_FILE that is not there", fails: "nosuch", put: func(p *place, _ *issued) {
		p.t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nosuch/token")
		p.t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/a")
	}},
	{name: "AWS_CONTAINER_CREDENTIALS_FULL_URI elsewhere", fails: "example.com", put: func(p *place, _ *issued) {
		p.t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/container")
	}},
	{name: "an access key without its secret", fails: "AWS_SECRET_ACCESS_KEY", put: func(p *place, k *issued) {
		p.t.Setenv("AWS_ACCESS_KEY_ID", k.id)
	}},
	{name: "a secret without its key", fails: "AWS_ACCESS_KEY_ID, so", put: func(p *place, k *issued) {
		p.t.Setenv("AWS_SECRET_ACCESS_KEY", k.secret)
	}},
	{name: "nothing of a profile", fails: "profile work", put: func(p *place, _ *issued) {
		p.settings("[profile work]\nregion = us-east-1\n")
		p.t.Setenv("AWS_PROFILE", "work")
	}},
	{name: "nothing", fails: "no credentials", put: func(*place, *issued) {}},
}

func (p *place) settings(text string) { p.t.Setenv("AWS_CONFIG_FILE", p.write("config", text)) }

func (p *place) credentials(profile string, k *issued) {
	p.t.Setenv("AWS_SHARED_CREDENTIALS_FILE", p.write("credentials",
		fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", profile, k.id, k.secret)))
}

// TestFormsOfCredentials: each either works, or says what is wrong with it, in the gateway's
// own trouble and not the caller's (U2, U10).
func TestFormsOfCredentials(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			a, err := atCloudBy(t, func(p *place) { f.put(p, p.cloud.issue(0)) })
			switch {
			case f.fails == "" && err != nil:
				t.Fatal(err)
			case f.fails == "":
				a.works("at first")
			case err != nil:
				if !strings.Contains(err.Error(), f.fails) {
					t.Errorf("%v, want %q", err, f.fails)
				}
			default:
				a.blames("it cannot be used")
				if now := a.engine.Troubles(); !strings.Contains(now[0].Text, f.fails) {
					t.Errorf("%+v, want %q", now, f.fails)
				}
			}
		})
	}
}

// atCloudBy is an engine at a cloud with credentials that put prepares.
func atCloudBy(t *testing.T, put func(*place)) (*atCloud, error) {
	t.Helper()
	isolate(t)
	for _, name := range []string{
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_CA_BUNDLE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	c := newCloud()
	a := &atCloud{place: &place{t: t, cloud: c, dir: t.TempDir(), local: c.serve(t, nil)}}
	for _, name := range []string{"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC"} {
		t.Setenv(name, "http://"+a.local)
	}
	put(a.place)
	var err error
	a.engine, err = New(t.Context(), Options{
		Upstreams: map[string]config.Upstream{"": settings("http://" + a.local)}, Getenv: os.Getenv, Now: c.clock.now,
		OnIdentity: func(now IdentityTrouble) { a.reported = append(a.reported, now) },
	})
	if err == nil {
		t.Cleanup(a.engine.Close)
	}
	return a, err
}
