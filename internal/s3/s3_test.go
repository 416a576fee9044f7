package s3

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/s3/s3test"
)

// direct leaves without a proxy.
type direct struct{ http.Transport }

func (*direct) Apply(*http.Transport) {}

func open(t *testing.T, secret, endpoint string) *Client {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.KeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	calls := &direct{http.Transport{DisableKeepAlives: true}}
	c, err := Open(t.Context(), Options{Region: s3test.Region, Endpoint: endpoint, Calls: calls, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRead: objects are listed over several pages, whatever their names have, and read as they are.
func TestRead(t *testing.T) {
	const odd = "s3://acme/out/ä b+%/<&>.jsonl.out"
	s := s3test.Serve(t, map[string]string{
		strings.TrimPrefix(odd, Scheme): "1", "acme/out/a": "2", "acme/out/b": "3", "acme/outside": "4", "acme/z": "5",
	})
	c := open(t, s3test.Secret, s.URL)
	var names []string
	err := c.List(t.Context(), "s3://acme/out/", func(name string, written time.Time) error {
		names = append(names, name)
		if !written.Equal(s3test.Written) {
			t.Error(name, written)
		}
		return nil
	})
	if want := []string{"s3://acme/out/a", "s3://acme/out/b", odd}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, want %q, %v", names, want, err)
	}
	for name, want := range map[string]string{odd: "1", "s3://acme/z": "5"} {
		if got, err := read(t, c, name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	s.Cut["acme/out/a"], s.Objects["acme/out/a"] = true, "whole"
	if got, err := read(t, c, "s3://acme/out/a"); err == nil {
		t.Errorf("half an object is %q", got)
	}
}

func read(t *testing.T, c *Client, name string) (string, error) {
	t.Helper()
	body, err := c.Get(t.Context(), name)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

// TestRefused: what S3 refuses is an error that says so, and is not tried again.
func TestRefused(t *testing.T) {
	s := s3test.Serve(t, nil)
	f := func(want, secret, name string) {
		t.Helper()
		if _, err := read(t, open(t, secret, s.URL), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("404 Not Found to /acme/none", s3test.Secret, "s3://acme/none")
	f("403 Forbidden", "another", "s3://acme/none")
	f("it is no s3://bucket/key", s3test.Secret, "s3:///none")
	f("it is no s3://bucket/key", s3test.Secret, "/none")
}

// TestAddress: where AWS has buckets.
func TestAddress(t *testing.T) {
	f := func(region, uri, want string) {
		t.Helper()
		c := open(t, s3test.Secret, "")
		c.region = region
		if at, err := c.address(uri); err != nil || at.String() != want {
			t.Errorf("%s: %v, %v", uri, at, err)
		}
	}
	f("us-east-1", "s3://acme/a/b c", "https://acme.s3.us-east-1.amazonaws.com/a/b%20c")
	f("us-east-1", "s3://acme.com/a", "https://s3.us-east-1.amazonaws.com/acme.com/a")
	f("cn-north-1", "s3://acme", "https://acme.s3.cn-north-1.amazonaws.com.cn/")
}

// regional answers as S3 does in the region that a bucket is not in.
type regional struct {
	direct
	home  string
	hosts []string
}

func (r *regional) RoundTrip(req *http.Request) (*http.Response, error) {
	r.hosts = append(r.hosts, req.URL.Host)
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("there"))}
	if !strings.Contains(req.Header.Get("Authorization"), "/"+r.home+"/s3/") || !strings.Contains(req.URL.Host, r.home) {
		res.StatusCode = http.StatusMovedPermanently
		res.Header.Set("X-Amz-Bucket-Region", r.home)
	}
	return res, nil
}

// TestAnotherRegion: an object is read where its bucket is, as far as the partition goes.
func TestAnotherRegion(t *testing.T) {
	f := func(home, uri string, hosts ...string) {
		t.Helper()
		calls := &regional{home: home}
		c := open(t, s3test.Secret, "")
		c.region, c.calls = "us-east-1", calls
		text, err := read(t, c, uri)
		if !slices.Equal(calls.hosts, hosts) || (err == nil) != (len(hosts) == 2) || err == nil && text != "there" {
			t.Errorf("%s: %v %q %v", home, calls.hosts, text, err)
		}
		if err != nil && !strings.Contains(err.Error(), "the bucket is in region "+home) {
			t.Errorf("%s: %v", home, err)
		}
	}
	f("eu-west-1", "s3://acme/a", "acme.s3.us-east-1.amazonaws.com", "acme.s3.eu-west-1.amazonaws.com")
	f("eu-west-1", "s3://acme.com/a", "s3.us-east-1.amazonaws.com", "s3.eu-west-1.amazonaws.com")
	f("cn-north-1", "s3://acme/a", "acme.s3.us-east-1.amazonaws.com")
	f("evil.example/", "s3://acme/a", "acme.s3.us-east-1.amazonaws.com")
}
