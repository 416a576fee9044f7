package test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
	"github.com/sluice-gateway/sluice/test/journalsum"
)

// figure is a cell of a report: a column of the row of somebody, grouped by a column.
type figure struct{ by, row, column string }

// figures are cells as one place shows them.
type figures map[figure]string

// pageColumns are those that a report and a view of the page both have.
func pageColumns() []string {
	return []string{"requests", "input_tokens", "output_tokens", "cost_usd", "unpriced", "unknown"}
}

// line takes in a row of a CSV or table.
func (f figures) line(by string, names, cells []string) {
	for i, cell := range cells {
		f[figure{by, cells[slices.Index(names, by)], names[i]}] = cell
	}
}

// object takes in a row of JSON. What has no price is "" or null there.
func (f figures) object(t *testing.T, by string, text json.RawMessage) {
	t.Helper()
	var row map[string]any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&row); err != nil {
		t.Fatal(err)
	}
	for name, value := range row {
		if f[figure{by, fmt.Sprint(row[by]), name}] = fmt.Sprint(value); value == nil {
			f[figure{by, fmt.Sprint(row[by]), name}] = ""
		}
	}
}

// commanded are the cells of gateway report.
func commanded(t *testing.T, g *harness.Gateway, by, format string) figures {
	t.Helper()
	args := []string{"report", "--config", g.ConfigFile(), "--by", by, "--format", format}
	if format == "table" {
		args = append(args, "--columns", strings.Join(pageColumns(), ","))
	}
	out, all := harness.Run(t, 0, nil, args...), figures{}
	switch format {
	case "json":
		var rows []json.RawMessage
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			all.object(t, by, row)
		}
	case "csv":
		lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines[1:] {
			for i := range line {
				line[i] = strings.TrimPrefix(line[i], "'") // it makes text of a formula
			}
			all.line(by, lines[0], line)
		}
	case "table":
		rows, _, _ := strings.Cut(out, "\n\n")
		lines := strings.Split(rows, "\n")
		for _, line := range lines[1:] {
			all.line(by, strings.Fields(lines[0]), strings.Fields(strings.Replace(line, "unpriced", `""`, 1)))
		}
		for at, text := range all {
			if text == `""` {
				all[at] = ""
			}
		}
	}
	return all
}

// asked are the cells of the API, page after page.
func asked(t *testing.T, g *harness.Gateway, by string) figures {
	t.Helper()
	all := figures{}
	for cursor := ""; ; {
		var page struct {
			Rows []json.RawMessage
			Next string
		}
		path := "/api/v1/report?limit=70&by=" + by + cursor
		if status, text := g.API("GET", path, "", &page); status != 200 {
			t.Fatal(status, text)
		}
		for _, row := range page.Rows {
			all.object(t, by, row)
		}
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + page.Next
	}
}

var (
	pageRow   = regexp.MustCompile(`<tr>.*?</tr>`)
	pageCell  = regexp.MustCompile(`<t[hd][^>]*>(.*?)</t[hd]>`)
	pageExact = regexp.MustCompile(`<data value="([^"]*)" title="([^"]*)"`)
	pageTag   = regexp.MustCompile(`<[^>]*>`)
)

// paged are the cells of the page: of what it rounds, the exact figure that it has beside that.
func paged(t *testing.T, g *harness.Gateway, by string) figures {
	t.Helper()
	status, text := g.API("GET", "/spend?by="+by, "", nil)
	if status != 200 {
		t.Fatal(status, text)
	}
	_, text, _ = strings.Cut(text, "In this period, by "+by)
	columns := []string{
		by, "requests", "input_tokens", "output_tokens", "cost_usd", "share", "per", "unpriced", "unknown", "budget",
		"forecast", "runs_out",
	}
	all := figures{}
	for _, row := range pageRow.FindAllString(text, -1) {
		var cells []string
		for _, cell := range pageCell.FindAllStringSubmatch(row, -1) {
			shows := html.UnescapeString(pageTag.ReplaceAllString(cell[1], ""))
			if exact := pageExact.FindStringSubmatch(cell[1]); exact != nil {
				if shows = exact[1]; exact[2] != "$"+exact[1] {
					t.Errorf("a cell is %s and says %s", exact[1], exact[2])
				}
			}
			cells = append(cells, strings.NewReplacer(",", "", "–", "", "−", "-").Replace(shows))
		}
		if len(cells) == len(columns) && cells[0] != by {
			all.line(by, columns, cells)
		}
	}
	return all
}

