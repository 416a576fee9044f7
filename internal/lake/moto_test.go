package lake

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// direct leaves without a proxy.
type direct struct{ http.Transport }

func (*direct) Apply(*http.Transport) {}

func transport() Calls { return &direct{http.Transport{DisableKeepAlives: true}} }

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

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // its SHA-256
	req.Header.Set("X-Amz-Content-Sha256", nothing)
	who := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}
	signer := v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(t.Context(), who, req, nothing, "s3", "eu-central-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(err, res.Status)
	}
	return body
}

// objects are all of a bucket.
func objects(t *testing.T, endpoint, bucket string) map[string][]byte {
	t.Helper()
	var list struct {
		Contents []struct{ Key string }
	}
	if err := xml.Unmarshal(fetch(t, endpoint+"/"+bucket+"?list-type=2&max-keys=1000"), &list); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, o := range list.Contents {
		all[o.Key] = fetch(t, endpoint+"/"+bucket+"/"+escaped(o.Key))
	}
	return all
}
