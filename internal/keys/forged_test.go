package keys

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// put lets somebody put an act on the board who has another root secret, or none.
func (w *world) put(a Act, by Sealer) string {
	w.t.Helper()
	a.V, a.Writer, a.Number, a.Clock = 1, "forger", uint64(len(w.board.ids)+1), 1000
	if a.Kind == "from the future" {
		a.V = 2
	}
	e, err := seal(&a, by)
	must(w.t, err)
	k, err := open(e)
	must(w.t, err)
	c := k.carry()
	w.board.ids, w.board.entries = append(w.board.ids, c.ID), append(w.board.entries, c.Text)
	return e.Hash()
}

// TestWithoutTheRootSecretNothingIsGained: who can only write to the ledger gives nobody
// rights: a key is not issued, no setting widened, no freeze of anybody else lifted, and
// what a gateway has of an act cannot be hidden behind a wrong seal. What is restricted
// so is not kept.
func TestWithoutTheRootSecretNothingIsGained(t *testing.T) {
	for name, forger := range map[string]Sealer{
		"another root secret": sealer{"OTHER"}, "no seal": Nobody{}, "the generation without its secret": stolen{},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2, func() string { return mustTemp(t) })
			b := w.books[0]
			past := w.now.Add(-time.Hour)
			w.do(0, issue("A"), Act{Kind: Freeze, Key: "A"}, Act{Kind: Change, Key: "B", Settings: &Settings{Expires: &past}},
				Act{Kind: Freeze, Tenant: "acme"}, Act{Kind: Revoke, Key: "C"})
			frozen := b.State().Keys["A"].Frozen
			w.put(issue("NEW"), forger)
			w.put(issue("C"), forger)
			w.put(Act{Kind: Change, Key: "B", Settings: &Settings{}}, forger)
			w.put(Act{Kind: Thaw, Key: "A", Lifts: frozen}, forger)
			w.put(Act{Kind: Thaw, Tenant: "acme", Lifts: b.State().Freezes("acme")}, forger)
			own := w.put(Act{Kind: Freeze, Key: "D"}, forger) // it may take away,
			w.put(Act{Kind: Freeze, Key: "E"}, forger)
			w.put(Act{Kind: Thaw, Key: "D", Lifts: []string{own}}, forger) // and give back what it took
			w.put(Act{Kind: "from the future", Key: "F"}, forger)
			w.settle()
			for i, b := range w.books {
				s := b.State()
				if s.Keys["NEW"] != nil && s.Keys["NEW"].Tenant != "" || s.Keys["B"].Expires == nil || !s.Keys["C"].Revoked ||
					!slices.Equal(s.Keys["A"].Frozen, frozen) || !s.Frozen("acme/app") || len(s.Keys["D"].Frozen) > 0 ||
					len(s.Keys["E"].Frozen) != 1 || s.Keys["F"] != nil {
					t.Errorf("gateway %d: %+v", i, s.Keys)
				}
				if b.Trouble() == nil || !strings.Contains(b.Trouble().Error(), "not sealed") {
					t.Errorf("gateway %d says %v", i, b.Trouble())
				}
				text, err := os.ReadFile(filepath.Join(w.dirs[i], FileName))
				if err != nil || strings.Contains(string(text), "forger") {
					t.Errorf("gateway %d keeps forgeries: %v", i, err)
				}
			}
			w.board.flush()
			if s := w.start(0).State(); s.Keys["E"] != nil {
				t.Error("a forged freeze outlives the ledger's clearing and a restart")
			}
		})
	}
}

// stolen names the generation of the gateways' root secret and does not have it.
type stolen struct{ Nobody }

func (stolen) Seal([]byte) string { return "ROOT:00" }

// TestASealThatWasSpoiled: an act that somebody put on the board with a spoiled seal, after
// the board lost it, is put there again by who has it.
func TestASealThatWasSpoiled(t *testing.T) {
	w := newWorld(t, 1, func() string { return mustTemp(t) })
	w.do(0, issue("A"), Act{Kind: Change, Key: "A", Settings: &Settings{Name: "n"}})
	w.settle()
	w.board.flush()
	for _, k := range w.books[0].sorted {
		spoiled := &known{Entry: Entry{k.Entry.Act, "ROOT:00"}}
		c := spoiled.carry()
		w.board.ids, w.board.entries = append(w.board.ids, c.ID), append(w.board.entries, c.Text)
	}
	w.settle()
	w.dirs, w.books = append(w.dirs, mustTemp(t)), append(w.books, nil)
	w.start(1)
	w.settle()
	if k := w.books[1].State().Keys["A"]; k == nil || k.Name != "n" {
		t.Errorf("a new gateway knows %+v", k)
	}
}

