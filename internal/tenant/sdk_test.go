package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// door is a server that admits callers and says who they are.
type door struct {
	dir   *Directory
	ahead time.Duration // of its clock

	mu    sync.Mutex
	calls int
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.calls++
	d.mu.Unlock()
	now := time.Now().Add(d.ahead)
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	req := &AuthRequest{Method: r.Method, Target: r.RequestURI, Authority: r.Host, HTTP2: r.ProtoMajor == 2}
	for name, values := range r.Header {
		for _, v := range values {
			req.Header = append(req.Header, wire.Field{Name: name, Value: v})
		}
	}
	body, _ := io.ReadAll(r.Body)
	id, refusal := office{dir: d.dir}.identify(req, now, body)
	if refusal != nil {
		kinds := map[wire.Kind]string{wire.KindInvalidSignature: "InvalidSignatureException",
			wire.KindAccessDenied: "AccessDeniedException"}
		w.Header().Set("x-amzn-ErrorType", kinds[refusal.Kind])
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"message":%q}`, refusal.Message)
		return
	}
	fmt.Fprintf(w, `{"output":{"message":{"role":"assistant","content":[{"text":%q}]}},"stopReason":"end_turn"}`,
		id.Tenant.ID)
}

// converse calls the door with the unmodified Go SDK and returns the tenant.
func (d *door) converse(t *testing.T, pair Credentials) (string, error) {
	t.Helper()
	server := httptest.NewServer(d)
	defer server.Close()
	client := bedrockruntime.New(bedrockruntime.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL + "/prefix"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: pair.AccessKeyID, SecretAccessKey: pair.SecretAccessKey}, nil
		}),
	})
	out, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{
		ModelId: aws.String("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"),
		Messages: []types.Message{{Role: types.ConversationRoleUser,
			Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "grüß dich"}}}},
	})
	if err != nil {
		return "", err
	}
	text := out.Output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberText)
	return text.Value, nil
}

func TestGoSDK(t *testing.T) {
	o := newOffice(t)
	f := func(name string, pair Credentials, ahead time.Duration, want string, calls int) {
		t.Helper()
		d := &door{dir: o.dir, ahead: ahead}
		got, err := d.converse(t, pair)
		if got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		var refusal smithy.APIError
		if want == "" && (!errors.As(err, &refusal) || refusal.ErrorCode() != "InvalidSignatureException") {
			t.Errorf("%s: %v", name, err)
		}
		if d.calls != calls {
			t.Errorf("%s: %d calls, want %d", name, d.calls, calls)
		}
	}
	f("good", o.alice, 0, "acme/support", 1)
	f("another tenant", o.bob, 0, "other", 1)
	f("revoked", o.revoked, 0, "", 1)
	f("wrong secret", Credentials{AccessKeyID: o.alice.AccessKeyID, SecretAccessKey: "x"}, 0, "", 1)
	// The SDK reads the Date of the refusal, sets its clock and signs again.
	f("the SDK's clock is an hour late", o.alice, time.Hour, "acme/support", 2)
	f("the SDK's clock is an hour early", o.alice, -time.Hour, "acme/support", 2)
}
