package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go/auth/bearer"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestGoSDK runs aws-sdk-go-v2 with both kinds of credentials, over cleartext
// HTTP/1.1 and over TLS, where it speaks HTTP/2. Its bearer wants TLS.
func TestGoSDK(t *testing.T) {
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	yaml := fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID)
	plain := harness.Start(t, harness.Config{YAML: yaml})
	cert, pool := certificate(t)
	secure := harness.Start(t, harness.Config{YAML: yaml +
		fmt.Sprintf("tls: {cert: %q, key: %q}\n", cert+".pem", cert+".key")})

	base := bedrockruntime.Options{Region: "us-east-1", RetryMaxAttempts: 1}
	pair := credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, "")
	token := bearer.StaticTokenProvider{Token: bearer.Token{Value: key.Bearer}}
	overTLS := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
		tr.ForceAttemptHTTP2 = true
	})
	variants := map[string]func(o *bedrockruntime.Options){
		"sigv4/http": func(o *bedrockruntime.Options) {
			o.BaseEndpoint, o.Credentials = aws.String(plain.URL()), pair
		},
		"sigv4/tls": func(o *bedrockruntime.Options) {
			o.BaseEndpoint, o.Credentials, o.HTTPClient = aws.String("https://"+secure.Addr), pair, overTLS
		},
		"bearer/tls": func(o *bedrockruntime.Options) {
			o.BaseEndpoint, o.BearerAuthTokenProvider, o.HTTPClient = aws.String("https://"+secure.Addr), token, overTLS
			o.AuthSchemePreference = []string{"httpBearerAuth"}
		},
	}
	for name, set := range variants {
		t.Run(name, func(t *testing.T) { testGoSDK(t, bedrockruntime.New(base, set)) })
	}
}

func testGoSDK(t *testing.T, c *bedrockruntime.Client) {
	ctx := context.Background()
	messages := []types.Message{{
		Role:    types.ConversationRoleUser,
		Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "hello"}},
	}}
	converse := func(model string) (*bedrockruntime.ConverseOutput, error) {
		return c.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: &model, Messages: messages})
	}
	res, err := converse("amazon.nova-lite-v1:0")
	if err != nil {
		t.Fatal(err)
	}
	if got := text(res.Output); got != hello || *res.Usage.OutputTokens != 7 {
		t.Errorf("plain: %q %+v", got, res.Usage)
	}
	if got, usage := stream(t, c, messages); got != hello || usage == nil || *usage.InputTokens != 11 {
		t.Errorf("stream: %q %+v", got, usage)
	}
	var invalid *types.ValidationException
	if _, err := converse("does-not-exist"); !errors.As(err, &invalid) {
		t.Errorf("error: %v", err)
	}
	var throttled *types.ThrottlingException
	if _, err := converse("amazon.nova-micro-v1:0"); !errors.As(err, &throttled) {
		t.Errorf("throttle: %v", err)
	}
}

func text(output types.ConverseOutput) string {
	return output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberText).Value
}

func stream(t *testing.T, c *bedrockruntime.Client, messages []types.Message) (text string, usage *types.TokenUsage) {
	t.Helper()
	res, err := c.ConverseStream(context.Background(), &bedrockruntime.ConverseStreamInput{
		ModelId: aws.String("amazon.nova-lite-v1:0"), Messages: messages,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer res.GetStream().Close()
	for event := range res.GetStream().Events() {
		switch e := event.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			text += e.Value.Delta.(*types.ContentBlockDeltaMemberText).Value
		case *types.ConverseStreamOutputMemberMetadata:
			usage = e.Value.Usage
		}
	}
	if err := res.GetStream().Err(); err != nil {
		t.Error(err)
	}
	return text, usage
}

// certificate writes a self-signed certificate and key for 127.0.0.1 to files
// of the returned name with the endings .pem and .key.
func certificate(t *testing.T) (name string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "sluice test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), "cert")
	for ending, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der},
		".key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name+ending, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return name, pool
}