// sameParted demands that API and command say the same of times that part hours, and of days that do.
func sameParted(t *testing.T, g *harness.Gateway, now time.Time) {
	t.Helper()
	type row struct {
		Day   string
		Legs  int64
		Input int64  `json:"input_tokens"`
		Cost  string `json:"cost_usd"`
	}
	from, to := now.Add(-50*time.Minute-7*time.Millisecond), now.Add(-9*time.Millisecond)
	for _, period := range [][2]string{
		{from.Format(time.RFC3339Nano), to.Format(time.RFC3339Nano)},
		{now.AddDate(0, 0, -3).Format(time.RFC3339Nano), to.Format(time.RFC3339Nano)},
	} {
		for _, zone := range []string{"UTC", "Europe/Berlin", "Asia/Kolkata"} {
			out := harness.Run(t, 0, nil, "report", "--config", g.ConfigFile(), "--by", "day", "--zone", zone,
				"--format", "json", "--from", period[0], "--to", period[1])
			var want []row
			if err := json.Unmarshal([]byte(out), &want); err != nil {
				t.Fatal(err)
			}
			var page struct{ Rows []row }
			query := url.Values{"by": {"day"}, "zone": {zone}, "from": {period[0]}, "to": {period[1]}}
			status, text := g.API("GET", "/api/v1/report?"+query.Encode(), "", &page)
			if status != 200 || !slices.Equal(page.Rows, want) {
				t.Errorf("M14: %v in %s: %d %s\nwant %v", period, zone, status, text, want)
			}
		}
	}
}

// TestCellsAreTheSame draws 500 cells: table, CSV, JSON, API and page show the same figure for
// each. Of all other cells, CSV, JSON and API do.
func TestCellsAreTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now().UTC()
	if err := journalsum.Write(t.Context(), filepath.Join(dir, "data/journal"), 3000, now); err != nil {
		t.Fatal(err)
	}
	g := harness.Start(t, harness.Config{Dir: dir, AdminToken: "t", YAML: "upstream: {region: us-east-1, endpoint: " +
		"sandbox}\ntenants: [{id: t000, cost_center: '=1+1'}, {id: t001, cost_center: \"100\"}]\n"})
	sameParted(t, g, now)
	places := map[string]figures{"csv": {}, "json": {}, "table": {}, "API": {}, "page": {}}
	for _, by := range []string{"tenant", "root", "cost_center"} {
		for _, format := range []string{"csv", "json", "table"} {
			maps.Copy(places[format], commanded(t, g, by, format))
		}
		maps.Copy(places["API"], asked(t, g, by))
		maps.Copy(places["page"], paged(t, g, by))
	}
	var drawn []figure
	for at, want := range places["json"] {
		for _, place := range []string{"csv", "API"} {
			if got, there := places[place][at]; !there || got != want {
				t.Errorf("%v is %q in %s and %q in JSON", at, got, place, want)
			}
		}
		if slices.Contains(pageColumns(), at.column) && at.row != "" {
			drawn = append(drawn, at)
		}
	}
	slices.SortFunc(drawn, func(a, b figure) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	random := rand.New(rand.NewPCG(5, 6))
	for n := range 500 {
		at := drawn[random.IntN(len(drawn))]
		want := places["json"][at]
		for place, all := range places {
			if got, there := all[at]; !there || got != want {
				t.Errorf("cell %d, %v, is %q in %s and %q in JSON", n, at, got, place, want)
			}
		}
	}
}
