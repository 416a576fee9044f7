package test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	floorARN    = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123abc123"
	endpointARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/llama-70b"
	novaPro     = "amazon.nova-pro-v1:0"
	llama       = "us.meta.llama3-1-70b-instruct-v1:0"
)

// TestCapacityByARN calls what was bought by its ARN and by its model, of the Marketplace too, by each operation, with
// both ledgers. All of it is there with its tokens and no price of its own; what the hours cost is shared out, and
// counts towards what was promised.
func TestCapacityByARN(t *testing.T) {
	for name, ledger := range map[string]string{
		"embedded": "", "redis": fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()),
	} {
		t.Run(name, func(t *testing.T) {
			sandbox := harness.StartSandbox(t, "rules: []\n")
			key, other := harness.NewKey(t, "acme/app"), harness.NewKey(t, "beta")
			today := time.Now().UTC().Format(time.DateOnly)
			gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`%supstream: {region: us-east-1, endpoint: %q}
tenants:
  - {id: acme/app, keys: [%s], budgets: [{period: month, usd: 5}]}
  - {id: beta, keys: [%s]}
commitments: [{usd: 1000000, from: %[5]s, to: 2099-12-31}]
capacity:
  - {name: floor, kind: provisioned, arn: %[6]q, models: [%[7]q], units: 2, usd_per_hour: 39.60, from: %[5]s}
  - {name: llama, kind: endpoint, arn: %[8]q, models: [%[9]q], units: 3, usd_per_hour: 12.5, from: %[5]s,
     tenants: [acme], input_tokens_per_minute: 100000}
`, ledger, sandbox.URL(), key.KeyID, other.KeyID, today, floorARN, novaPro, endpointARN, llama)})
			bodies := map[string]string{
				novaPro: `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"hello"}]}]}`,
				llama:   `{"prompt":"hello","max_gen_len":50}`,
			}
			ask := func(of harness.Key, model, op, body string) (int, string) {
				t.Helper()
				got := gw.Post(t, of.BearerCredential, "/model/"+url.PathEscape(model)+"/"+op, body)
				return got.Status, got.Header.Get("x-sluice-capacity")
			}
			for model, names := range map[string][2]string{novaPro: {"floor", floorARN}, llama: {"llama", endpointARN}} {
				for _, op := range []string{"converse", "converse-stream", "invoke", "invoke-with-response-stream"} {
					body := converse("hello")
					if strings.HasPrefix(op, "invoke") {
						body = bodies[model]
					}
					for _, asked := range []string{model, names[1]} {
						if status, capacity := ask(key, asked, op, body); status != 200 || capacity != names[0] {
							t.Errorf("%s of %s: %d, capacity %q", op, asked, status, capacity)
						}
					}
				}
			}
			if status, _ := ask(other, endpointARN, "converse", converse("hello")); status != 403 {
				t.Errorf("%d for a tenant that may not use it", status)
			}
			inTheBooks(t, gw, sandbox)
			inCommitments(t, gw)
		})
	}
}

// inTheBooks compares with what the stand-in says that each ARN had.
func inTheBooks(t *testing.T, gw *harness.Gateway, sandbox *harness.Sandbox) {
	t.Helper()
	want := map[string]harness.Row{}
	for _, s := range sandbox.Log() {
		row := want[s.Model]
		row.Requests, row.Input, row.Output = row.Requests+1, row.Input+s.Input, row.Output+s.Output
		want[s.Model] = row
	}
	if len(want) != 2 || want[floorARN].Requests != 8 || want[endpointARN].Requests != 8 {
		t.Errorf("the upstream was asked for %+v", want)
	}
	harness.Eventually(t, 20*time.Second, func() (bool, string) {
		seen := 0
		rows := gw.Report("model")
		for _, r := range rows {
			if w, known := want[r.Model]; known && r.Requests == w.Requests && r.Input == w.Input && r.Output == w.Output &&
				r.Unknown == 0 && r.Unpriced == 0 && r.Cost == r.Fixed && r.Cost != "0.00" {
				seen++
			}
		}
		return seen == 2, fmt.Sprintf("%+v, want %+v", rows, want)
	})
}

// inCommitments looks for what both cost on their pages, and as a part of what was promised.
func inCommitments(t *testing.T, gw *harness.Gateway) {
	t.Helper()
	var pages []struct {
		Capacity string `json:"capacity"`
		Cost     string `json:"cost_usd"`
		Fixed    string `json:"fixed_usd"`
		List     string `json:"list_usd"`
		Tenants  []struct{ Tenant string }
	}
	out := harness.Run(t, 0, nil, "commitments", "--config", gw.ConfigFile(), "--format", "json")
	if err := json.Unmarshal([]byte(out), &pages); err != nil || len(pages) != 3 {
		t.Fatal(err, out)
	}
	sum := new(big.Rat)
	for _, p := range pages[1:] {
		usd, ok := new(big.Rat).SetString(p.Cost)
		if !ok || usd.Sign() <= 0 || len(p.Tenants) != 2 || p.Tenants[0].Tenant != "acme/app" {
			t.Fatalf("%+v", p)
		}
		sum.Add(sum, usd)
	}
	if fixed, ok := new(big.Rat).SetString(pages[0].Fixed); !ok || fixed.Cmp(sum) != 0 || pages[0].List != pages[0].Fixed {
		t.Errorf("%+v of the promise, want %s", pages[0], sum.FloatString(2))
	}
}

// TestMemberSignsAsItself: a call that goes on to another member of a pool is signed for that one's region, with the
// credentials of the role that is its own.
func TestMemberSignsAsItself(t *testing.T) {
	type signed struct {
		keyID, region string
		err           *wire.Error
	}
	seen := make(chan signed, 4)
	upstream := func(status int, secret, answer string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			head := wire.Header{{Name: "Host", Value: r.Host}}
			for name, values := range r.Header {
				head = append(head, wire.Field{Name: name, Value: values[0]})
			}
			claim, err := sigv4.ParseFor("bedrock", head, "")
			if err != nil {
				t.Error(err)
				return
			}
			err = claim.Verify(&sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), Authority: r.Host, Header: head,
				BodyHash: sha256.Sum256(body)}, secret)
			seen <- signed{claim.AccessKeyID, claim.Region, err}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, answer)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, name, _ := strings.Cut(r.FormValue("RoleArn"), "role/")
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
			`<AccessKeyId>ASIA%s</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>t</SessionToken>`+
			`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, name)
	}))
	t.Cleanup(sts.Close)
	first := upstream(429, harness.UpstreamSecret, `{"message":"no"}`)
	second := upstream(200, "secret", `{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},`+
		`"stopReason":"end_turn","usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}}`)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{Env: []string{"AWS_ENDPOINT_URL_STS=" + sts.URL}, YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
upstreams: {west: {region: us-west-2, endpoint: %q, role_arn: "arn:aws:iam::210987654321:role/west"}}
pools: {all: {order: listed, members: [{upstream: default}, {upstream: west}]}}
tenants: [{id: acme, keys: [%s], upstream: all}]
`, first, second, key.KeyID)})
	got := gw.Post(t, key.BearerCredential, "/model/"+novaPro+"/converse", converse("hello"))
	if got.Status != 200 || got.Header.Get("x-sluice-region") != "us-east-1 throttled, us-west-2" {
		t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
	}
	for _, want := range []signed{{harness.UpstreamKeyID, "us-east-1", nil}, {"ASIAwest", "us-west-2", nil}} {
		if s := <-seen; s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
	}
}
