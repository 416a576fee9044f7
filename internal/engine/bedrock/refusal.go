package bedrock

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// identityErrors are the errors of AWS that say who signed is not known, or not
// any more, whatever the operation (AWS common errors; the authentication errors of
// the service models sts, sso and bedrock-runtime). A caller of the gateway has no
// part in what is signed, so all of them are about the gateway.
var identityErrors = []string{
	"AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "IncompleteSignatureException",
	"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidClientTokenIdException", "InvalidSignature",
	"InvalidSignatureException", "InvalidToken", "InvalidTokenException", "MissingAuthenticationToken",
	"MissingAuthenticationTokenException", "NotAuthorized", "NotSignedUp", "OptInRequired", "RequestExpired",
	"RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired", "UnauthorizedException",
	"Unauthorized", "UnauthorizedClientException", "UnrecognizedClient", "UnrecognizedClientException",
}

// deniedTexts are parts of messages with which AWS denies access to who signed,
// in lower case. Other denials are about a model: the account has no access to it.
var deniedTexts = []string{
	"is not authorized to perform", "not authorized to", "explicit deny", "security token", "api key", "bearer token",
	"authentication failed", "credential", "assumed-role", "signature", "token has expired", "access key",
}

// refusalOf is the kind of an answer that refuses who signed, "" for any other.
func refusalOf(res *engine.Response) string {
	if res.Status != 400 && res.Status != 401 && res.Status != 403 {
		return ""
	}
	var body struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Text    string `json:"Message"`
		Error   struct {
			Type    string `json:"type"`
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"` // on OpenAI's paths
	}
	json.Unmarshal(res.Body, &body) //nolint:errcheck // a page that is no JSON has no type
	kind := res.ErrorType()
	if kind == "" {
		kind = cmp.Or(body.Type+body.Code, body.Error.Code, body.Error.Type)
		kind = kind[strings.LastIndexByte(kind, '#')+1:]
	}
	switch {
	case slices.Contains(identityErrors, kind):
		return kind
	case res.Status == 400:
		return ""
	case kind == "":
		return "status_" + map[int]string{401: "401", 403: "403"}[res.Status]
	case res.Status == 401:
		return kind
	case (strings.HasPrefix(kind, "AccessDenied") || body.Error.Message != "") &&
		denies(body.Message+body.Text+body.Error.Message):
		return kind
	default:
		return ""
	}
}

// denies reports whether a message denies access to who signed.
func denies(message string) bool {
	message = strings.ToLower(message)
	return slices.ContainsFunc(deniedTexts, func(part string) bool { return strings.Contains(message, part) })
}

// refusalBySDK is the kind of an error of the AWS SDK by which the service refused
// who signed, "" for any other.
func refusalBySDK(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	kind := api.ErrorCode()
	if slices.Contains(identityErrors, kind) || strings.HasPrefix(kind, "AccessDenied") {
		return kind
	}
	return ""
}
