package views

import (
	"bytes"
	"testing"
)

// Names of models and users are chosen by callers: a spreadsheet that opens the file must not run them.
func TestNoTextIsAFormula(t *testing.T) {
	table := Table{Columns: []Column{{Name: "model", Kind: Text}, {Name: "usd", Kind: Money}}}
	for _, name := range []string{"=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", "plain", ""} {
		table.Add(name, "-0.5")
	}
	var out bytes.Buffer
	if err := table.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	const want = "model,usd\n'=1+1,-0.5\n'+1,-0.5\n'-1,-0.5\n" +
		"'@sum(a1),-0.5\n'\t=1,-0.5\n\"'\r=1\",-0.5\nplain,-0.5\n,-0.5\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}