// TestCutLines: what a crash, or somebody's editor, leaves in the file hides no other line.
func TestCutLines(t *testing.T) {
	w := newWorld(t, 1, func() string { return mustTemp(t) })
	w.do(0, issue("A"))
	path := filepath.Join(w.dirs[0], FileName)
	whole, err := os.ReadFile(path)
	must(t, err)
	for name, rest := range map[string]string{
		"half a line": string(whole[:len(whole)/2]), "empty line": "\n", "no JSON": "rubbish\n", "no act": "{}\n",
		"another object": `{"act":{"v":1},"seal":"x"}` + "\n", "zeros": "\x00\x00\x00",
		"a line of later programs": `{"act":{"v":9,"writer":"w","number":1,"key":"Z","kind":"x"},"seal":"O:1","more":1}` +
			"\n",
	} {
		must(t, os.WriteFile(path, append(slices.Clone(whole), rest...), 0o600))
		w.start(0)
		w.do(0, Act{Kind: Freeze, Key: "A"})
		if k := w.start(0).State().Keys["A"]; k == nil || k.Tenant != "acme" || len(k.Frozen) != 1 {
			t.Errorf("%s: %+v", name, k)
		}
	}
}

// TestBytesOfActsStay: an entry that was read and written again is the same, whatever a later
// program has put into it.
func TestBytesOfActsStay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.String().Draw(r, "name")
		text, err := json.Marshal(map[string]any{"v": 1, "writer": "w", "number": 1, "key": "k", "new": name})
		must(t, err)
		e := Entry{Act: text, Seal: "ROOT:0"}
		line := appendEntry(nil, &e)
		again, err := parseLine(line)
		if err != nil || again.Hash() != e.Hash() || string(appendEntry(nil, &again)) != string(line) {
			r.Fatalf("%s became %s: %v", line, appendEntry(nil, &again), err)
		}
	})
}

// TestOneAfterTheOther compares with a model of one line per act: each gateway knows of the
// act before, so they are in order, and the last word counts.
func TestOneAfterTheOther(t *testing.T) {
	type key struct {
		tenant, name    string
		frozen, revoked bool
	}
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, 2, func() string { return mustTemp(t) })
		want := map[string]key{}
		for range rapid.IntRange(1, 12).Draw(r, "acts") {
			id, i := rapid.SampledFrom([]string{"A", "B"}).Draw(r, "key"), rapid.IntRange(0, 1).Draw(r, "gateway")
			m := want[id]
			a := Act{Key: id, Kind: rapid.SampledFrom([]Kind{Issue, Change, Freeze, Thaw, Revoke}).Draw(r, "kind")}
			switch a.Kind {
			case Issue:
				a.Tenant, a.Settings = rapid.SampledFrom([]string{"acme", "other"}).Draw(r, "tenant"), &Settings{Name: "issued"}
				if m.tenant == "" {
					m.tenant = a.Tenant
					if m.name == "" {
						m.name = "issued"
					}
				}
			case Change:
				m.name = rapid.SampledFrom([]string{"x", "y"}).Draw(r, "name")
				a.Settings = &Settings{Name: m.name}
			case Freeze:
				m.frozen = true
			case Thaw:
				m.frozen = false
				if k := w.books[i].State().Keys[id]; k != nil {
					a.Lifts = k.Frozen
				}
			case Revoke:
				m.revoked = true
			}
			want[id] = m
			w.do(i, a)
			w.settle()
		}
		for i, b := range w.books {
			for id, m := range want {
				k := b.State().Keys[id]
				if k == nil {
					k = &Key{} // a thaw of nothing
				}
				if got := (key{k.Tenant, k.Name, len(k.Frozen) > 0, k.Revoked}); got != m {
					r.Fatalf("gateway %d has %s as %+v, want %+v", i, id, got, m)
				}
			}
		}
	})
}
