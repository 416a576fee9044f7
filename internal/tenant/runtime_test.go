package tenant

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// runtimeOffice is an office whose keys can be acted on, and a key that was issued at
// run time.
type runtimeOffice struct {
	office
	t      testing.TB
	book   *keys.Book
	issued Credentials
}

func newRuntimeOffice(t testing.TB) *runtimeOffice {
	t.Helper()
	o := &runtimeOffice{office: newOffice(t), t: t}
	var err error
	if o.book, err = keys.Open(keys.Options{
		DataDir: t.TempDir(), Sealer: o.secretsOfThem, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now },
	}); err != nil {
		t.Fatal(err)
	}
	o.dir.Obey(o.book)
	o.issued = mustCredentials(t, o.secretsOfThem, mustKeyID(t, o.secretsOfThem))
	o.do(keys.Act{Kind: keys.Issue, Key: o.issued.KeyID, Tenant: "acme/support", Settings: &keys.Settings{}})
	return o
}

func (o *runtimeOffice) do(a keys.Act) {
	o.t.Helper()
	if err := o.book.Do(func(*keys.State) ([]keys.Act, error) { return []keys.Act{a}, nil }); err != nil {
		o.t.Fatal(err)
	}
}

// want asks with both styles of credential.
func (o *runtimeOffice) want(what string, c Credentials, tenant, refusal string) {
	o.t.Helper()
	for _, r := range []*AuthRequest{bearer(c.Bearer), signed(c.AccessKeyID, c.SecretAccessKey)} {
		r.Remote = netip.MustParseAddr("10.1.2.3")
		id, err := o.identify(r, now, body)
		switch {
		case refusal == "" && (err != nil || id.Tenant.ID != tenant || id.KeyID != c.KeyID):
			o.t.Errorf("%s: %v %v", what, id, err)
		case refusal != "" && (err == nil || !strings.Contains(err.Message, refusal)):
			o.t.Errorf("%s: %v %v, want %q", what, id, err, refusal)
		}
	}
}

