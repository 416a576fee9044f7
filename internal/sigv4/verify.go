package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Window is how far a caller's clock may be off, either way. AWS: "in most
// cases within five minutes".
const Window = 5 * time.Minute

const (
	// Service is the only service name that callers may sign for.
	Service = "bedrock"

	maxKeyID = 128
	maxNames = 100 // signed fields; real clients sign up to twelve
)

// Claim is what a caller's Authorization field claims, before it is verified.
type Claim struct {
	AccessKeyID string
	// Date is the day of the credential scope, as yyyymmdd.
	Date            string
	Region, Service string
	// SignedHeaders are lower case, sorted, each once.
	SignedHeaders []string
	Signature     [sha256.Size]byte
	// Time is x-amz-date, to the second, in UTC.
	Time time.Time
	// Stamp is Time as it was sent.
	Stamp string
}

// Parse reads a caller's claim from the head of a request, so that a bad one
// costs no body. It fails with KindMissingAuthentication when there is no
// Authorization field, else with KindInvalidSignature: for any other scheme or
// form than header Signature V4 with a signed payload, for a service that is
// not bedrock, and when host (or :authority), x-amz-date or any x-amz- field
// that is present is not signed.
func Parse(h wire.Header, query string) (*Claim, *wire.Error) {
	return ParseFor(Service, h, query)
}

// ParseFor is Parse for another service than bedrock.
func ParseFor(service string, h wire.Header, query string) (*Claim, *wire.Error) {
	c, err := parse(h, query)
	if err != nil {
		return nil, err
	}
	if c.Service != service {
		return nil, refuse("Credential should be scoped to service '" + service + "'.")
	}
	return c, nil
}

func parse(h wire.Header, query string) (*Claim, *wire.Error) {
	if err := CheckQuery(query); err != nil {
		return nil, err
	}
	switch h.Count(fieldAuthorization) {
	case 0:
		return nil, &wire.Error{Kind: wire.KindMissingAuthentication, Message: "Missing Authentication Token"}
	case 1:
	default:
		return nil, refuse("The request has more than one Authorization header.")
	}
	c := new(Claim)
	if err := c.readAuthorization(h.Get(fieldAuthorization)); err != nil {
		return nil, err
	}
	if err := c.readTime(h); err != nil {
		return nil, err
	}
	if err := c.checkCoverage(h); err != nil {
		return nil, err
	}
	return c, checkPayloadForm(h)
}

// CheckQuery fails with KindInvalidSignature when a raw query has a parameter of a signature, whatever else the caller
// proves who it is with: sent on, it would be a second signature beside ours.
func CheckQuery(query string) *wire.Error {
	if query == "" {
		return nil
	}
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		name = recode(name)
		if wire.HasPrefixFold(name, ownPrefix) {
			return refuse("Presigned queries are not supported. Sign with the Authorization header.")
		}
	}
	return nil
}

// readAuthorization reads the three parts, each once and in any order.
func (c *Claim) readAuthorization(value string) *wire.Error {
	rest, ok := strings.CutPrefix(value, algorithm+" ")
	if !ok {
		return refuse("The Authorization header must begin with Bearer or " + algorithm + ".")
	}
	var credential, signed, signature string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.Trim(part, " "), "=")
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &signed
		case "Signature":
			into = &signature
		}
		if into == nil || *into != "" || value == "" {
			return malformed()
		}
		*into = value
	}
	if !c.readCredential(credential) || !c.readNames(signed) || !readHash(&c.Signature, signature) {
		return malformed()
	}
	return nil
}

func (c *Claim) readCredential(s string) bool {
	var parts [5]string
	for i := range parts {
		part, rest, more := strings.Cut(s, "/")
		if part == "" || more != (i < len(parts)-1) {
			return false
		}
		parts[i], s = part, rest
	}
	c.AccessKeyID, c.Date, c.Region, c.Service = parts[0], parts[1], parts[2], parts[3]
	return len(c.AccessKeyID) <= maxKeyID && len(c.Region) <= maxKeyID && parts[4] == terminator
}

func (c *Claim) readNames(s string) bool {
	if strings.Count(s, ";") >= maxNames {
		return false
	}
	c.SignedHeaders = strings.Split(s, ";")
	for i, name := range c.SignedHeaders {
		if name != nameAuthority && !wire.IsLowerToken(name) || i > 0 && name <= c.SignedHeaders[i-1] {
			return false
		}
	}
	return true
}

