package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/money"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testEnv is the environment of the tests.
func testEnv(name string) string {
	return map[string]string{"SLUICE_DEMO_KEY": "demo-key", "SET": "value", "PORT": "8099", "AWS_REGION": "eu-north-1",
		"SLUICE_SUPPORT_KEY": "SLKAAAAAAAAAAAAAAAAAAAAA", "SLUICE_WEBHOOK_SECRET": "a secret of the test"}[name]
}

// mustParse parses a configuration that is right.
func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := load(&decoder{env: testEnv}, "sluice.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBad renders the mistakes of each file in testdata/bad, also those of the
// files that it names, and compares with the .txt beside it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := Load(name, testEnv)
			var faults *Error
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want an *Error", err)
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			here, _ := filepath.Abs("testdata/bad")
			got := strings.ReplaceAll(err.Error()+"\n", here+"/", "")
			got = strings.ReplaceAll(got, "testdata/bad/", "")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEmptyHasDefaults(t *testing.T) {
	c := mustParse(t, "# nothing\n")
	here, _ := os.Getwd()
	want := defaults()
	want.DataDir = filepath.Join(here, "data")
	want.Upstream.Region = "eu-north-1"
	want.Timeouts.FirstByte, want.Timeouts.Idle = want.Timeouts.Request, want.Timeouts.Request
	got := *c
	got.Prices, got.Models, got.Terms, got.source = nil, nil, nil, nil
	if diff := cmp.Diff(*want, got, cmp.AllowUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
	if len(c.Prices) != 2 || len(c.Models) == 0 || len(c.Terms) == 0 {
		t.Errorf("%d books, %d models, %d terms", len(c.Prices), len(c.Models), len(c.Terms))
	}
}

func TestQuickstart(t *testing.T) {
	c := mustParse(t, string(Quickstart()))
	if n := strings.Count(string(Quickstart()), "\n"); n > 25 {
		t.Errorf("%d lines", n)
	}
	if got := c.Tenants[0].Keys; !slices.Equal(got, []string{"demo-key"}) {
		t.Error(got)
	}
	if c.Upstream.Endpoint != "sandbox" || c.Ledger.Redis != "" || c.Listen != "127.0.0.1:8080" ||
		c.Admin.Listen != "127.0.0.1:9090" {
		t.Errorf("%+v", c)
	}
	cascade := c.Cascades[0]
	if cascade.Match != `request.model == "auto"` || len(cascade.EscalateIf) == 0 ||
		c.Aliases["auto"] != cascade.Escalation {
		t.Errorf("%+v", cascade)
	}
	if _, err := load(&decoder{env: func(string) string { return "" }}, "quickstart.yaml", Quickstart()); err == nil {
		t.Error("loads without its key")
	}
}

// TestExampleHasEveryKey compares the keys of example.yaml with the schema.
func TestExampleHasEveryKey(t *testing.T) {
	c, err := Load("example.yaml", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for path := range c.source.at {
		used[general(path)] = true
	}
	for _, path := range keysOf(t, schemaValue(t), "") {
		if !used[general(path)] {
			t.Errorf("example.yaml lacks %s", general(path))
		}
	}
	if c.Tenants[1].Budgets[0].HardUSD != 6000*money.Dollar || c.Cascades[0].Shadow.USDPerDay != 20*money.Dollar {
		t.Errorf("%+v", c.Tenants[1])
	}
}

// general is a path without indexes; an upstream is one like the other.
func general(path string) string {
	path = regexp.MustCompile(`\[[^]]*\]`).ReplaceAllString(path, "")
	return strings.Replace(path, "upstreams.", "upstream.", 1)
}

// TestExampleIsWhatItSays compares the defaults that example.yaml states with
// those that the program has.
func TestExampleIsWhatItSays(t *testing.T) {
	c, err := Load("example.yaml", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	d := defaults()
	d.Timeouts.FirstByte, d.Timeouts.Idle = d.Timeouts.Request, d.Timeouts.Request // when the file names neither
	if diff := cmp.Diff(
		[]any{d.Journal, d.Timeouts, d.Limits, d.Telemetry, d.Upstream.Retry, d.Upstream.Breaker, d.Listen, d.Unpriced},
		[]any{c.Journal, c.Timeouts, c.Limits, c.Telemetry, c.Upstream.Retry, c.Upstream.Breaker, c.Listen, c.Unpriced},
	); diff != "" {
		t.Error(diff)
	}
}

func TestValues(t *testing.T) {
	c := mustParse(t, `
listen: "127.0.0.1:${PORT}"
journal: {every: 1s500ms, segment_bytes: 2GB}
limits: {max_body_bytes: 1048576}
upstreams: {b: {region: r}, a: {region: "${UNSET:-eu-west-1}", endpoint: "http://127.0.0.1:1/x"}}
model_upstreams: {"z*": b, "a*": a, "*": b}
tenants:
  - id: one
    keys: []
    limits: &limits {requests_per_minute: 5}
    budgets:
      - {period: day, usd: 0.000000000001}
      - {period: day, usd: "${UNSET:-12.5}", on_exceed: notify}
  - id: two
    limits: *limits
    models: [007, 1e3]
cascades:
  - name: $$x$
    match: |
      request.model == "a" &&
        true
    light: a
    escalation: b
    session: {off: true}
    shadow: {tenant: one}
`)
	if c.Listen != "127.0.0.1:8099" || c.Journal.Every != 1500*time.Millisecond ||
		c.Journal.SegmentBytes != 2_000_000_000 {
		t.Errorf("%+v", c)
	}
	if c.Limits.MaxBodyBytes != 1<<20 || c.Upstreams["a"].Region != "eu-west-1" ||
		c.Upstreams["a"].Retry.MaxAttempts != 3 {
		t.Errorf("%+v", c)
	}
	want := []ModelUpstream{{"z*", "b"}, {"a*", "a"}, {"*", "b"}}
	if diff := cmp.Diff(want, c.ModelUpstreams); diff != "" {
		t.Error(diff)
	}
	one, two := c.Tenants[0], c.Tenants[1]
	if one.Budgets[0].USD != 1 || one.Budgets[1].USD != 12_500_000_000_000 || one.Budgets[0].TimeZone != "UTC" {
		t.Errorf("%+v", one.Budgets)
	}
	if two.Limits.RequestsPerMinute != 5 || !slices.Equal(two.Models, []string{"007", "1e3"}) {
		t.Errorf("%+v", two)
	}
	if one.Keys == nil || two.Keys != nil || one.Models != nil {
		t.Error("an empty list and an absent one must differ")
	}
	cascade := c.Cascades[0]
	if cascade.Name != "$x$" || cascade.Match != "request.model == \"a\" &&\n  true\n" {
		t.Errorf("%q %q", cascade.Name, cascade.Match)
	}
	if cascade.Session.TTL != 0 || cascade.Shadow.Fraction != 0.02 || cascade.Shadow.Judge != "key_disagreement" {
		t.Errorf("%+v", cascade)
	}
}

func TestInclude(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sluice.yaml", "include: [d/*.yaml, none/*.yaml]\ndata_dir: x\nprices: [p/own.yaml]\ntenants: [{id: zero}]\n")
	write("d/b.yaml", "tenants: [{id: two}]\n")
	write("d/a.yaml", "tenants:\n  - id: one\ncascades: [{name: c, match: m, light: a, escalation: b, certificate: "+
		"c.json}]\n")
	write("d/empty.yaml", "")
	write("p/own.yaml", "effective: 2026-02-01\nprices: [{models: [x], input: 1}]\n")
	c, err := Load(filepath.Join(dir, "sluice.yaml"), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, tenant := range c.Tenants {
		ids = append(ids, tenant.ID)
	}
	if !slices.Equal(ids, []string{"zero", "one", "two"}) {
		t.Error(ids)
	}
	if c.DataDir != filepath.Join(dir, "x") || c.Cascades[0].Certificate != filepath.Join(dir, "d/c.json") {
		t.Error(c.DataDir, c.Cascades[0].Certificate)
	}
	if at := c.At("tenants[1].id"); at.File != filepath.Join(dir, "d/a.yaml") || at.Line != 2 || at.Column != 9 {
		t.Errorf("%+v", at)
	}
	if len(c.Prices) != 3 || c.Prices[2].Name != "own.yaml" || len(c.Prices[2].Prices) != 3 {
		t.Errorf("%+v", c.Prices[2:])
	}
	if at := c.At("prices[2].prices[2].input"); at.File != filepath.Join(dir, "p/own.yaml") || at.Line != 2 {
		t.Errorf("%+v", at)
	}
}

// TestLoadPrices puts the books of files after the shipped ones, and reports
// their mistakes alone.
func TestLoadPrices(t *testing.T) {
	file := func(text string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "own $HOME.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const own = "effective: 2026-01-01\nprices: [{models: [a], input: 0.1}]\n"
	c, err := LoadPrices([]string{file(own)}, testEnv)
	if err != nil || len(c.Prices) != 3 || c.Prices[2].Name != "own $HOME.yaml" || c.Prices[2].Prices[0].Models[0] != "a" {
		t.Errorf("%+v %v", c, err)
	}
	if at := c.At("prices[2].prices[0]"); at.Line != 2 || at.Text == "" {
		t.Errorf("%+v", at)
	}
	if _, err := LoadPrices([]string{file("prices: [{models: [a], input: x}]\n")}, testEnv); err == nil ||
		!strings.HasSuffix(err.Error(), "2 errors") {
		t.Error(err)
	}
	if _, err := LoadPrices([]string{"/nonexistent"}, testEnv); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestLoadMissingFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), testEnv); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestKeep(t *testing.T) {
	old := mustParse(t, "")
	f := func(text string, want ...string) {
		t.Helper()
		next := mustParse(t, text)
		if got := Keep(old, next); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		if again := Keep(old, next); len(again) > 0 {
			t.Errorf("%s: %v is not kept", text, again)
		}
	}
	f("")
	f("tenants: [{id: a}]")
	f("listen: :1\ndata_dir: x\njournal: {every: 1s}\nledger: {redis: redis://h}\nadmin: {listen: 127.0.0.1:1}",
		"listen", "admin.listen", "data_dir", "journal", "ledger")
}

// FuzzParse reads a file as configuration, as prices and as catalogue, without
// the shipped ones, which take most of the time and do not change.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"quickstart.yaml", "example.yaml", "prices.yaml", "models.yaml",
		"testdata/bad/everything.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 1500)])
	}
	for _, s := range []string{
		"", "a", "- a", "a: &b [*b]", "? a\n: b", "a: !!str 1", "---\na: 1\n---\nb: 2", "tenants: [{}]",
		"a: \"\\", "<<: *a", "listen: |\n  x\n y", "{", "[", "\xff", "listen: '${'", "a: >\n\n b",
		"prices: [{models: [a], effective: 2026-01-01, input: 0.1, scopes: {geo: 1.1}, tiers: {batch: 0.5}}]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &decoder{env: testEnv}
		c, err := d.settle(d.newTree("fuzz.yaml", data), data, defaults())
		if (c == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		var faults *Error
		if err != nil && (!errors.As(err, &faults) || !strings.HasSuffix(err.Error(), plural(len(faults.Faults), "error"))) {
			t.Fatal(err)
		}
		if c != nil {
			for path := range c.source.at {
				if at := c.At(path); at.Line < 1 || at.Column < 1 || c.source.find(path).into(3).col < 1 {
					t.Errorf("%s is at %+v", path, at)
				}
			}
		}
		fuzzFiles(data)
	})
}

// fuzzFiles reads data as the other kinds of files, for panics.
func fuzzFiles(data []byte) {
	d := &decoder{env: testEnv}
	outer := value{d.newTree("outer.yaml", nil), nil, "prices[0]"}
	if root, ok := d.parseFile("book.yaml", data); ok {
		for _, p := range d.book(root, outer).Prices {
			if p.Input < 0 || p.Output < 0 {
				panic("BUG: a negative price")
			}
		}
		var models []Model
		catalogueSection(d, root, &models)
	}
}

// TestLongCallsAreCarried: by default no bound ends a call that Bedrock lets last 60
// minutes, and timeouts.request governs what is silent in it (U1).
func TestLongCallsAreCarried(t *testing.T) {
	f := func(yaml string, request, firstByte, idle time.Duration) {
		t.Helper()
		got := mustParse(t, yaml).Timeouts
		if got.Request != request || got.FirstByte != firstByte || got.Idle != idle {
			t.Errorf("%q: %+v", yaml, got)
		}
	}
	f("# nothing\n", 65*time.Minute, 65*time.Minute, 65*time.Minute)
	f("timeouts: {request: 2h}\n", 2*time.Hour, 2*time.Hour, 2*time.Hour)
	f("timeouts: {request: 5m, idle: 1m}\n", 5*time.Minute, 5*time.Minute, time.Minute)
	f("timeouts: {first_byte: 10m}\n", 65*time.Minute, 10*time.Minute, 65*time.Minute)
}

// TestProxyAndAuthoritiesAreInherited: those of the default upstream hold for the
// others (U3).
func TestProxyAndAuthoritiesAreInherited(t *testing.T) {
	c := mustParse(t, "upstream: {region: r, proxy: 'socks5://p:1', ca_file: /a.pem}\n"+
		"upstreams: {one: {region: r}, two: {region: r, proxy: 'http://q', ca_file: /b.pem}}\n")
	if one := c.Upstreams["one"]; one.Proxy != "socks5://p:1" || one.CAFile != "/a.pem" {
		t.Errorf("%+v", one)
	}
	if two := c.Upstreams["two"]; two.Proxy != "http://q" || two.CAFile != "/b.pem" {
		t.Errorf("%+v", two)
	}
}
