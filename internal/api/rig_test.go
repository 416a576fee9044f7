package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-gateway/sluice/internal/api"
	decisions "github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/views"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

var now, tenants = viewstest.Now(), viewstest.Tenants()

const adminToken = viewstest.AdminToken

// rig is the API over a ledger, with one key for each tenant.
type rig struct {
	*viewstest.Rig
	handler http.Handler
}

func newRig(t *testing.T, ledger viewstest.Rows) *rig {
	t.Helper()
	r := &rig{Rig: viewstest.New(t, ledger)}
	r.serve()
	return r
}

// serve begins to serve what the sources have.
func (r *rig) serve() {
	r.Shelf = views.New(r.Sources)
	onKeys := admin.API{Office: r.Office, Callers: admin.ByToken(func() string { return adminToken })}
	r.handler = (&api.API{
		Desk: r.Desk, Shelf: r.Shelf, Keys: onKeys.Handler(), Decisions: decisions.Handler(r.Log),
	}).Handler()
}

// get asks with a bearer token, "" for none.
func (r *rig) get(t *testing.T, path, bearer string) (int, http.Header, string) {
	t.Helper()
	return r.do(t, http.MethodGet, path, bearer)
}

func (r *rig) do(t *testing.T, method, path, bearer string) (int, http.Header, string) {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Header(), string(body)
}
