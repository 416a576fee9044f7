package gateway

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestShiftedRoute has two routes that the certificate describes by requests of a few
// bytes, and long requests come on one of them. It is refused, also after a reload and
// after a restart, until its requests are short again or the certificate is another one;
// the other route never is.
func TestShiftedRoute(t *testing.T) {
	s := compiled(t, partnered+"    mode: enforce\n")
	s.Config.Cascades[0].Certificate = filepath.Join(t.TempDir(), "cert.json")
	body := func(system, text string) string {
		return fmt.Sprintf(`{"system":[{"text":%q}],"messages":[{"role":"user","content":[{"text":%q}]}]}`, system, text)
	}
	routeOf := func(system string) certify.Traffic {
		var f wire.Facts
		if err := f.Read(wire.OpConverse, wire.DialectNamed(""), []byte(body(system, ""))); err != nil {
			t.Fatal(err)
		}
		short := slices.Repeat([]certify.Request{{Bytes: 20, Weight: 1}, {Bytes: 30, Weight: 1}}, 50)
		return certify.TrafficOf(fmt.Sprintf("support acme/support %016x", f.SystemHash), short)
	}
	routes := []certify.Traffic{routeOf("be brief"), routeOf("be polite")}
	slices.SortFunc(routes, func(a, b certify.Traffic) int { return strings.Compare(a.Route, b.Route) })
	recompile(s, writeCertificate(t, s, 1, asIs, routes...))
	kept := &memory.Tightened{File: filepath.Join(t.TempDir(), "tightened.json")}
	fresh := func() *bench {
		b := newBench(s, byModel(reply{text: "the answer is 42"}, reply{text: "the answer is 42"}, reply{text: "42"}))
		b.line.cascades.tightened, b.line.shadows.Tightened = kept, kept
		if err := b.line.Restore(); err != nil {
			t.Fatal(err)
		}
		return b
	}
	reload := func(b *bench) {
		served := *s
		served.Upstream = b.upstream
		b.line.Use(&served)
	}
	sent := func(b *bench, n int, system, text string) (light int) {
		for range n {
			if got := b.do(b.ask(t.Context(), wire.OpConverse, body(system, text))); got.path == "light" {
				light++
			} else if got.path != "direct" || got.reason != "uncertified" {
				t.Fatalf("%s %q", got.path, got.reason)
			}
		}
		return light
	}
	long := strings.Repeat("and what about this? ", 20)
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d answers by the light model, want %d", what, got, want)
		}
	}
	b := fresh()
	expect("calm", sent(b, 600, "be brief", "hello"), 600)
	expect("shifting", sent(b, 600, "be polite", long), 499)
	expect("calm beside it", sent(b, 100, "be brief", "hello"), 100)
	reload(b)
	expect("shifted, after a reload", sent(b, 10, "be polite", long), 0)
	b = fresh()
	expect("shifted, after a restart", sent(b, 10, "be polite", "hello"), 0)
	expect("calm, after a restart", sent(b, 10, "be brief", "hello"), 10)
	if light := sent(b, 600, "be polite", "hello"); light < 100 {
		t.Errorf("short again, and %d of 600 answers by the light model", light)
	}
	expect("as before, after a restart", sent(fresh(), 10, "be polite", "hello"), 10)

	sent(b, 1000, "be polite", long)
	expect("shifted again", sent(b, 10, "be polite", long), 0)
	recompile(s, writeCertificate(t, s, 0.99, asIs, routes...))
	reload(b)
	expect("another certificate", sent(b, 10, "be polite", long), 10)
}
