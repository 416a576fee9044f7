package dashboard

import (
	"fmt"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/sluice-gateway/sluice/internal/views"
)

// The pages are written by functions and not by html/template: a template calls methods by
// their name, so that the linker must keep every method of the program, 15 MB of it.

// document is a page around its content.
func (f *frame) document(content ...g.Node) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.TitleEl(g.Text(f.Title+" · Sluice")),
			h.Link(h.Rel("icon"), h.Href("data:,")),
			h.Link(h.Rel("stylesheet"), h.Href("assets/style.css?v="+f.Version)),
			h.Script(h.Type("module"), h.Src("assets/page.js?v="+f.Version)),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to the numbers")),
			h.Header(
				h.P(h.Class("brand"), h.A(h.Href("./"), g.Text("Sluice"))),
				g.Iff(len(f.Menu) > 0, f.menu),
				g.Iff(f.Who != nil, f.who),
			),
			h.Main(h.ID("main"), h.TabIndex("-1"), h.H1(g.Text(f.Title)), g.Group(content)),
		),
	))
}

func (f *frame) menu() g.Node {
	return h.Nav(h.Aria("label", "Views"), h.Ul(g.Map(f.Menu, func(i item) g.Node {
		return h.Li(h.A(h.Href(i.Link), g.If(i.Here, h.Aria("current", "page")), g.Text(i.Title)))
	})))
}

func (f *frame) who() g.Node {
	sees := f.Who.Tenant
	if f.Who.All {
		sees = "all tenants"
	}
	return h.Div(h.Class("who"),
		h.Span(g.Textf("%s · %s · %s", f.Who.Name, f.Who.Role, sees)),
		g.If(f.Who.Session != "", h.Form(h.Method("post"), h.Action("signout"),
			hidden("form", f.Form), h.Button(g.Text("Sign out")))))
}

func hidden(name, value string) g.Node {
	return h.Input(h.Type("hidden"), h.Name(name), h.Value(value))
}

func (f *frame) failure() g.Node {
	return g.If(f.Error != "", h.P(h.Class("error"), h.Role("alert"), g.Text(f.Error)))
}

func (f *frame) signIn() g.Node {
	return f.document(
		f.failure(),
		h.Form(h.Method("post"), h.Action("signin"), h.Class("card"),
			h.Input(h.Type("text"), h.Name("username"), h.Value("sluice"), h.AutoComplete("username"), g.Attr("hidden")),
			h.Label(h.For("credential"), g.Text("Admin token, or a key of your tenant")),
			h.Input(h.ID("credential"), h.Name("credential"), h.Type("password"), h.AutoComplete("current-password"),
				h.Required(), h.AutoFocus()),
			hidden("next", f.Next),
			h.Button(g.Text("Sign in")),
		),
		g.If(f.Provider, h.P(h.A(h.Class("button"), h.Href("provider"), g.Text("Sign in with your identity provider")))),
		h.P(h.Class("note"), g.Text("A key shows its own tenant and those below it. A link to a page gives nobody a right.")),
	)
}

func (f *frame) failed() g.Node {
	return f.document(f.failure(), h.P(h.A(h.Href("./"), g.Text("Back to the start"))))
}

func (f *frame) view() g.Node {
	v := f.View
	return f.document(
		h.P(h.Class("asks"), g.Text(v.Asks)),
		g.Iff(f.Filter != nil, f.Filter.form),
		h.P(h.Class("source"), g.Text("Source: "+v.Source+" · as of "), moment(v.AsOf),
			g.Iff(!v.CompleteUpTo.IsZero(), func() g.Node {
				return g.Group{g.Text(" · complete up to "), moment(v.CompleteUpTo)}
			}), g.Text(" · period "),
			moment(v.From), g.Text(" to "), moment(v.To), g.Text(" (not included), UTC · USD")),
		g.Map(v.Notes, func(note string) g.Node { return h.P(h.Class("note"), g.Text(note)) }),
		g.Iff(f.Acts, f.acts),
		g.Map(f.Tables, table.section),
	)
}

func moment(t time.Time) g.Node {
	return h.Time(h.DateTime(views.Stamp(t)), g.Text(views.Stamp(t)))
}

func (f *filter) form() g.Node {
	day := func(label, name, value string) g.Node {
		return h.Label(g.Text(label+" "), h.Input(h.Type("date"), h.Name(name), h.Value(value)))
	}
	return h.Form(h.Method("get"), h.Action(f.Action), h.Class("filter"),
		day("from", "from", f.From), day("to, not included", "to", f.To),
		h.Label(g.Text("tenant and below "), h.Input(h.Name("tenant"), h.Value(f.Tenant), h.List("tenants"),
			h.AutoComplete("off"))),
		h.DataList(h.ID("tenants"), g.Map(f.Tenants, func(id string) g.Node { return h.Option(h.Value(id)) })),
		g.If(len(f.Bys) > 0, h.Label(g.Text("by "), h.Select(h.Name("by"), g.Map(f.Bys, func(by string) g.Node {
			return h.Option(g.If(by == f.By, h.Selected()), g.Text(by))
		})))),
		g.Map(f.Fields, func(x field) g.Node {
			return h.Label(g.Text(x.Title+" "), h.Input(h.Name(x.Name), h.Value(x.Value), h.AutoComplete("off")))
		}),
		h.Button(g.Text("Show")),
	)
}

