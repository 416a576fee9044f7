package bedrock

import (
	"fmt"
	"testing"

	ssotypes "github.com/aws/aws-sdk-go-v2/service/sso/types"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestRefusals distinguishes answers that refuse the gateway from those about the
// request, in each form that AWS gives an error type (U2, U10).
func TestRefusals(t *testing.T) {
	f := func(status int, kind, message, want string) {
		t.Helper()
		body := fmt.Sprintf(`{"message":%q}`, message)
		for form, res := range map[string]*engine.Response{
			"header":    {Header: wire.Header{{Name: "x-amzn-ErrorType", Value: kind}}, Body: []byte(body)},
			"URL":       {Header: wire.Header{{Name: "X-Amzn-Errortype", Value: kind + ":http://a.b/"}}, Body: []byte(body)},
			"namespace": {Header: wire.Header{{Name: "x-amzn-errortype", Value: "com.amazon#" + kind}}, Body: []byte(body)},
			"__type":    {Body: []byte(fmt.Sprintf(`{"__type":"com.amazon.coral#%s","Message":%q}`, kind, message))},
			"code":      {Body: []byte(fmt.Sprintf(`{"code":%q,"message":%q}`, kind, message))},
		} {
			if res.Status = status; refusalOf(res) != want {
				t.Errorf("%d %s as %s: %q, want %q", status, kind, form, refusalOf(res), want)
			}
		}
	}
	for _, kind := range identityErrors {
		f(403, kind, "anything", kind)
		f(400, kind, "anything", kind)
		f(401, kind, "anything", kind)
	}
	// What Bedrock says to an identity that may not, or whose key is not valid.
	for _, message := range []string{
		"User: arn:aws:sts::123456789012:assumed-role/gw/sluice is not authorized to perform: bedrock:InvokeModel on " +
			"resource: arn:aws:bedrock:us-east-1::foundation-model/x because no identity-based policy allows the action",
		"User: arn:aws:iam::123456789012:user/gw is not authorized to perform: bedrock:InvokeModel with an explicit deny",
		"Authentication failed: Please make sure your API Key is valid.",
		"Bearer Token has expired",
		"The security token included in the request is invalid.",
		"Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace " +
			"actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe)",
	} {
		f(403, "AccessDeniedException", message, "AccessDeniedException")
		f(403, "AccessDenied", message, "AccessDenied")
	}
	f(403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", "")
	f(400, "ValidationException", "The security token is not what this is about", "")
	f(400, "AccessDeniedException", "is not authorized to perform", "") // AWS answers that with 403
	f(404, "ResourceNotFoundException", "no such model", "")
	f(429, "ThrottlingException", "Too many requests", "")
	f(500, "InternalServerException", "credential", "")
	f(401, "SomethingNew", "anything", "SomethingNew")
	f(403, "", "a page", "status_403")
	f(401, "", "a page", "status_401")
	if got := refusalOf(&engine.Response{Status: 403, Body: []byte("<html>blocked</html>")}); got != "status_403" {
		t.Errorf("a page of a proxy: %q", got)
	}
}

// TestRefusalsBySDK are errors of the services that give out credentials.
func TestRefusalsBySDK(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if got := refusalBySDK(fmt.Errorf("operation error: %w", err)); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	f(&smithy.GenericAPIError{Code: "InvalidClientTokenId"}, "InvalidClientTokenId")
	f(&smithy.GenericAPIError{Code: "AccessDenied"}, "AccessDenied")
	f(&ststypes.ExpiredTokenException{}, "ExpiredTokenException")
	f(&ssotypes.UnauthorizedException{}, "UnauthorizedException")
	f(&ssotypes.TooManyRequestsException{}, "")
	f(&smithy.GenericAPIError{Code: "ServiceUnavailable"}, "")
	f(fmt.Errorf("dial tcp"), "")
}
