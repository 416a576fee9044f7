package bedrock

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/role"
)

// TestAccount asks for the account once in a while, through the same way as all calls;
// a failure is kept for a shorter while, and who leaves makes none. E7
func TestAccount(t *testing.T) {
	isolate(t)
	var questions atomic.Int64
	var broken atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		questions.Add(1)
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "GetCallerIdentity" || broken.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
			`<Arn>arn:aws:iam::012345678901:user/gw</Arn><UserId>AIDA</UserId><Account>012345678901</Account>`+
			`</GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", s.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	e := newEngine(t, settings("http://127.0.0.1:1"), func(o *Options) {
		o.Credentials = nil
		o.Now = func() time.Time { return time.Unix(0, now.Load()) }
		o.Upstreams["keyed"] = config.Upstream{Region: "us-east-1", Endpoint: "http://127.0.0.1:1", BearerToken: "x"}
	})
	f := func(ctx context.Context, want string, asked int64) {
		t.Helper()
		id, err := e.Account(ctx, "", role.Role{})
		if id != want || (err == nil) != (want != "") || questions.Load() != asked {
			t.Errorf("%q %v after %d questions, want %q after %d", id, err, questions.Load(), want, asked)
		}
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	broken.Store(true)
	f(t.Context(), "", 1)
	f(t.Context(), "", 1)
	broken.Store(false)
	now.Add(int64(accountFailed))
	f(left, "012345678901", 2)
	f(t.Context(), "012345678901", 2)
	broken.Store(true)
	now.Add(int64(accountKept))
	f(t.Context(), "012345678901", 3) // it is kept
	for _, upstream := range []string{"keyed", "absent"} {
		if id, err := e.Account(t.Context(), upstream, role.Role{}); err == nil {
			t.Errorf("%s: %q", upstream, id)
		}
	}
	fixed := newEngine(t, settings("http://127.0.0.1:1"), func(*Options) {})
	if id, err := fixed.Account(t.Context(), "", role.Role{}); err == nil {
		t.Errorf("fixed keys: %q", id)
	}
}
