package signin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	cookieName = "sluice_session"
	// sessionLasts is how long somebody stays signed in.
	sessionLasts = 12 * time.Hour
	// A seal is of one purpose: none of these texts is taken for another, or for an act on keys.
	purposeSession, purposeToken, purposeForm = "signin session 1\n", "signin token 1\n", "signin form 1\n"
)

// session is what the cookie says. It is sealed, not secret, and refers to what let its
// holder in, so that it ends with that.
type session struct {
	Until int64 `json:"u"` // Unix seconds
	// Token proves the admin token of then, Key names a key. Both are "" for an identity
	// provider, whose answer is in the others.
	Token  string `json:"a,omitempty"`
	Key    string `json:"k,omitempty"`
	Name   string `json:"n,omitempty"`
	Tenant string `json:"t,omitempty"`
	All    bool   `json:"e,omitempty"`
	Role   Role   `json:"r,omitempty"`
	Issuer string `json:"i,omitempty"`
}

// SignIn begins a session for who has the admin token or a tenant's key. It fails with
// ErrRefused.
func (d *Desk) SignIn(w http.ResponseWriter, r *http.Request, credential string) error {
	credential = strings.TrimSpace(credential)
	who, keyID, err := d.byCredential(credential, r)
	if err != nil {
		return err
	}
	s := session{Key: keyID}
	if who.All {
		s.Token = d.Sealer.Seal([]byte(purposeToken + credential))
	}
	d.begin(w, r, &s)
	return nil
}

func (d *Desk) begin(w http.ResponseWriter, r *http.Request, s *session) {
	s.Until = d.Now().Add(sessionLasts).Unix()
	http.SetCookie(w, cookie(r, cookieName, d.sealed(purposeSession, s), sessionLasts))
}

// cookie is one for the page alone. Without a path it is for the folder of the page, under
// whatever prefix the browser sees that.
func cookie(r *http.Request, name, value string, lasts time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, MaxAge: int(lasts.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// SignOut ends the session of this browser.
func (d *Desk) SignOut(w http.ResponseWriter, r *http.Request) {
	c := cookie(r, cookieName, "", 0)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// sealed is v as text with a seal.
func (d *Desk) sealed(purpose string, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a session has no JSON: " + err.Error())
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	return body + "." + d.Sealer.Seal([]byte(purpose+body))
}

// unseal reads what sealed made, for the same purpose.
func (d *Desk) unseal(purpose, text string, v any) bool {
	body, seal, _ := strings.Cut(text, ".")
	if ok, _ := d.Sealer.Sealed([]byte(purpose+body), seal); !ok {
		return false
	}
	plain, err := base64.RawURLEncoding.DecodeString(body)
	return err == nil && json.Unmarshal(plain, v) == nil
}

// bySession returns who signed in, if what let them in still would.
func (d *Desk) bySession(text string, r *http.Request) (*Who, error) {
	var s session
	if !d.unseal(purposeSession, text, &s) || d.Now().Unix() >= s.Until {
		return nil, ErrNobody
	}
	who, err := d.stillIn(&s, r)
	if err != nil {
		return nil, ErrNobody
	}
	who.Session = text
	return who, nil
}

func (d *Desk) stillIn(s *session, r *http.Request) (*Who, error) {
	cfg := d.Config()
	switch {
	case s.Token != "":
		if ok, _ := d.Sealer.Sealed([]byte(purposeToken+cfg.Token), s.Token); !ok || cfg.Token == "" {
			return nil, ErrRefused
		}
		return &Who{Name: "admin token", All: true, Role: Admin}, nil
	case s.Key != "":
		c, err := d.Sealer.Credentials(s.Key)
		if err != nil {
			return nil, err
		}
		who, _, err := d.byKey(c.Bearer, r)
		return who, err
	case cfg.OIDC == nil || s.Issuer != cfg.OIDC.Issuer || s.Issuer == "":
		return nil, ErrRefused
	}
	return &Who{Name: s.Name, Tenant: s.Tenant, All: s.All, Role: s.Role}, nil
}

// FormToken proves that a form came from a page of this session.
func (d *Desk) FormToken(w *Who) string {
	if w.Session == "" {
		return ""
	}
	return d.Sealer.Seal([]byte(purposeForm + w.Session))
}

// OwnForm reports whether FormToken made the token of a form.
func (d *Desk) OwnForm(w *Who, token string) bool {
	ok, _ := d.Sealer.Sealed([]byte(purposeForm+w.Session), token)
	return ok && w.Session != ""
}