// wantUnknown: the refusal is that of a key that never existed.
func (o *runtimeOffice) wantUnknown(what string, c Credentials) {
	o.t.Helper()
	never := mustCredentials(o.t, o.secretsOfThem, mustKeyID(o.t, o.secretsOfThem))
	for i, r := range []*AuthRequest{bearer(c.Bearer), signed(c.AccessKeyID, c.SecretAccessKey)} {
		other := []*AuthRequest{bearer(never.Bearer), signed(never.AccessKeyID, never.SecretAccessKey)}[i]
		_, got := o.identify(r, now, body)
		_, want := o.identify(other, now, body)
		if got == nil || *got != *want {
			o.t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

// TestActsOnKeys walks what can be done to a key, of the configuration and issued. The
// key was used before each act, so that nothing that was kept of it may count.
func TestActsOnKeys(t *testing.T) {
	past, future := now.Add(-time.Second), now.Add(time.Second)
	nets := func(all ...string) (n []netip.Prefix) {
		for _, s := range all {
			p, err := network.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			n = append(n, p)
		}
		return n
	}
	set := func(s keys.Settings) keys.Act { return keys.Act{Kind: keys.Change, Settings: &s} }
	for name, c := range map[string]struct {
		act     keys.Act
		refusal string
	}{
		"expired":                  {set(keys.Settings{Expires: &past}), "expired"},
		"expires at this very now": {set(keys.Settings{Expires: &now}), "expired"},
		"expires soon":             {set(keys.Settings{Expires: &future}), ""},
		"frozen":                   {keys.Act{Kind: keys.Freeze}, "frozen"},
		"of another network":       {set(keys.Settings{Networks: nets("192.168.0.0/16", "2001:db8::/32")}), "10.1.2.3"},
		"of this network":          {set(keys.Settings{Networks: nets("192.168.0.0/16", "10.0.0.0/8")}), ""},
		"of this address":          {set(keys.Settings{Networks: nets("10.1.2.3")}), ""},
		"of the next address":      {set(keys.Settings{Networks: nets("10.1.2.4")}), "10.1.2.3"},
		"IPv4 in IPv6":             {set(keys.Settings{Networks: nets("::ffff:10.0.0.0/104")}), ""},
		"no bits of IPv6":          {set(keys.Settings{Networks: nets("::/0")}), "10.1.2.3"},
		"host bits":                {set(keys.Settings{Networks: nets("10.1.2.255/24")}), ""},
	} {
		o := newRuntimeOffice(t)
		for what, key := range map[string]Credentials{"configured": o.alice, "issued": o.issued} {
			o.want(name+" before", key, "acme/support", "")
			c.act.Key = key.KeyID
			o.do(c.act)
			o.want(what+" "+name, key, "acme/support", c.refusal)
			o.want("another key", o.bob, "other", "")
		}
	}
}

// TestRevokedKeyIsAsOneThatNeverWas, also when the configuration lists it (again), when it
// is issued again, thawed or changed.
func TestRevokedKeyIsAsOneThatNeverWas(t *testing.T) {
	o := newRuntimeOffice(t)
	for _, key := range []Credentials{o.alice, o.issued} {
		o.want("before", key, "acme/support", "")
		o.do(keys.Act{Kind: keys.Revoke, Key: key.KeyID})
		o.wantUnknown("revoked", key)
		for _, a := range []keys.Act{
			{Kind: keys.Issue, Tenant: "acme/support", Settings: &keys.Settings{}},
			{Kind: keys.Change, Settings: &keys.Settings{}}, {Kind: keys.Freeze}, {Kind: keys.Thaw},
		} {
			a.Key = key.KeyID
			o.do(a)
			o.wantUnknown("revoked, then "+string(a.Kind), key)
		}
	}
	// A reload builds a directory that lists them all.
	o.dir = mustBuild(t, o.secretsOfThem, config.Tenant{ID: "acme/support", Keys: []string{o.alice.KeyID, o.issued.KeyID}})
	o.dir.Obey(o.book)
	o.wantUnknown("listed again", o.alice)
	o.wantUnknown("listed after it was issued", o.issued)
}

// TestActsWithinARequest: what is done while the body comes counts.
func TestActsWithinARequest(t *testing.T) {
	for kind, want := range map[keys.Kind]wire.Kind{keys.Freeze: wire.KindAccessDenied, keys.Revoke: 0} {
		for i := range 2 {
			o := newRuntimeOffice(t)
			r := []*AuthRequest{bearer(o.alice.Bearer), signed(o.alice.AccessKeyID, o.alice.SecretAccessKey)}[i]
			a, err := o.dir.Admit(r, now)
			if err != nil {
				t.Fatal(err)
			}
			o.do(keys.Act{Kind: kind, Key: o.alice.KeyID})
			id, err := a.Confirm(body)
			if id != nil || err == nil || want != 0 && err.Kind != want {
				t.Errorf("%s: %v %v", kind, id, err)
			}
		}
	}
}

// TestFrozenTenant freezes all keys at and below a tenant, and thaws them.
func TestFrozenTenant(t *testing.T) {
	o := newRuntimeOffice(t)
	o.do(keys.Act{Kind: keys.Freeze, Tenant: "acme"}) // above the tenant of the keys, and in no configuration
	o.want("configured", o.alice, "", "frozen")
	o.want("issued", o.issued, "", "frozen")
	o.want("of another root", o.bob, "other", "")
	o.do(keys.Act{Kind: keys.Freeze, Tenant: "acme/supporter"}) // a name that only begins so
	o.do(keys.Act{Kind: keys.Thaw, Tenant: "acme", Lifts: o.book.State().Freezes("acme")})
	o.want("thawed", o.alice, "acme/support", "")
	o.want("thawed", o.issued, "acme/support", "")
}

// TestKeysExpireByTheLedgersClock: a gateway whose clock is late takes no expired key.
func TestKeysExpireByTheLedgersClock(t *testing.T) {
	o := newRuntimeOffice(t)
	soon := now.Add(10 * time.Minute)
	o.do(keys.Act{Kind: keys.Change, Key: o.alice.KeyID, Settings: &keys.Settings{Expires: &soon}})
	for behind, refusal := range map[time.Duration]string{
		0: "", 10*time.Minute - time.Second: "", 10 * time.Minute: "expired", -time.Hour: "",
	} {
		o.book.Join(nil, func() time.Duration { return behind })
		o.want(behind.String()+" behind", o.alice, "acme/support", refusal)
	}
}

// TestNetworksOfLinks: an address with a zone is in a network, which has none.
func TestNetworksOfLinks(t *testing.T) {
	o := newRuntimeOffice(t)
	n, err := network.Parse("fe80::/10")
	if err != nil {
		t.Fatal(err)
	}
	o.do(keys.Act{Kind: keys.Change, Key: o.alice.KeyID, Settings: &keys.Settings{Networks: []netip.Prefix{n}}})
	for from, ok := range map[string]bool{"fe80::1%eth0": true, "fe80::1": true, "fd00::1": false, "10.0.0.1": false} {
		r := bearer(o.alice.Bearer)
		r.Remote = netip.MustParseAddr(from)
		if _, err := o.identify(r, now, nil); (err == nil) != ok {
			t.Errorf("%s: %v", from, err)
		}
	}
	if _, err := o.identify(bearer(o.alice.Bearer), now, nil); err == nil {
		t.Error("from no address")
	}
}

// TestRotatedKey is valid until the end that the rotation named, and the new one at once.
func TestRotatedKey(t *testing.T) {
	o := newRuntimeOffice(t)
	next := mustCredentials(t, o.secretsOfThem, mustKeyID(t, o.secretsOfThem))
	end := now.Add(time.Minute)
	o.do(keys.Act{Kind: keys.Issue, Key: next.KeyID, Tenant: "acme/support", Settings: &keys.Settings{},
		Replaces: o.alice.KeyID, Ends: &end})
	o.want("the old one", o.alice, "acme/support", "")
	o.want("the new one", next, "acme/support", "")
	if _, err := o.identify(bearer(o.alice.Bearer), end, nil); err == nil || !strings.Contains(err.Message, "expired") {
		t.Errorf("the old one at its end: %v", err)
	}
	if got := o.book.State().Keys[next.KeyID].Family; got != o.alice.KeyID {
		t.Errorf("budgets count under %s", got)
	}
}

// TestIssuedForATenantThatIsGone admits nobody, until the tenant is there again.
func TestIssuedForATenantThatIsGone(t *testing.T) {
	o := newRuntimeOffice(t)
	o.dir = mustBuild(t, o.secretsOfThem, config.Tenant{ID: "other"})
	o.dir.Obey(o.book)
	o.wantUnknown("gone", o.issued)
	o.dir = mustBuild(t, o.secretsOfThem, config.Tenant{ID: "acme/support"})
	o.dir.Obey(o.book)
	o.want("back", o.issued, "acme/support", "")
}

// TestRenamedTenants keep their keys, and what freezes them.
func TestRenamedTenants(t *testing.T) {
	o := newRuntimeOffice(t)
	rename := func(tenants ...config.Tenant) {
		o.dir = mustBuild(t, o.secretsOfThem, tenants...)
		o.dir.Obey(o.book)
	}
	alice := []string{o.alice.KeyID}
	self := []config.Tenant{{ID: "acme"}, {ID: "acme/help", RenamedFrom: "acme/support", Keys: alice}}
	above := []config.Tenant{{ID: "corp", RenamedFrom: "acme"}, {ID: "corp/support", Keys: alice}}
	rename(self...)
	o.want("issued", o.issued, "acme/help", "")
	rename(above...)
	o.want("issued, the root renamed", o.issued, "corp/support", "")
	for _, frozen := range []string{"acme/support", "acme"} {
		o.do(keys.Act{Kind: keys.Freeze, Tenant: frozen})
		for _, tenants := range [][]config.Tenant{self, above} {
			rename(tenants...)
			o.want(frozen+" frozen before", o.issued, "", "frozen")
			o.want(frozen+" frozen before", o.alice, "", "frozen")
		}
		o.do(keys.Act{Kind: keys.Thaw, Tenant: frozen, Lifts: o.book.State().Freezes(frozen)})
	}
	// Another tenant that has the old name by now has its keys.
	rename(config.Tenant{ID: "acme/help", RenamedFrom: "acme/support"}, config.Tenant{ID: "acme/support"})
	o.want("issued, the name given away", o.issued, "acme/support", "")
}

// TestPreviousSecretAndRevocation: a revocation counts whichever root secret a key, or the
// revocation, is of.
func TestPreviousSecretAndRevocation(t *testing.T) {
	before, during := mustLoad(t, "", environ(oldRoot, "")), mustLoad(t, "", environ(newRoot, oldRoot))
	old, young := mustCredentials(t, before, mustKeyID(t, before)), mustCredentials(t, during, mustKeyID(t, during))
	data := t.TempDir()
	open := func(s *Secrets) *keys.Book {
		b, err := keys.Open(keys.Options{DataDir: data, Sealer: s, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, id := range []string{old.KeyID, young.KeyID} { // by a gateway that still has the old secret alone
		act := []keys.Act{{Kind: keys.Revoke, Key: id}}
		if err := open(before).Do(func(*keys.State) ([]keys.Act, error) { return act, nil }); err != nil {
			t.Fatal(err)
		}
	}
	after := mustLoad(t, "", environ(newRoot, ""))
	for name, s := range map[string]*Secrets{"during": during, "after": after} {
		dir, _ := Build(&config.Config{Tenants: []config.Tenant{{ID: "a", Keys: []string{old.KeyID, young.KeyID}}}}, s)
		dir.Obey(open(s))
		o := office{dir: dir}
		for _, c := range []Credentials{old, young} {
			if id, err := o.identify(bearer(c.Bearer), now, nil); err == nil {
				t.Errorf("%s the rotation: %v", name, id)
			}
		}
	}
}

// TestAdmitAllocatesNothingForActs compares requests of a directory with acts and one
// without.
func TestAdmitAllocatesNothingForActs(t *testing.T) {
	plain, acted := newOffice(t), newRuntimeOffice(t)
	acted.do(keys.Act{Kind: keys.Change, Key: acted.alice.KeyID, Settings: &keys.Settings{Name: "n"}})
	allocs := func(o *office, token string) float64 {
		r := bearer(token)
		return testing.AllocsPerRun(100, func() {
			if _, err := o.identify(r, now, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	want := allocs(&plain, plain.alice.Bearer)
	for what, token := range map[string]string{"configured": acted.alice.Bearer, "issued": acted.issued.Bearer} {
		if got := allocs(&acted.office, token); got > want {
			t.Errorf("%s: %v allocations, %v without acts", what, got, want)
		}
	}
}

// configure puts another configuration of alice's key in use, with the acts of before.
func (o *runtimeOffice) configure(k *config.Key) {
	o.t.Helper()
	dir, problems := Build(&config.Config{Tenants: []config.Tenant{{
		ID: "acme/support", Keys: []string{o.alice.KeyID}, KeySettings: map[string]*config.Key{o.alice.KeyID: k},
	}}}, o.secretsOfThem)
	if len(problems) > 0 {
		o.t.Fatal(problems)
	}
	o.dir = dir
}

// TestSettingsOfTheConfiguration: what a configuration sets of a key holds from its reload
// on, wins over what acts set, and leaves what only they set.
func TestSettingsOfTheConfiguration(t *testing.T) {
	o := newRuntimeOffice(t)
	past, future := now.Add(-time.Second), now.Add(time.Second)
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	for _, c := range []struct {
		what    string
		set     config.Key
		refusal string
	}{
		{"nothing", config.Key{}, ""},
		{"expired", config.Key{Expires: past}, "expired"},
		{"expires soon", config.Key{Expires: future}, ""},
		{"of another network", config.Key{Networks: elsewhere}, "10.1.2.3"},
	} {
		o.configure(&c.set)
		o.want(c.what+", without a book", o.alice, "acme/support", c.refusal)
		o.configure(&c.set)
		o.dir.Obey(o.book)
		o.want(c.what, o.alice, "acme/support", c.refusal)
	}

	o.do(keys.Act{Kind: keys.Change, Key: o.alice.KeyID, Settings: &keys.Settings{Expires: &past, Name: "by act"}})
	o.configure(&config.Key{Expires: future, Owner: "ann"})
	o.dir.Obey(o.book)
	o.want("an act says that it expired", o.alice, "acme/support", "")
	if k := o.dir.Keys().Keys[o.alice.KeyID]; k.Name != "by act" || k.Owner != "ann" {
		t.Errorf("%+v", k.Settings)
	}
	o.do(keys.Act{Kind: keys.Freeze, Key: o.alice.KeyID})
	o.want("frozen", o.alice, "acme/support", "frozen")
	o.do(keys.Act{Kind: keys.Revoke, Key: o.alice.KeyID})
	o.wantUnknown("revoked", o.alice)
}

// TestLimitsOfTheConfiguration: a key of the configuration has limits of its own, and the
// same value of them after acts on other keys, because policies are kept by it.
func TestLimitsOfTheConfiguration(t *testing.T) {
	o := newRuntimeOffice(t)
	o.configure(&config.Key{
		Budgets: []config.Budget{{Period: "day", USD: 3 * money.Dollar, OnExceed: "light_only", TimeZone: "Asia/Tokyo",
			HardUSD: 4*money.Dollar + 1}},
		Limits: config.Limits{TokensPerMinute: 7},
	})
	o.dir.Obey(o.book)
	own := func() *keys.Own {
		id, err := o.identify(bearer(o.alice.Bearer), now, body)
		if err != nil {
			t.Fatal(err)
		}
		return id.Own
	}
	first := own()
	want := &keys.Own{
		Name: o.alice.KeyID, Limits: config.Limits{TokensPerMinute: 7},
		Budgets: []config.Budget{{Period: "day", USD: 3 * money.Dollar, OnExceed: "light_only", TimeZone: "Asia/Tokyo",
			HardUSD: 4*money.Dollar + 1}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	o.do(keys.Act{Kind: keys.Freeze, Key: o.bob.KeyID})
	if own() != first {
		t.Error("another value after an act on another key")
	}
}
