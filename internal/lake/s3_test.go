package lake

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/outbound"
)

// TestCredentialsLeaveAsAllCalls: the service that gives credentials for the bucket is asked
// as the bucket itself is, through the gateway's proxy and by its authorities.
func TestCredentialsLeaveAsAllCalls(t *testing.T) {
	signed := ""
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			signed = r.Header.Get("Authorization")
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>`+
			`<AccessKeyId>ASIALAKE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>t</SessionToken>`+
			`<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer s.Close()
	dir := t.TempDir()
	authority, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for file, text := range map[string][]byte{authority: certificate, token: []byte("token")} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"),
		"AWS_ENDPOINT_URL_STS": s.URL, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/lake",
		"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	calls := &outbound.Shared{}
	if err := calls.Use(outbound.Settings{CAFile: authority}); err != nil {
		t.Fatal(err)
	}
	defer calls.CloseIdleConnections()
	to, err := OpenBucket(t.Context(), BucketOptions{
		To: "s3://finops", Region: "eu-central-1", Endpoint: s.URL, Calls: calls, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Put(t.Context(), "x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(signed, "Credential=ASIALAKE/") {
		t.Error(signed)
	}
}
