package lake

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/s3"
)

// direct leaves without a proxy.
type direct struct{ http.Transport }

func (*direct) Apply(*http.Transport) {}

func transport() s3.Calls { return &direct{http.Transport{DisableKeepAlives: true}} }

// exact is an amount with all its decimals, as DECIMAL(38, 12) has it.
func exact(p money.Pico) string {
	sign := ""
	if p < 0 {
		sign, p = "-", -p
	}
	return fmt.Sprintf("%s%d.%012d", sign, p/money.Dollar, p%money.Dollar)
}

func sameSums(t *testing.T, got, want map[string]record.Counters) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// someDecisions are of a request that was served and of one that was refused.
func someDecisions() given {
	return given{
		{
			ID: "01M8JJHRB1FE77ND3F00000001", Received: noon(), Tenant: "acme", Path: "escalated", Reason: "disagree",
			Status: 200,
		},
		{ID: "01M8JJHRB1FE77ND3F00000002", Received: noon(), Tenant: "acme", Step: "reserve", Error: "x", Status: 400},
	}
}

var _ Decisions = (*decision.Log)(nil)

// startMoto starts moto's server and returns where it is.
func startMoto(t *testing.T, python string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	cmd := exec.Command(python, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 600 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return "http://127.0.0.1:" + port
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("moto does not listen")
	return ""
}

func create(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(err, res)
	}
	res.Body.Close()
}

// objects are all of a bucket.
func objects(t *testing.T, endpoint, bucket string) map[string][]byte {
	t.Helper()
	c, err := s3.Open(t.Context(), s3.Options{
		Region: "eu-central-1", Endpoint: endpoint, Calls: transport(), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	all, begin := map[string][]byte{}, s3.Scheme+bucket+"/"
	err = c.List(t.Context(), begin, func(name string, _ time.Time) error {
		body, err := c.Get(t.Context(), name)
		if err != nil {
			return err
		}
		defer body.Close()
		all[strings.TrimPrefix(name, begin)], err = io.ReadAll(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
