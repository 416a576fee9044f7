package dashboard_test

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

var tenants = viewstest.Tenants()

const adminToken = viewstest.AdminToken

// session is the cookie of somebody whom the identity provider of the configuration let in.
func session(r *viewstest.Rig, role, of string) string {
	text, err := json.Marshal(map[string]any{
		"u": viewstest.Now().Add(time.Hour).Unix(),
		"n": "oidc ann", "t": of, "e": of == "", "r": role, "i": r.Config.OIDC.Issuer,
	})
	if err != nil {
		panic(err)
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	return body + "." + r.Secrets.Seal([]byte("signin session 1\n"+body))
}
