package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func owned(text, owner string) string {
	return strings.Replace(text, `{"team":"x"`, fmt.Sprintf(`{"sluice-owner":%q`, owner), 1)
}

func priced(string) record.SKU { return record.SKU{Model: "light", Scope: "geo"} }

// TestEnterLostCalls: tagged calls of which no journal has a record are entered
// for their tenant, once, and only by whoever has all journals.
func TestEnterLostCalls(t *testing.T) {
	b := newBooks()
	dir, own := crashed(t, b, 0), t.TempDir()
	before := b.sum(t)
	c := corrections(t, own, b)
	const owner = "acme/team key direct"
	log := owned(line("r1", "01TESTLOSTA", 70, 30), owner) + owned(line("r1", "01TESTLOSTA", 70, 30), owner) +
		owned(line("r2", "01TESTLOSTB", 7, 3), "acme/team - light") +
		owned(line("known", start(1000, "acme").ID, 1000, 5), owner) +
		line("nobody", "01TESTLOSTC", 1, 1) + line("untagged", "", 1, 1) + line("aws-known", "", 1, 1) +
		owned(line("twice", "01TESTLOSTD", 1, 1), owner) + owned(line("twice more", "01TESTLOSTD", 1, 1), owner) +
		`{"schemaType":"ModelInvocationLog","timestamp":"2026-01-01T00:00:00Z","requestId":"e","operation":"Converse","modelId":"us.light",` +
		`"errorCode":"ThrottlingException","input":{},"output":{},"requestMetadata":{"sluice-record":"01TESTLOSTE"}}` + "\n"
	read := func(all string, want Resolved) {
		t.Helper()
		var out strings.Builder
		done, err := c.ResolveLog(LogReading{
			Files: []LogFile{{"log.json", strings.NewReader(log)}}, All: all == "all", SKU: priced, By: Signature{"ops", now},
			Journals: []Source{{"journal", journal.Dir(dir), false}, {"corrections", journal.Dir(own), true}},
		}, &out)
		if err != nil || done != want {
			t.Errorf("%+v, want %+v, %v\n%s", done, want, err, out.String())
		}
	}
	read("one of many", Resolved{Listed: 5, Untagged: 1})
	read("all", Resolved{Entered: 2, Listed: 3, Untagged: 1})
	read("all", Resolved{Listed: 3, Untagged: 1})
	shut(t, c)
	want := before
	want.Requests, want.Legs, want.Input, want.Output = want.Requests+1, want.Legs+2, want.Input+77, want.Output+33
	want.CostInput, want.CostOutput = want.CostInput+77*60_000, want.CostOutput+33*240_000
	if got := b.sum(t); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	wantClean(t, reading(b, dir, own))
}

// TestLostCallsAreNotOlderThanTheJournal: what a journal no longer has was not
// lost.
func TestLostCallsAreNotOlderThanTheJournal(t *testing.T) {
	b := newBooks()
	dir, own := gateway(t, b, 100), t.TempDir()
	files, err := filepath.Glob(filepath.Join(dir, "*1.seg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	known, err := meter.ReadRecords(journal.Dir(dir))
	if err != nil || known.Since != "" || len(known.IDs) != 100 {
		t.Fatalf("%+v %v", known, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	known, err = meter.ReadRecords(journal.Dir(dir))
	if err != nil || known.Since == "" || len(known.IDs) == 100 {
		t.Fatalf("%+v %v", known, err)
	}
	c := corrections(t, own, b)
	defer shut(t, c)
	var out strings.Builder
	done, err := c.ResolveLog(LogReading{
		Files:    []LogFile{{"log.json", strings.NewReader(owned(line("r", start(0, "acme").ID, 1, 1), "acme k direct"))}},
		Journals: []Source{{"journal", journal.Dir(dir), false}}, All: true, SKU: priced, By: Signature{"ops", now},
	}, &out)
	if err != nil || done != (Resolved{}) {
		t.Errorf("%+v %v\n%s", done, err, out.String())
	}
}
