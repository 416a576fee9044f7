package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// plainSign is Signature V4 as its documentation tells it, for requests without
// a query, repeated fields or runs of spaces: a second opinion for what the Go
// SDK's signer cannot do (:authority).
func plainSign(req *Request, names []string) string {
	slices.Sort(names)
	var path, fields strings.Builder
	for _, c := range []byte(req.Path) {
		if strings.ContainsRune("/-._~", rune(c)) || c >= '0' && c <= '9' || c|32 >= 'a' && c|32 <= 'z' {
			path.WriteByte(c)
		} else {
			fmt.Fprintf(&path, "%%%02X", c)
		}
	}
	for _, name := range names {
		value := req.Header.Get(name)
		if name == "host" || name == ":authority" {
			value = req.Authority
		}
		fmt.Fprintf(&fields, "%s:%s\n", name, value)
	}
	signed := strings.Join(names, ";")
	canonical := fmt.Sprintf("%s\n%s\n\n%s\n%s\n%x", req.Method, path.String(), fields.String(), signed, req.BodyHash)
	day := testTime.Format("20060102")
	scope := day + "/" + testRegion + "/bedrock/aws4_request"
	text := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", testTime.Format("20060102T150405Z"), scope,
		sha256.Sum256([]byte(canonical)))
	key := []byte("AWS4" + testSecret)
	for _, part := range []string{day, testRegion, "bedrock", "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return "AWS4-HMAC-SHA256 Credential=" + testKeyID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" +
		hex.EncodeToString(key)
}

// TestPlainSignIsTheSDKs makes sure that the second opinion is worth something.
func TestPlainSignIsTheSDKs(t *testing.T) {
	for _, c := range clients() {
		if c.http2 {
			continue
		}
		req := c.request(t, testBody)
		names := []string{"host"}
		for _, f := range req.Header[:len(req.Header)-len(c.unsigned)] {
			if !strings.EqualFold(f.Name, "authorization") {
				names = append(names, strings.ToLower(f.Name))
			}
		}
		if got, want := plainSign(req, names), req.Header.Get("authorization"); got != want {
			t.Errorf("%s:\n%s\n%s", c.name, got, want)
		}
	}
}
