// Package dashboard is the page on the admin port: the tables of package views as HTML that
// works without scripts, at relative addresses, so that a proxy may put it anywhere. Whoever
// opens it signs in first: an address gives no right.
package dashboard

import (
	"bytes"
	"embed"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"net/http"
	"regexp"
	"strings"

	g "maragu.dev/gomponents"

	"github.com/sluice-gateway/sluice/internal/api"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/signin"
	"github.com/sluice-gateway/sluice/internal/views"
)

//go:embed assets
var files embed.FS

// Page serves the page. All fields must be set; Make it with New.
type Page struct {
	desk    *signin.Desk
	shelf   *views.Shelf
	office  *admin.Office
	version string // of the assets
}

// New returns a page.
func New(desk *signin.Desk, shelf *views.Shelf, office *admin.Office) *Page {
	p := &Page{desk: desk, shelf: shelf, office: office}
	sum := fnv.New64a()
	for _, name := range []string{"style.css", "page.js"} {
		text, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		sum.Write(text)
	}
	p.version = hex.EncodeToString(sum.Sum(nil))
	return p
}

// Handler serves the page.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { p.view(w, r, "overview") })
	mux.HandleFunc("GET /{view}", func(w http.ResponseWriter, r *http.Request) { p.view(w, r, r.PathValue("view")) })
	mux.HandleFunc("POST /keys", p.actOnKey)
	mux.HandleFunc("GET /signin", p.askWho)
	mux.HandleFunc("POST /signin", p.signIn)
	mux.HandleFunc("POST /signout", p.signOut)
	mux.HandleFunc("GET /provider", p.depart)
	mux.HandleFunc("GET /"+signin.CallbackPath, p.comeBack)
	mux.HandleFunc("GET /assets/{file}", p.asset)
	return guarded(mux)
}

// guarded says what a browser may do with the page: nothing of other sites is loaded, no other
// site may frame it, and no form of another site is taken.
func guarded(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
				"img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	text, err := files.ReadFile("assets/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := map[bool]string{true: "text/css; charset=utf-8",
		false: "text/javascript; charset=utf-8"}[strings.HasSuffix(name, ".css")]
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(text)
}

// frame is what every page has.
type frame struct {
	Title, Version, Error string
	Who                   *signin.Who
	Form                  string // the token of forms
	Menu                  []item
	Next                  string // where a sign-in leads
	Provider              bool
	Filter                *filter
	View                  *views.View
	Tables                []table
	Acts                  bool                   // whether the forms that act on keys are there
	Made                  *admin.WithCredentials // a key that was just made
}

// item is an entry of the menu.
type item struct {
	Title, Link string
	Here        bool
}

// filter is what the form above a view has.
type filter struct {
	Action, From, To, Tenant, By string
	Bys                          []string
	Fields                       []field
	Tenants                      []string
}

// field is a parameter that not every view has.
type field struct{ Name, Title, Value string }

// mostOffered is how many tenants a filter offers; any may be typed.
const mostOffered = 500