// readHash reads 64 lower-case hexadecimal digits.
func readHash(into *[sha256.Size]byte, s string) bool {
	if len(s) != 2*sha256.Size || strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	var digits [2 * sha256.Size]byte // on the stack
	copy(digits[:], s)
	_, err := hex.Decode(into[:], digits[:])
	return err == nil
}

func (c *Claim) readTime(h wire.Header) *wire.Error {
	stamp := h.Get(fieldDate)
	t, err := time.Parse(stampLayout, stamp)
	if err != nil || h.Count(fieldDate) != 1 || len(stamp) != len(stampLayout) {
		return refuse("The request needs one X-Amz-Date header of the form yyyymmddThhmmssZ.")
	}
	if stamp[:dayLength] != c.Date {
		return refuse("The date in the credential scope does not match the date of the request.")
	}
	c.Time, c.Stamp = t, stamp
	return nil
}

// checkCoverage makes sure that nothing that matters was left unsigned.
func (c *Claim) checkCoverage(h wire.Header) *wire.Error {
	if !c.signs(nameHost) && !c.signs(nameAuthority) {
		return refuse("'Host' or ':authority' must be a signed header.")
	}
	for _, f := range h {
		if wire.HasPrefixFold(f.Name, ownPrefix) && !c.signs(lowerName(f.Name)) {
			return refuse("Every X-Amz- header must be a signed header.")
		}
	}
	return nil
}

func (c *Claim) signs(name string) bool {
	_, found := slices.BinarySearch(c.SignedHeaders, name)
	return found
}

// checkPayloadForm refuses UNSIGNED-PAYLOAD, STREAMING- and all else that is not
// a hash.
func checkPayloadForm(h wire.Header) *wire.Error {
	n := h.Count(fieldBodyHash)
	var hash [sha256.Size]byte
	if n > 1 || n == 1 && !readHash(&hash, h.Get(fieldBodyHash)) {
		return refuse("X-Amz-Content-Sha256 must be the SHA-256 of the body. Unsigned and streamed payloads are not " +
			"supported.")
	}
	return nil
}

// CheckTime fails with KindInvalidSignature when the claim was made more than
// Window before or after now. SDKs that see this error set their clock by the
// response's Date field and try again.
func (c *Claim) CheckTime(now time.Time) *wire.Error {
	now = now.UTC()
	if edge := now.Add(-Window); c.Time.Before(edge) {
		return refuse("Signature expired: " + c.Time.Format(stampLayout) + " is now earlier than " +
			edge.Format(stampLayout) + " (" + now.Format(stampLayout) + " - 5 min.)")
	}
	if edge := now.Add(Window); c.Time.After(edge) {
		return refuse("Signature not yet current: " + c.Time.Format(stampLayout) + " is still later than " +
			edge.Format(stampLayout) + " (" + now.Format(stampLayout) + " + 5 min.)")
	}
	return nil
}

// Mismatch is the message for a caller whose signature or key is wrong.
const Mismatch = "The request signature does not match, or its access key is not valid. " +
	"Check the access key, the secret access key and the signing method."

// fits reports whether the request matches the claim: it has all signed fields,
// one authority, and the body hash that it names.
func (c *Claim) fits(req *Request) bool {
	if c.signs(nameAuthority) && !req.HTTP2 {
		return false
	}
	for _, f := range req.Header {
		if strings.EqualFold(f.Name, nameHost) && f.Value != req.Authority {
			return false
		}
	}
	for _, name := range c.SignedHeaders {
		if name != nameHost && name != nameAuthority && req.Header.Count(name) == 0 {
			return false
		}
	}
	if req.Header.Count(fieldBodyHash) == 0 {
		return true
	}
	var hash [sha256.Size]byte
	return readHash(&hash, req.Header.Get(fieldBodyHash)) && hmac.Equal(hash[:], req.BodyHash[:])
}

func malformed() *wire.Error {
	return refuse("The Authorization header is not a well-formed " + algorithm + " credential.")
}

func refuse(message string) *wire.Error {
	return &wire.Error{Kind: wire.KindInvalidSignature, Message: message}
}
