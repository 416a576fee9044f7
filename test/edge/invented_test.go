package edge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// inventedNames is M15.
func inventedNames() row {
	return row{
		name: "M15 invented names",
		goal: "one key, 7,200 values of each thing that callers invent, against a 16 MB Redis",
		must: "bounded rows, metrics and memory; other tenants served",
		run:  invent,
	}
}

// inventions are what a caller can put a name of their own into, one each: n is new each
// time.
var inventions = map[string]func(n int) (target, body string, fields [2]string){
	"model id":         func(n int) (string, string, [2]string) { return model(fmt.Sprintf("bogus.%d", n)) },
	"long model id":    func(n int) (string, string, [2]string) { return model(long("bogus.", n)) },
	"model that works": func(n int) (string, string, [2]string) { return model(fmt.Sprintf("works.%d", n)) },
	"region's model": func(n int) (string, string, [2]string) {
		return model(fmt.Sprintf("us.amazon.works-%d-v1:0", n))
	},
	"profile ARN": func(n int) (string, string, [2]string) {
		return model(fmt.Sprintf("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/p%d", n))
	},
	"account": func(n int) (string, string, [2]string) {
		return model(fmt.Sprintf("arn:aws:bedrock:us-east-1:%012d:inference-profile/us.amazon.nova-lite-v1:0", n))
	},
	"prompt ARN": func(n int) (string, string, [2]string) {
		return model(fmt.Sprintf("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:%d", n))
	},
	"endpoint": func(n int) (string, string, [2]string) {
		return model(fmt.Sprintf("arn:aws:sagemaker:us-east-1:123456789012:endpoint/e%d", n))
	},
	"invoke": func(n int) (string, string, [2]string) {
		return "/model/" + long("bogus.", n) + "/invoke", `{"prompt":"hi"}`, [2]string{}
	},
	"stream": func(n int) (string, string, [2]string) {
		return fmt.Sprintf("/model/bogus.%d/converse-stream", n), ask, [2]string{}
	},
	"count tokens": func(n int) (string, string, [2]string) {
		return fmt.Sprintf("/model/bogus.%d/count-tokens", n), `{"input":{"converse":` + ask + `}}`, [2]string{}
	},
	"job": func(n int) (string, string, [2]string) {
		return "/async-invoke", fmt.Sprintf(`{"modelId":%q,"modelInput":{},"outputDataConfig":{"s3OutputDataConfig":`+
			`{"s3Uri":"s3://b%d/"}}}`, long("bogus.", n), n), [2]string{}
	},
	"job's ARN": func(n int) (string, string, [2]string) {
		arn := fmt.Sprintf("arn:aws:bedrock:us-east-1:123456789012:async-invoke/%012d", n)
		return "/async-invoke/" + url.PathEscape(arn), "", [2]string{}
	},
	"guardrail": func(n int) (string, string, [2]string) {
		return fmt.Sprintf("/guardrail/g%d/version/%d/apply", n, n), `{"source":"INPUT","content":[{"text":{"text":"a"}}]}`,
			[2]string{}
	},
	"guardrail of a model": func(n int) (string, string, [2]string) {
		return askTarget, strings.Replace(ask, "{", fmt.Sprintf(`{"guardrailConfig":{"guardrailIdentifier":%q,`+
			`"guardrailVersion":"%d"},`, long("g", n), n), 1), [2]string{}
	},
	"tier": func(n int) (string, string, [2]string) {
		return askTarget, strings.Replace(ask, "{", fmt.Sprintf(`{"serviceTier":{"type":%q},`, long("t", n)), 1), [2]string{}
	},
	"latency": func(n int) (string, string, [2]string) {
		return askTarget, strings.Replace(ask, "{", fmt.Sprintf(`{"performanceConfig":{"latency":%q},`, long("l", n)), 1),
			[2]string{}
	},
	"user": func(n int) (string, string, [2]string) {
		return askTarget, ask, [2]string{"x-user", long("u", n)}
	},
	"metadata": func(n int) (string, string, [2]string) {
		return askTarget, strings.Replace(ask, "{", fmt.Sprintf(`{"requestMetadata":{"user":"m%d","k%d":"v"},`, n, n), 1),
			[2]string{}
	},
	"path": func(n int) (string, string, [2]string) { return fmt.Sprintf("/tenant/t%d/x", n), ask, [2]string{} },
	"header": func(n int) (string, string, [2]string) {
		return askTarget, ask, [2]string{fmt.Sprintf("x-sluice-tenant-%d", n), long("h", n)}
	},
	"trace": func(n int) (string, string, [2]string) {
		return askTarget, ask, [2]string{"traceparent", fmt.Sprintf("00-%032d-%016d-01", n+1, n+1)}
	},
	"tier by header": func(n int) (string, string, [2]string) {
		return "/model/works.x/invoke", `{"prompt":"hi"}`, [2]string{"X-Amzn-Bedrock-Service-Tier", long("t", n)}
	},
	"chat model": func(n int) (string, string, [2]string) {
		return "/v1/chat/completions", fmt.Sprintf(`{"model":"bogus.%d","user":%q,"messages":[{"role":"user",`+
			`"content":"hi"}]}`, n, long("u", n)), [2]string{}
	},
}