// show answers with a page, which draw writes once all of the frame is known.
func (p *Page) show(w http.ResponseWriter, status int, f *frame, draw func(*frame) g.Node) {
	f.Version, f.Provider = p.version, p.desk.HasProvider()
	if f.Who != nil {
		f.Form = p.desk.FormToken(f.Who)
	}
	var out bytes.Buffer
	if err := draw(f).Render(&out); err != nil {
		http.Error(w, "the page cannot be written: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// known lets somebody in, or asks who it is.
func (p *Page) known(w http.ResponseWriter, r *http.Request) *signin.Who {
	who, err := p.desk.Identify(r)
	if err == nil {
		return who
	}
	f := &frame{Title: "Sign in", Next: strings.TrimPrefix(r.URL.RequestURI(), "/")}
	if !errors.Is(err, signin.ErrNobody) {
		f.Error = err.Error()
	}
	p.show(w, http.StatusUnauthorized, f, (*frame).signIn)
	return nil
}

func (p *Page) view(w http.ResponseWriter, r *http.Request, name string) {
	who := p.known(w, r)
	if who == nil {
		return
	}
	v, q, err := p.shelf.Make(r.Context(), name, who, r.URL.Query())
	f := &frame{Title: "Not found", Who: who, Menu: p.menu(who, name, q)}
	if err != nil {
		f.Title, f.Error = http.StatusText(api.Status(err)), err.Error()
		p.show(w, api.Status(err), f, (*frame).failed)
		return
	}
	f.Title, f.View, f.Filter = v.Title, v, p.filter(who, v, q)
	f.Acts = v.Name == "keys" && who.ActsOnKeys() && who.Session != ""
	for _, t := range v.Tables {
		f.Tables = append(f.Tables, newTable(v, t, q))
	}
	p.show(w, http.StatusOK, f, (*frame).view)
}

func (p *Page) menu(who *signin.Who, here string, q *views.Query) []item {
	var menu []item
	for _, n := range p.shelf.Names(who.All) {
		menu = append(menu, item{n.Title, n.Name + keep(q, nil), n.Name == here})
	}
	return menu
}

func (p *Page) filter(who *signin.Who, v *views.View, q *views.Query) *filter {
	f := &filter{
		Action: v.Name, From: q.Given["from"], To: q.Given["to"], Tenant: q.Given["tenant"], By: q.By,
		Bys: views.Groupings(v.Name),
	}
	for _, x := range views.Fields(v.Name) {
		f.Fields = append(f.Fields, field{x.Name, x.Title, q.Given[x.Name]})
	}
	p.office.Tenants().Each(func(id string) bool {
		if who.Sees(id) {
			f.Tenants = append(f.Tenants, id)
		}
		return len(f.Tenants) < mostOffered
	})
	return f
}

// address is a page of ours, with its query: nothing that leads to another site.
var address = regexp.MustCompile(`^[a-z]*(\?[^\x00-\x20"<>\\]*)?$`)

// leave sends a browser to another page of ours. The address is relative, so that it is right
// under every prefix.
func leave(w http.ResponseWriter, to string) {
	if to == "" || !address.MatchString(to) {
		to = "./"
	} else if to[0] == '?' {
		to = "./" + to
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func (p *Page) askWho(w http.ResponseWriter, r *http.Request) {
	p.show(w, http.StatusOK, &frame{Title: "Sign in", Next: r.FormValue("next")}, (*frame).signIn)
}

// mostForm is the largest form that is read.
const mostForm = 64 << 10

func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	next := r.PostFormValue("next")
	if err := p.desk.SignIn(w, r, r.PostFormValue("credential")); err != nil {
		p.show(w, http.StatusForbidden, &frame{Title: "Sign in", Next: next, Error: err.Error()}, (*frame).signIn)
		return
	}
	leave(w, next)
}

func (p *Page) signOut(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if who, err := p.desk.Identify(r); err == nil && !p.desk.OwnForm(who, r.PostFormValue("form")) {
		p.show(w, http.StatusForbidden, &frame{Title: "Forbidden", Who: who,
			Error: "this form is not from a page of yours"}, (*frame).failed)
		return
	}
	p.desk.SignOut(w, r)
	leave(w, "signin")
}

// depart sends somebody to the identity provider.
func (p *Page) depart(w http.ResponseWriter, r *http.Request) {
	to, err := p.desk.Depart(w, r)
	if err != nil {
		p.show(w, http.StatusBadGateway, &frame{Title: "Sign in", Error: err.Error()}, (*frame).signIn)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *Page) comeBack(w http.ResponseWriter, r *http.Request) {
	switch err := p.desk.Return(w, r); {
	case errors.Is(err, signin.ErrRefused):
		p.show(w, http.StatusForbidden, &frame{Title: "Sign in", Error: err.Error()}, (*frame).signIn)
	case err != nil:
		p.show(w, http.StatusBadGateway, &frame{Title: "Sign in", Error: err.Error()}, (*frame).signIn)
	default:
		leave(w, "")
	}
}
