package embedded

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestJobs(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "jobs")
	open := func() *Jobs {
		t.Helper()
		j, err := OpenJobs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	want := func(j *Jobs, arn, tenant string) {
		t.Helper()
		if got, err := j.Owner(ctx, arn); got != tenant || err != nil {
			t.Errorf("owner of %s: %q %v, want %q", arn, got, err, tenant)
		}
	}
	j := open()
	want(j, "arn:1", "")
	if err := j.Own(ctx, "arn:1", "acme"); err != nil {
		t.Fatal(err)
	}
	want(j, "arn:1", "acme")

	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"ARN":"arn:2","Ten`) // a crash cut this entry
	f.Close()
	again := open()
	want(again, "arn:1", "acme")
	want(again, "arn:2", "")
	if err := again.Own(ctx, "arn:3", "other"); err != nil {
		t.Fatal(err)
	}
	want(open(), "arn:3", "other")
}
