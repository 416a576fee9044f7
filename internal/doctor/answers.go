package doctor

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// The ways out of what is wrong on the way to an upstream.
const (
	credentials = "give the gateway valid credentials: keys, a role or a bearer token (docs/aws.md lists where they are " +
		"looked for; aws sts get-caller-identity shows what this machine has)"
	renew     = "renew the credentials, as by aws sso login, or let what writes them write new ones"
	signature = "see that the secret access key is that of the access key id, and that this machine's clock is right"
	reachable = "see that this machine reaches the endpoint, through upstream.proxy where set"
	hostName  = "see that upstream.region, sts_region and endpoint are right, and that this machine can look the host up"
	authority = "put the authority of its certificate into upstream.ca_file, or into the file of AWS_CA_BUNDLE"
	policy    = "allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream for it, in the policy of the " +
		"gateway's identity and in every region of a profile, and see that the account has access to the model"
	offered  = "see whether the model is offered in the upstream's region, under this id"
	impostor = "see what stands at upstream.endpoint, and whether upstream.proxy or a page of the network answers " +
		"in its place"
)

// refusals are the ways out of errors of AWS that refuse who signed. Those that are not here need other credentials.
var refusals = map[string]string{
	"ExpiredToken": renew, "ExpiredTokenException": renew, "TokenRefreshRequired": renew,
	"InvalidSignature": signature, "InvalidSignatureException": signature, "SignatureDoesNotMatch": signature,
	"RequestExpired": setClock, "RequestTimeTooSkewed": setClock,
	"OptInRequired": "let the account opt in to the region, or name another one", "NotSignedUp": "sign the account up",
}

// unanswered is the finding of a call that brought no answer.
func unanswered(c *Call, err error) Finding {
	a, way, failed := about{"upstream", c.subject()}, reachable, &engine.Error{Err: err}
	errors.As(err, &failed)
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name):
		way = hostName
	case errors.As(err, &certificate):
		way = authority
	case failed.Failure == engine.NoCredentials:
		way = credentials
	case failed.Failure == engine.TimedOut:
		return a.fail(reachable, "no answer: %v", failed.Err)
	}
	if failed.Failure == engine.NoCredentials {
		a.check = "identity"
	}
	return a.fail(way, "%v", failed.Err)
}

// notAsked is how many models were not asked because of identities that do not work.
func notAsked(useless map[string]int) (all []Finding) {
	for _, way := range slices.Sorted(maps.Keys(useless)) {
		if n := useless[way]; n > 0 {
			all = append(all, about{"permission", way}.warn("mend what fails "+way+", and ask again",
				"%d of the models that are named were not asked", n))
		}
	}
	return all
}

// answered is the finding of an answer, which on success may be the host's list of models.
func answered(c *Call, res *engine.Response, list bool) Finding {
	kind, said := res.ErrorType(), message(res.Body)
	text := strings.TrimSpace(kind + " " + said)
	denied := strings.HasPrefix(kind, "AccessDenied") && (res.Refusal == nil || byPolicy(said))
	switch {
	case kind == "" && (res.Status < http.StatusBadRequest && !json.Valid(res.Body) || res.Status/100 == 3 ||
		res.Status == http.StatusProxyAuthRequired):
		return about{"upstream", c.subject()}.fail(impostor, "what answers is not Bedrock: %s",
			strings.TrimSpace(fmt.Sprintf("status %d %s", res.Status, res.Header.Get("content-type"))))
	case !denied && (res.Refusal != nil || res.Status == http.StatusForbidden && kind == ""):
		way, known := refusals[kind]
		if !known {
			way = credentials
		}
		return about{"identity", c.subject()}.fail(way, "%s", text)
	case res.Status == http.StatusTooManyRequests:
		return about{"permission", c.subject()}.warn("ask AWS for a higher quota, or try again", "%s", text)
	case res.Status >= http.StatusInternalServerError || res.Status != http.StatusOK && kind == "":
		return about{"permission", c.subject()}.warn("try again; when it stays, see what answers at the endpoint",
			"status %d %s", res.Status, text)
	case c.Identity:
		return about{"identity", c.subject()}.ok("AWS accepts the gateway's credentials")
	}
	return permitted(c, res, list, text)
}

// permitted is the finding of Bedrock's own answer about a model.
func permitted(c *Call, res *engine.Response, list bool, text string) Finding {
	a := about{"permission", c.subject()}
	says := func(part string) bool { return strings.Contains(strings.ToLower(text), part) }
	switch {
	case res.Status == http.StatusOK && list && !strings.Contains(string(res.Body), `"`+c.Model+`"`):
		return a.fail(offered, "the host does not list it")
	case res.Status == http.StatusOK:
		return a.ok("it may be called")
	case says("on-demand throughput"):
		return a.fail("name an inference profile of it, such as us."+c.Model, "%s", text)
	case says("use case"):
		return a.fail("submit the form on use cases in the console of Bedrock, and wait some minutes", "%s", text)
	case says("end of its life"):
		return a.fail("name another model", "%s", text)
	case says("model identifier is invalid"), res.ErrorType() == "ResourceNotFoundException":
		return a.fail(offered, "%s", text)
	case res.Status == http.StatusBadRequest:
		return a.ok("it may be called") // it was refused for what the body lacks
	case strings.HasPrefix(res.ErrorType(), "AccessDenied"):
		return a.fail(policy, "%s", text)
	}
	return a.warn("try again; when it stays, see what answers at the endpoint", "status %d %s", res.Status, text)
}

// byPolicy reports whether a message denies an action to an identity that AWS knows.
func byPolicy(said string) bool {
	said = strings.ToLower(said)
	return strings.Contains(said, "is not authorized to perform") || strings.Contains(said, "explicit deny")
}

// message is the text of an error of Bedrock, shortened.
func message(body []byte) string {
	const most = 300
	var text struct{ Message string } // or message
	if json.Unmarshal(body, &text) != nil {
		return ""
	}
	return text.Message[:min(most, len(text.Message))]
}
