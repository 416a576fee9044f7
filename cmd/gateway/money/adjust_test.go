package money

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestInputsOfAdjust: M23, walks every flag of adjust and every column of --set with what it takes ("") and what it
// refuses, forced or not. What is refused without --force alone is in audit's TestDoubts.
func TestInputsOfAdjust(t *testing.T) {
	names := map[string]string{"x": "", "a.b:c/d_e+f@g-1": ""}
	for _, bad := range []string{strings.Repeat("x", 201), "=cmd|x", "+1", "-1", "@x", "a b", "a\tb",
		"ü", "a\u202eb", "a\x00",
		"\xff", `a"`} {
		names[bad] = "cannot be"
	}
	counts := map[string]string{"-1": "", "7": "", "9000000000000000": "", "9000000000000001": "out of range",
		"9223372036854775808": "out of range", "1.5": "whole", "NaN": "whole", "1e3": "whole", "0x10": "whole",
		"-0": "nothing to adjust", "": "whole"}
	dollars := map[string]string{"-0.000000000001": "", "9000000": "", "9000000.000000001": "out of range",
		"1e3": "decimal",
		"NaN": "decimal", "Inf": "decimal", "-0.0": "nothing to adjust", "0.0000000000001": "more than 12 decimals",
		"92233720368547758070": "out of range", "1,5": "decimal", "+1": "decimal", "$1": "decimal",
		"٣": "decimal", "--1": "decimal",
		"": "decimal"}
	inputs := map[string]map[string]string{
		"id": with(names, "", "", "rerate-x-out", "those of `gateway prices rerate`"), "refers-to": with(names, "", ""),
		"tenant": {"acme": "", "acme/a": "", "": "needed", "=cmd|x": "cannot be", "acme//a": "cannot be",
			"a b": "cannot be",
			"ü":   "cannot be", "a\u200b": "cannot be"},
		"model": {"m": "", "us.meta.m-v1:0": "", "": "needed", "=m": "cannot be", "m\n": "cannot be",
			strings.Repeat("m", 257): "cannot be", "m\u202e": "cannot be"},
		"input":  without(counts, "1.5", "NaN", "1e3", "0x10", "", "9223372036854775808"),
		"output": without(counts, "1.5", "NaN", "1e3", "0x10", "", "9223372036854775808"), // pflag refuses these
		"usd":    dollars,
		"set": {"queries=1": "", "nonsense=1": "is not COLUMN=VALUE", "queries": "is not COLUMN=VALUE",
			"":        "is not COLUMN=VALUE",
			"held=1m": "is not COLUMN=VALUE", "late_usd=1": "is not COLUMN=VALUE", "tenant=other": "given twice",
			"model=other": "given twice"},
		"at": {"": "", "2026-11-01T00:00:00+05:30": "", "2026-10-31T23:59:59.999999999Z": "", "1970-01-01T00:00:00Z": "",
			"0001-01-01T00:00:00Z": "year 1", "1969-12-31T23:59:59Z": "year 1969", "1970-01-01T00:00:00+01:00": "year 1969",
			"9999-12-31T23:59:59-01:00": "year 10000", "2026-02-30T00:00:00Z": "at:", "2026-11-01": "at:", "noon": "at:",
			"2026-11-01T24:00:00Z": "at:"},
		"reason": {"Müllers Gutschrift 7": "", "=1+1": "", "": "needed", " \t": "needed", "a\nb": "control",
			"a\u202eb": "control",
			"a\u2028b": "control", "a\u200bb": "control", "\xff": "control", strings.Repeat("x", 1001): "control"},
		"force": {"true": ""},
	}
	var all pflag.FlagSet
	(&adjustFlags{}).add(&all, &audit.Order{})
	all.VisitAll(func(flag *pflag.Flag) {
		if inputs[flag.Name] == nil {
			t.Errorf("nothing is known of --%s", flag.Name)
		}
		for value, want := range inputs[flag.Name] {
			checkInput(t, want, flag.Name, value)
		}
	})
	for _, column := range record.Columns() {
		values := names
		switch {
		case column == "tenant" || column == "model":
			continue
		case strings.HasSuffix(column, "_usd"):
			values = dollars
		case !isPart(column):
			values = counts
		}
		for value, want := range values {
			checkInput(t, want, "set", column+"="+value)
		}
	}
	checkInput(t, "given twice", "set", "queries=1", "set", "queries=2")
	checkInput(t, "given twice", "input", "1", "set", "input_tokens=2")
	checkInput(t, "given twice", "usd", "1", "set", "input_usd=2")
	checkInput(t, "sum of the costs", "usd", "9000000", "set", "output_usd=9000000")
	checkInput(t, "", "usd", "9000000", "set", "output_usd=-9000000")
}

func isPart(column string) bool {
	var key record.RowKey
	var add record.Counters
	_ = record.SetColumn(&key, &add, column+"=7")
	return add == (record.Counters{})
}

// checkInput gives a correction that is right these flags, and wants it refused with a text, or taken.
func checkInput(t *testing.T, want string, flags ...string) {
	t.Helper()
	all, o, f := pflag.NewFlagSet("adjust", pflag.ContinueOnError), audit.Order{Force: true}, adjustFlags{}
	all.SetOutput(io.Discard)
	f.add(all, &o)
	args := []string{"--tenant=acme", "--model=m", "--reason=r"}
	for i := 0; i < len(flags); i += 2 {
		args = append(args, "--"+flags[i]+"="+flags[i+1])
	}
	if !changes(flags) {
		args = append(args, "--output=1")
	}
	err := all.Parse(args)
	if err == nil {
		err = f.complete(&o)
	}
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%q: %v, want %q", flags, err, want)
	}
}

// changes reports whether flags change an amount.
func changes(flags []string) bool {
	switch flags[0] {
	case "input", "output", "usd":
		return true
	case "set":
		column, _, _ := strings.Cut(flags[1], "=")
		return column != "" && !isPart(column)
	}
	return false
}

func with(values map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for value, want := range values {
		all[value] = want
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func without(values map[string]string, some ...string) map[string]string {
	all := with(values)
	for _, value := range some {
		delete(all, value)
	}
	return all
}
