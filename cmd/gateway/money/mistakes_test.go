package money

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

// tree is all that is below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestBadInput: each wrong word, file and period is refused as the caller's, with a text that names it. Nothing is
// printed to standard output, and nothing written.
func TestBadInput(t *testing.T) {
	u := use(t, "")
	u.stop()
	now := time.Now().UTC()
	last := now.AddDate(0, 0, -now.Day()).Format("2006-01")
	file := func(name, text string) string { return harness.File(t, name, text) }
	const head = "line_item_product_code,line_item_usage_type,line_item_line_item_type,pricing_unit," +
		"line_item_usage_amount,line_item_unblended_cost,line_item_usage_start_date\n"
	line := func(unit, amount, usd, start string) string {
		return "AmazonBedrock,USE1-NovaPro-input-tokens,Usage," + unit + "," + amount + "," + usd + "," + start + "\n"
	}
	before := tree(t, u.gw.Dir)
	for _, m := range []struct{ command, want string }{
		{"report --by nobody", `"nobody"`},
		{"report --by tenant,tenant", "named twice"},
		{"report --by tag:", `"tag:"`},
		{"report --columns requests,cots", `"cots"`},
		{"report --columns requests,requests", "shown twice"},
		{"report --format parquet --columns nothing", `"nothing"`},
		{"report --format xlsx", `"xlsx"`},
		{"report --format focus-2.0", `"2.0"`},
		{"report --from 2026-02-30", "2026-02-30"},
		{"report --from 2026-11-05 --to 2026-11-05", "is not before"},
		{"report --to 1999-01-01T00:00:00.5Z", "1999-01-01"},
		{"report savings --format html", `"html"`},
		{"report savings --from soon", `"soon"`},
		{"report --tenant acme extra", "extra"},
		{"budgets --format yaml", `"yaml"`},
		{"commitments --format pdf", `"pdf"`},
		{"commitments", "commitments: [{usd, from, to}]"},
		{"close 2026-13", "2026-13"},
		{"close 26-11", "26-11"},
		{"close " + now.Format("2006-01"), "can be closed"},
		{"close 2999-01", "2999-01"},
		{"close " + last + " --root nobody", "nobody"},
		{"close " + last + " --root acme/support", "acme/support"},
		{"close " + last + " --accept", "--reason"},
		{"close " + last + " --shared nowhere.csv", "nowhere.csv"},
		{"close " + last + " --tolerance much", `"much"`},
		{"close " + last + " --tolerance -1", `"-1"`},
		{"close " + last + " --shared " + file("a.csv", ""), "a.csv"},
		{"close " + last + " --shared " + file("b.csv", "name,usd,by\nrent,much,requests\n"), `"much"`},
		{"close " + last + " --shared " + file("c.csv", "name,usd,by\nrent,5,moon\n"), `"moon"`},
		{"close " + last + " --shared " + file("d.csv", "name,usd\nrent,5\n"), "by"},
		{"close " + last + " --shared " + file("e.csv", "name,usd,by\n\"rent,5,requests\n"), "e.csv"},
		{"reconcile cur " + file("empty.csv", ""), "empty.csv"},
		{"reconcile cur " + file("words.csv", "once,upon\na,time\n"), "neither"},
		{"reconcile cur " + file("none.csv", head), "no line of Amazon Bedrock"},
		{"reconcile cur " + file("broken.parquet", "PAR1 and no more"), "broken.parquet"},
		{"reconcile cur " + file("cut.parquet", "PAR1\x00\x00\x00\x00\xff\xff\xff\xffPAR1"), "cut.parquet"},
		{"reconcile cur " + file("cut.csv.gz", "\x1f\x8b\x08\x00"), "cut.csv.gz"},
		{"reconcile cur " + file("unit.csv", head+line("Bananas", "1", "1", "2026-11-01")), "Bananas"},
		{"reconcile cur " + file("mixed.csv", head+line("1K tokens", "1", "1", "2026-11-01")+
			line("1M tokens", "1", "1", "2026-11-02")), "in units of"},
		{"reconcile cur " + file("amount.csv", head+line("1K tokens", "-1", "1", "2026-11-01")), `"-1"`},
		{"reconcile cur " + file("usd.csv", head+line("1K tokens", "1", "one", "2026-11-01")), `"one"`},
		{"reconcile cur " + file("time.csv", head+line("1K tokens", "1", "1", "never")), `"never"`},
		{"reconcile cur " + file("months.csv", head+line("1K tokens", "1", "1", "2026-11-01")+
			line("1K tokens", "1", "1", "2026-10-31")), "2026-10"},
		{"reconcile cur --month 2026-10 " + file("month.csv", head+line("1K tokens", "1", "1", "2026-11-01")), "2026-10"},
		{"reconcile cur --month november " + file("m.csv", head+line("1K tokens", "1", "1", "2026-11-01")), "november"},
		{"reconcile cur nowhere.csv", "nowhere.csv"},
		{"reconcile cur", "reconcile cur --config FILE BILL"},
		{"reconcile invocation-log", "reconcile invocation-log --config FILE LOG"},
		{"reconcile invocation-log nowhere.json", "nowhere.json"},
		{"reconcile invocation-log " + file("empty.json", ""), "no call"},
		{"reconcile invocation-log " + file("other.json", "{}\n"), "not a line"},
		{"reconcile invocation-log --from then " + file("then.json", "{}\n"), `"then"`},
		{"adjust --tenant nobody --model x --usd 1 --id i --reason r", "nobody"},
		{"adjust --tenant acme --model x --usd a --id i --reason r", "a"},
		{"adjust --tenant acme --model x --id i --reason r --set tokens=1", "tokens"},
		{"adjust --tenant acme --model x --id i --reason r --set input_tokens=1.5", "1.5"},
		{"adjust --tenant acme --model x --usd 1 --id i --reason r --at noon", "noon"},
		{"resolve --input 3", "--input"},
		{"resolve --invocation-log nowhere.json", "nowhere.json"},
		{"prices show nothing", "nothing"},
	} {
		t.Run(m.command, func(t *testing.T) {
			words := strings.Fields(m.command)
			out, err := harness.Execute(t, Commands(), append(words, "--config", u.gw.ConfigFile())...)
			switch {
			case err == nil || !strings.Contains(err.Error(), m.want):
				t.Errorf("it says %v, without %q", err, m.want)
			case !errors.As(err, new(command.InvalidError)):
				t.Errorf("it is not the caller's: %v", err)
			case strings.Contains(err.Error(), "panic") || strings.Count(err.Error(), "\n") > 12:
				t.Error(err)
			}
			if out != "" {
				t.Errorf("it prints %q", out)
			}
			if after := tree(t, u.gw.Dir); !maps.Equal(before, after) {
				t.Errorf("it writes: %v before, %v now", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}