func model(id string) (target, body string, fields [2]string) {
	return "/model/" + url.PathEscape(id) + "/converse", ask, fields
}

// long is a name of 1,950 bytes.
func long(prefix string, n int) string {
	name := fmt.Sprintf("%s%d-", prefix, n)
	return name + strings.Repeat("x", 1950-len(name))
}

// picky is an upstream that knows only models that say that they work.
func picky(t *testing.T) *httptest.Server {
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("content-type", "application/json")
		if !strings.Contains(r.URL.Path, "works") && !strings.Contains(r.URL.Path, "nova") {
			w.Header().Set("x-amzn-ErrorType", "ValidationException")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"message":"The provided model identifier is invalid."}`)
			return
		}
		io.WriteString(w, converseAnswer("hi"))
	}))
	t.Cleanup(u.Close)
	return u
}

func invent(t *testing.T, m *measured) {
	redis := redistest.NewServer(t, "--maxmemory", "16mb", "--maxmemory-policy", "noeviction")
	key, other := harness.NewKey(t, "acme"), harness.NewKey(t, "other")
	g, inside := start(t, fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
unknown_family: allow
users: {header: x-user, metadata: user, body: true}
ledger: {redis: %q}
tenants:
  - {id: acme, keys: [%s], operations: [converse, converse-stream, invoke, count-tokens, start-async-invoke,
      get-async-invoke, apply-guardrail]}
  - {id: other, keys: [%s]}
`, picky(t).URL, redis.URL(), key.KeyID, other.KeyID))
	before := inside.memory()
	var sent, refused atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	callers(m.of(7200, 60), 16, func(n int) {
		for _, invention := range inventions {
			target, body, fields := invention(n)
			method := http.MethodPost
			if body == "" {
				method = http.MethodGet
			}
			req, _ := http.NewRequest(method, g.URL()+target, strings.NewReader(body))
			if fields[0] != "" {
				req.Header.Set(fields[0], fields[1])
			}
			key.BearerCredential(req, nil)
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				continue
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if sent.Add(1); res.StatusCode >= 500 {
				refused.Add(1)
			}
		}
	})
	if got := g.Post(t, other.BearerCredential, askTarget, ask); got.Status != 200 {
		t.Errorf("another tenant: %d %s", got.Status, got.Body)
	}
	m.note("%d requests, %d of them answered with 5xx", sent.Load(), refused.Load())
	look(t, m, g, redis, inside.memory()-before)
}

// look counts what is left of inventions, when all of them are posted.
func look(t *testing.T, m *measured, g *harness.Gateway, redis *redistest.Server, grown int) {
	const mostRows, mostSeries, mostMemory = 1500, 3000, 150
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := g.Report("tenant")
		legs := map[string]int64{}
		for _, r := range rows {
			legs[r.Tenant] += r.Legs
		}
		return legs["other"] == 1, fmt.Sprint(legs)
	})
	for _, by := range []string{"model", "user", "tier"} {
		out := harness.Run(t, 0, nil, "report", "--config", g.ConfigFile(), "--by", by, "--format", "json")
		n := strings.Count(out, `"requests"`)
		m.note("%d rows by %s", n, by)
		if n > mostRows {
			t.Errorf("%d rows by %s", n, by)
		}
	}
	res, err := http.Get("http://" + g.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	series := strings.Count(string(text), "\n")
	m.note("%d lines of metrics, %d keys in Redis", series, len(redis.Keys("*")))
	m.note("%d MB more of memory", grown)
	if series > mostSeries || grown > mostMemory || len(redis.Keys("*")) > mostRows {
		t.Error("something grows with invented names")
	}
	if strings.Contains(string(text), "bogus.1") || strings.Contains(string(text), "xxxxxxxx") {
		t.Error("an invented name is in the metrics")
	}
}
