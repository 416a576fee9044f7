package bedrock

import (
	"crypto/sha1" //nolint:gosec // the SDKs name SSO's cache files by it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/outbound/outboundtest"
	"github.com/sluice-gateway/sluice/internal/role"
)

// place is where the gateway finds its credentials in one test.
type place struct {
	t     *testing.T
	cloud *cloud
	dir   string
	local string // host:port of what only this machine is given
}

func (p *place) write(name, contents string) string {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// profile writes keys into the shared credentials file.
func (p *place) profile(k *issued) {
	p.t.Setenv("AWS_SHARED_CREDENTIALS_FILE", p.write("credentials", fmt.Sprintf("[default]\naws_access_key_id=%s\n"+
		"aws_secret_access_key=%s\naws_session_token=%s\n", k.id, k.secret, k.session)))
}

func (p *place) process(k *issued) {
	text, err := json.Marshal(map[string]any{
		"Version": 1, "AccessKeyId": k.id, "SecretAccessKey": k.secret, "SessionToken": k.session,
		"Expiration": k.until.UTC().Format(time.RFC3339),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	file := p.write("process.json", string(text))
	p.t.Setenv("AWS_CONFIG_FILE", p.write("config", "[default]\ncredential_process = /bin/cat "+file+"\n"))
}

func (p *place) sso() {
	sum := sha1.Sum([]byte("corp")) //nolint:gosec // as above
	text, err := json.Marshal(map[string]any{
		"accessToken": p.cloud.token(), "expiresAt": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
		"region": "us-east-1", "startUrl": "https://corp.awsapps.com/start",
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(filepath.Join(".aws/sso/cache", hex.EncodeToString(sum[:])+".json"), string(text))
	p.t.Setenv("HOME", p.dir)
	p.t.Setenv("AWS_CONFIG_FILE", p.write("config", "[default]\nsso_session = corp\nsso_account_id = 123456789012\n"+
		"sso_role_name = bedrock\n[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\n"+
		"sso_region = us-east-1\n"))
}

// kinds are all kinds of credentials. put makes new ones known to the gateway, as
// who rotates them would; issues says whether the source gives out new keys by
// itself. stuck is for what nobody can change under a running process.
var kinds = []struct {
	name          string
	issues, stuck bool
	role          bool
	put           func(p *place)
}{
	{name: "static", stuck: true, put: func(p *place) {
		k := p.cloud.issue(0)
		p.t.Setenv("AWS_ACCESS_KEY_ID", k.id)
		p.t.Setenv("AWS_SECRET_ACCESS_KEY", k.secret)
	}},
	{name: "file", put: func(p *place) { p.profile(p.cloud.issue(2 * lasting)) }},
	{name: "process", put: func(p *place) { p.process(p.cloud.issue(lasting)) }},
	{name: "sso cache", issues: true, put: func(p *place) { p.sso() }},
	{name: "web identity", issues: true, put: func(p *place) {
		p.t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", p.write("web-token", p.cloud.token()))
		p.t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web")
	}},
	{name: "container", issues: true, put: func(p *place) {
		p.t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", p.write("container-token", p.cloud.token()))
		p.t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://"+p.local+"/container")
	}},
	{name: "imds", issues: true, put: func(p *place) {
		p.t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
		p.t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+p.local)
	}},
	{name: "role", issues: true, role: true, put: func(p *place) { p.profile(p.cloud.issue(0)) }},
}

// ways are how calls reach AWS.
var ways = []string{"direct", "proxy", "private CA"}

// gateway is an engine at a cloud, and what its identity reported.
type atCloud struct {
	*place
	engine   *Engine
	relay    *outboundtest.Relay // nil without a proxy
	reported []IdentityTrouble
}

func newAtCloud(t *testing.T, kind int, way string, change ...func(*config.Upstream)) *atCloud {
	t.Helper()
	isolate(t)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "")
	t.Setenv("AWS_CA_BUNDLE", "")
	c := newCloud()
	a := &atCloud{place: &place{t: t, cloud: c, dir: t.TempDir(), local: c.serve(t, nil)}}
	at := func(string) string { return "http://" + a.local }
	up := settings("")
	if way != "direct" {
		ca := outboundtest.NewAuthority(t)
		secure := c.serve(t, ca.Server(t))
		_, port, _ := net.SplitHostPort(secure)
		up.CAFile = a.write("ca.pem", string(ca.PEM()))
		at = func(string) string { return "https://" + secure }
		if way == "proxy" {
			a.relay = outboundtest.NewRelay(t, "http", nil)
			up.Proxy = a.relay.URL
			at = func(name string) string { return "https://" + name + ".test:" + port } // which only the proxy knows
		}
	}
	for variable, name := range map[string]string{
		"AWS_ENDPOINT_URL_STS": "sts", "AWS_ENDPOINT_URL_SSO": "portal", "AWS_ENDPOINT_URL_SSO_OIDC": "oidc",
	} {
		t.Setenv(variable, at(name))
	}
	up.Endpoint = at("bedrock")
	if kinds[kind].role {
		up.Role.ARN, up.Role.ExternalID = "arn:aws:iam::123456789012:role/own", "ext-1187"
	}
	for _, c := range change {
		c(&up)
	}
	kinds[kind].put(a.place)
	a.engine = newEngine(t, up, func(o *Options) {
		o.Credentials, o.Getenv, o.Now = nil, os.Getenv, c.clock.now
		o.OnIdentity = func(now IdentityTrouble) { a.reported = append(a.reported, now) }
	})
	return a
}

// ask calls a model as the line does, with its one repetition.
func (a *atCloud) ask() (status int, err error) {
	retries := a.engine.Retries("", time.Time{})
	for {
		res, err := a.engine.Attempt(a.t.Context(), request())
		if _, again := retries.Next(res, err); again {
			continue
		}
		if err != nil {
			return 0, err
		}
		if res.Refusal != nil {
			return res.Status, fmt.Errorf("refused: %s", res.Refusal.Kind)
		}
		return res.Status, nil
	}
}

func (a *atCloud) works(when string) {
	a.t.Helper()
	if status, err := a.ask(); err != nil || status != 200 {
		a.t.Errorf("%s: %d %v", when, status, err)
	}
	if now := a.engine.Troubles(); len(now) > 0 {
		a.t.Errorf("%s: trouble %+v", when, now)
	}
}

// blames is a call that must fail, and say that the gateway's identity is the cause.
func (a *atCloud) blames(when string) {
	a.t.Helper()
	status, err := a.ask()
	if now := a.engine.Troubles(); err == nil || len(now) != 1 || now[0].Kind == "" || now[0].Text == "" {
		a.t.Errorf("%s: %d %v, trouble %+v", when, status, err, now)
	}
	if len(a.reported) == 0 || a.reported[len(a.reported)-1].Healed {
		a.t.Errorf("%s: nothing was reported", when)
	}
}

// later passes the pauses between two looks for credentials.
func (a *atCloud) later() { a.cloud.clock.advance(2 * retryRefresh) }

// events are what happens to credentials under a running gateway.
var events = []struct {
	name string
	run  func(a *atCloud, kind int)
}{
	{"rotate", func(a *atCloud, kind int) {
		a.works("at first")
		a.later()
		a.cloud.revoke()
		if kinds[kind].stuck {
			a.blames("nobody can change the environment of a process")
			return
		}
		kinds[kind].put(a.place) // new ones are there, and the old are void at once
		a.works("rotated")
	}},
	{"expire", func(a *atCloud, kind int) {
		a.works("at first")
		a.cloud.clock.advance(3 * lasting)
		if !kinds[kind].issues && !kinds[kind].stuck {
			a.blames("nobody has renewed them")
			a.later()
			kinds[kind].put(a.place)
		}
		a.works("expired")
	}},
	{"revoke", func(a *atCloud, kind int) {
		a.works("at first")
		a.later()
		if kinds[kind].issues {
			a.cloud.revokeSessions()
			a.works("the sessions are revoked") // the source gives out others
			a.later()
		}
		a.cloud.revoke()
		a.cloud.refuseBy("AccessDenied")
		a.blames("all is revoked")
		a.later()
		a.blames("all is revoked, again")
		a.later()
		a.cloud.refuseBy("")
		if !kinds[kind].stuck {
			kinds[kind].put(a.place)
			a.works("restored")
			if last := a.reported[len(a.reported)-1]; !last.Healed || last.Count < 2 {
				a.t.Errorf("reported at last: %+v", last)
			}
		}
	}},
}

// TestCredentialsMatrix rotates, expires and revokes each kind of credentials, by each
// way (U2, U3, U5, U10). It heals without a restart, or says whose fault it is.
func TestCredentialsMatrix(t *testing.T) {
	for kind := range kinds {
		for _, event := range events {
			for _, way := range ways {
				t.Run(strings.Join([]string{kinds[kind].name, way, event.name}, "/"), func(t *testing.T) {
					a := newAtCloud(t, kind, way)
					event.run(a, kind)
					a.checkWay(way)
				})
			}
		}
	}
}

// checkWay makes sure that what had to go through the proxy did, and the rest not.
func (a *atCloud) checkWay(way string) {
	a.t.Helper()
	if way != "proxy" {
		return
	}
	heard := a.relay.Heard()
	if !strings.Contains(heard, "CONNECT bedrock.test:") || strings.Contains(heard, a.local) {
		a.t.Errorf("the proxy heard %s", heard)
	}
}

// TestRefusalIsRepeatedOnce: a key that nobody replaces costs one repetition (U10).
func TestRefusalIsRepeatedOnce(t *testing.T) {
	a := newAtCloud(t, 0, "direct")
	a.works("at first")
	a.later()
	a.cloud.revoke()
	attempts := 0
	retries := a.engine.Retries("", time.Time{})
	for again := true; again; attempts++ {
		res, err := a.engine.Attempt(t.Context(), request())
		if err != nil || res.Refusal == nil || res.Refusal.Kind != "UnrecognizedClientException" {
			t.Fatalf("%+v %v", res, err)
		}
		_, again = retries.Next(res, err)
	}
	if attempts != 2 {
		t.Errorf("%d attempts, want one repetition", attempts)
	}
	if _, again := ptr(a.engine.Retries("", time.Time{})).Next(nil, &engine.Error{Failure: engine.NoCredentials}); again {
		t.Error("an attempt without credentials is repeated")
	}
}

// TestKeysInFilesAreWatched: a rotated key is used before AWS refuses the old one (U2).
func TestKeysInFilesAreWatched(t *testing.T) {
	const file = 1
	a := newAtCloud(t, file, "direct")
	a.works("at first")
	files := keyFiles(os.Getenv)
	before := stampOf(files)
	a.later()
	kinds[file].put(a.place)
	if stampOf(files) == before {
		t.Fatal("the change of the file is not seen")
	}
	if !a.engine.renewAll() {
		t.Error("nothing was renewed")
	}
	settle(a.engine.upstreams[""].identity.base)
	a.cloud.mu.Lock()
	a.cloud.keys["AKID1"].revoked = true
	a.cloud.mu.Unlock()
	a.works("rotated")
	if len(a.reported) > 0 {
		t.Errorf("AWS refused a call: %+v", a.reported)
	}
	a.write("credentials", "half a fi") // which is all that is there for a moment
	a.later()
	a.engine.renewAll()
	settle(a.engine.upstreams[""].identity.base)
	a.works("a broken file")
}

// TestHowRolesAreAssumed: what a tenant leaves out is its upstream's (U5).
func TestHowRolesAreAssumed(t *testing.T) {
	a := newAtCloud(t, len(kinds)-1, "direct", func(u *config.Upstream) {
		u.Role = role.Role{
			ARN: "arn:aws:iam::1:role/own", ExternalID: "ext-1187", SessionName: "of-upstream", STSRegion: "eu-west-1",
			Tags: role.EncodeTags(map[string]string{"team": "platform", "app": "sluice"}),
		}
	})
	f := func(r role.Role, want map[string]string) {
		t.Helper()
		req := request()
		req.Role = r
		if res, err := a.engine.Attempt(t.Context(), req); err != nil || res.Status != 200 {
			t.Errorf("%+v: %+v %v", r, res, err)
		}
		a.cloud.mu.Lock()
		defer a.cloud.mu.Unlock()
		form, got := a.cloud.forms[len(a.cloud.forms)-1], map[string]string{}
		for name := range form {
			if name != "Action" && name != "Version" && name != "DurationSeconds" {
				got[name] = form.Get(name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", r, diff)
		}
	}
	own := map[string]string{
		"RoleArn": "arn:aws:iam::1:role/own", "ExternalId": "ext-1187", "RoleSessionName": "of-upstream",
		"Region":            "eu-west-1",
		"Tags.member.1.Key": "app", "Tags.member.1.Value": "sluice",
		"Tags.member.2.Key": "team", "Tags.member.2.Value": "platform",
	}
	with := func(pairs ...string) map[string]string {
		m := maps.Clone(own)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	f(role.Role{}, own)
	f(role.Role{ARN: "arn:aws:iam::1:role/tenant"}, with("RoleArn", "arn:aws:iam::1:role/tenant"))
	f(role.Role{Tags: role.EncodeTags(map[string]string{"team": "support"})}, with("Tags.member.2.Value", "support"))
	f(role.Role{SessionName: "of-tenant"}, with("RoleSessionName", "of-tenant"))
	f(role.Role{STSRegion: "ap-south-1"}, with("Region", "ap-south-1"))
	asked := len(a.cloud.forms)
	f(role.Role{STSRegion: "ap-south-1"}, with("Region", "ap-south-1")) // from memory
	if len(a.cloud.forms) != asked {
		t.Error("a role that is known was assumed again")
	}
	req := request()
	req.Role = role.Role{ExternalID: "wrong"}
	if _, err := a.engine.Attempt(t.Context(), req); err == nil {
		t.Error("assumed with a wrong external id")
	}
	if now := a.engine.Troubles(); len(now) != 1 || now[0].Kind != "AccessDenied" ||
		now[0].Role != "arn:aws:iam::1:role/own" {
		t.Errorf("trouble %+v", now)
	}
}

func ptr[T any](v T) *T { return &v }
