package signin_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// idp is a small identity provider: it lets everybody in, and says what a test wants.
type idp struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any // of the next token, beside those that each one has
	spoil  func(claims map[string]any, header map[string]any)
	asked  map[string]url.Values // what came with each code
	redeem url.Values            // what came with the last redemption
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{key: key, asked: map[string]url.Values{}}
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": b64(key.N.Bytes()),
			"e": b64(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		code := fmt.Sprintf("code-%d", len(p.asked))
		p.asked[code] = r.URL.Query()
		back := url.Values{"code": {code}, "state": {r.FormValue("state")}}
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		p.redeem = url.Values{}
		if err := r.ParseForm(); err == nil {
			p.redeem = r.PostForm
		}
		asked := p.asked[r.PostFormValue("code")]
		proof := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if asked == nil || asked.Get("code_challenge") != b64(proof[:]) {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		delete(p.asked, r.PostFormValue("code"))
		reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.token(t,
			asked.Get("nonce"))})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token is an ID token, made wrong by spoil.
func (p *idp) token(t *testing.T, nonce string) string {
	t.Helper()
	header := map[string]any{"alg": "RS256", "kid": "one"}
	claims := map[string]any{
		"iss": p.URL, "aud": "sluice", "sub": "u1", "email": "ann@example.com", "nonce": nonce,
		"iat": now.Unix(), "exp": now.Unix() + 300,
	}
	for k, v := range p.claims {
		claims[k] = v
	}
	if p.spoil != nil {
		p.spoil(claims, header)
	}
	h, err1 := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	text := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if header["alg"] == "none" {
		sig = nil
	}
	return text + "." + b64(sig)
}
