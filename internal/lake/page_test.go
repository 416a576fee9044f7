package lake

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// onPage is the block of the page about the lake that follows a mark.
func onPage(t *testing.T, mark string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/lake.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "<!-- lake: "+mark+" -->\n```sql\n")
	block, _, end := strings.Cut(after, "\n```")
	if !ok || !end {
		t.Fatalf("there is no block %q", mark)
	}
	return block
}

// TestAthenaColumns: the tables of the page have the columns of the files, in name, order and
// type.
func TestAthenaColumns(t *testing.T) {
	f := func(mark string, schema *parquet.Schema) {
		t.Helper()
		var want []string
		for _, field := range schema.Fields() {
			want = append(want, field.Name()+" "+athena(t, field))
		}
		_, body, _ := strings.Cut(onPage(t, mark), "(\n")
		body, _, _ = strings.Cut(body, "\n)")
		got := strings.Split(regexp.MustCompile(`(?m)^ +|,$`).ReplaceAllString(body, ""), "\n")
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: the page has\n%s\nthe files\n%s", mark, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f("usage", parquet.SchemaOf(Usage{}))
	f("decisions", parquet.SchemaOf(Decided{}))
}

// athena is the type of a column as Athena calls it.
func athena(t *testing.T, f parquet.Field) string {
	t.Helper()
	switch typ := f.Type().String(); {
	case typ == "STRING":
		return "string"
	case strings.HasPrefix(typ, "TIMESTAMP"):
		return "timestamp"
	case strings.HasPrefix(typ, "DECIMAL"):
		return "decimal" + strings.TrimPrefix(typ, "DECIMAL")
	case strings.HasPrefix(typ, "INT(64"):
		return "bigint"
	case strings.HasPrefix(typ, "INT(32"):
		return "int"
	default:
		t.Fatalf("column %s has type %s", f.Name(), typ)
		return ""
	}
}

// python finds a Python that has a module; without one the test is left out.
func python(t *testing.T, module string) string {
	t.Helper()
	for _, p := range []string{os.Getenv("SLUICE_PYTHON"), "../../.tools/python/bin/python", "python3"} {
		if p != "" && exec.Command(p, "-c", "import "+module).Run() == nil {
			return p
		}
	}
	t.Skip("no Python with " + module + "; SLUICE_PYTHON names one")
	return ""
}

// TestDuckDB: an engine that is not ours reads the files, its sums are the ledger's to the
// pico-dollar, and all queries of the page run.
func TestDuckDB(t *testing.T) {
	python := python(t, "duckdb")
	b, dir := newBooks(t), t.TempDir()
	b.calls(500)
	left := 1 << 30
	if _, err := b.exporter(dir, &left, 0).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(string(b.dir), "..", "export.json"))
	e, err := Open(Options{
		Store: Folder(dir), State: filepath.Join(t.TempDir(), "x.json"), Decisions: someDecisions(), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.close()
	queries := onPage(t, "queries")
	if n := strings.Count(queries, ";"); n != 10 {
		t.Errorf("%d queries", n)
	}
	cmd := exec.Command(python, "testdata/query.py", dir)
	cmd.Stdin, cmd.Stderr = strings.NewReader(queries), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var sums map[string]struct {
		Requests, Input, Output int64
		Cost, Suspense          string
	}
	if err := json.Unmarshal(out, &sums); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := b.sums()
	if len(sums) != len(want) {
		t.Errorf("%d sums, want %d", len(sums), len(want))
	}
	for at, c := range want {
		s := sums[at]
		if s.Requests != c.Requests || s.Input != c.Input || s.Output != c.Output ||
			s.Cost != exact(c.CostInput+c.CostOutput) || s.Suspense != exact(c.Suspense) {
			t.Errorf("%s: %+v, want %+v", at, s, c)
		}
	}
}

// TestBucket: a server that speaks S3 takes the files, signed, under their names.
func TestBucket(t *testing.T) {
	python := python(t, "moto")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	endpoint := startMoto(t, python)
	create(t, endpoint+"/finops")
	to, err := OpenBucket(t.Context(), BucketOptions{
		To: "s3://finops/a/b", Region: "eu-central-1", Endpoint: endpoint, Calls: transport(), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := newBooks(t)
	b.calls(100)
	state := filepath.Join(t.TempDir(), "export.json")
	e, err := Open(Options{Store: to, State: state, Now: time.Now, Journals: []Source{{Name: "journal", Disk: b.dir}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.close()
	dir := t.TempDir()
	for name, body := range objects(t, endpoint, "finops") {
		if err := Folder(dir).Put(t.Context(), strings.TrimPrefix(name, "a/b/"), body); err != nil {
			t.Fatal(err)
		}
	}
	sameSums(t, stored(t, dir), b.sums())
	if err := to.Put(t.Context(), "usage/day=1/root=ä b+%/x.parquet", []byte("x")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"s3://", "s3:///x", "s3://a b/c", "gs://a"} {
		if _, err := OpenBucket(t.Context(), BucketOptions{To: bad, Region: "x", Calls: transport()}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