func (t table) section() g.Node {
	body := h.P(h.Class("empty"), g.Text(t.Empty))
	if len(t.Rows) > 0 {
		body = g.Group{g.Iff(t.Drawing != "", t.figure), t.grid()}
	}
	return h.Section(h.Aria("labelledby", t.Name),
		h.H2(h.ID(t.Name), g.Text(t.Title)),
		body,
		g.If(t.Older != "", h.P(h.A(h.Href(t.Older), h.Rel("next"), g.Text("Older ones")))),
		h.P(h.Class("links"), h.A(h.Href(t.CSV), g.Text("CSV")), g.Text(" "), h.A(h.Href(t.JSON), g.Text("JSON")),
			g.Text(" "), h.Span(g.Text("of exactly this, amounts unrounded · "+t.Source+", as of "), moment(t.AsOf))),
	)
}

func (t table) figure() g.Node {
	return h.Figure(g.Raw(t.Drawing), g.Iff(len(t.Legend) > 0, func() g.Node {
		var names g.Group
		for i, name := range t.Legend {
			names = append(names, h.Li(h.I(h.Class(fmt.Sprintf("k%d", i))), g.Text(name)))
		}
		return h.FigCaption(h.Ul(h.Class("legend"), names))
	}))
}

func (t table) grid() g.Node {
	row := func(cells []cell) g.Node { return h.Tr(g.Map(cells, cell.node)) }
	return h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("region"), h.Aria("label", t.Title), h.Table(
		h.THead(h.Tr(g.Map(t.Heads, func(c views.Column) g.Node {
			return h.Th(h.Scope("col"), g.If(c.Kind != views.Text && c.Kind != views.Time, h.Class("n")), g.Text(c.Title))
		}))),
		h.TBody(g.Map(t.Lines, row)),
		g.Iff(len(t.Sum) > 0, func() g.Node { return h.TFoot(row(t.Sum)) }),
	))
}

func (c cell) node() g.Node {
	content := g.Text(c.Text)
	switch {
	case c.Drawing != "":
		content = g.El("data", h.Value(c.Value), g.Raw(c.Drawing))
	case c.Link != "":
		content = h.A(h.Href(c.Link), content)
	case c.Exact != "":
		content = g.El("data", h.Value(c.Value), h.Title(c.Exact), content)
	}
	if c.First {
		return h.Th(h.Scope("row"), content)
	}
	return h.Td(g.If(c.Figure, h.Class("n")), content)
}

// acts are the forms that act on keys.
func (f *frame) acts() g.Node {
	field := func(label string, attributes ...g.Node) g.Node {
		return h.Label(g.Text(label+" "), h.Input(attributes...))
	}
	option := func(value, text string) g.Node { return h.Option(h.Value(value), g.Text(text)) }
	reason := field("reason, for the audit log", h.Name("reason"), h.MaxLength("256"))
	return h.Div(h.Class("acts"), h.ID("acts"),
		h.Form(h.Method("post"), h.Action("keys"), h.Class("card"), h.H2(g.Text("Issue a key")),
			hidden("form", f.Form), hidden("act", "issue"),
			field("tenant", h.Name("tenant"), h.List("tenants"), h.Required(), h.AutoComplete("off")),
			field("name", h.Name("name"), h.MaxLength("256")),
			field("owner", h.Name("owner"), h.MaxLength("256")),
			field("expires at the start of (UTC)", h.Type("date"), h.Name("expires")),
			reason, h.Button(g.Text("Issue")),
		),
		h.Form(h.Method("post"), h.Action("keys"), h.Class("card"), h.H2(g.Text("Act on a key")),
			hidden("form", f.Form),
			field("key id", h.Name("key"), h.Required(), h.AutoComplete("off"), h.Pattern("[A-Z0-9]{24}")),
			h.Label(g.Text("act "), h.Select(h.Name("act"),
				option("freeze", "freeze: refuse it until it is unfrozen"),
				option("unfreeze", "unfreeze"),
				option("rotate", "rotate: issue another, let this one end after a day"),
				option("revoke", "revoke: refuse it for ever"))),
			reason,
			h.Label(h.Class("tick"), h.Input(h.Type("checkbox"), h.Name("sure"), h.Value("yes")),
				g.Text(" to revoke: yes, for ever")),
			h.Button(g.Text("Do it")),
		))
}

// made is a new key with its credentials.
func (f *frame) made() g.Node {
	k := f.Made
	secret := func(name, value string) g.Node {
		return g.Group{h.Dt(g.Text(name)), h.Dd(h.Code(g.Text(value)))}
	}
	return f.document(
		h.P(g.Text("Key "), h.Code(g.Text(k.ID)), g.Text(" of "+k.Tenant+". Its credentials, for its holder alone:")),
		h.Dl(h.Class("card"), secret("bearer token", k.Bearer), secret("access key id", k.AccessKeyID),
			secret("secret access key", k.SecretAccessKey)),
		g.If(k.Waiting, h.P(h.Class("note"),
			g.Text("The ledger does not have this act yet: other gateways do not know the key."))),
		h.P(h.A(h.Href("keys"), g.Text("Back to the keys"))),
	)
}
