package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAdmin(t *testing.T) {
	ready := true
	a, err := NewAdmin(AdminOptions{
		Listen: "127.0.0.1:0", Token: "s3cret", Log: discard(),
		Ready:   func() (bool, any) { return ready, map[string]string{"redis": "away"} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }),
		Pages:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	c := clients(t, nil)["h1"]
	f := func(path, authorization string, status int, want string) {
		t.Helper()
		req, _ := http.NewRequest("GET", "http://"+a.ln.Addr().String()+path, nil)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s %q: %d %s", path, authorization, res.StatusCode, body)
		}
	}
	f("/healthz", "", 200, "alive")
	f("/readyz", "", 200, "away")
	ready = false
	f("/readyz", "", 503, "away")
	f("/metrics", "", 401, "token")
	f("/metrics", "Bearer wrong", 401, "token")
	f("/metrics", "Basic s3cret", 401, "token")
	f("/metrics", "bearer s3cret", 200, "metrics")
	f("/reports", "", 200, "page") // which asks for a credential itself
	if err := a.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := NewAdmin(AdminOptions{Listen: "0.0.0.0:0", Log: discard()}); err == nil {
		t.Error("the admin port opened to the world without a token")
	}
}
