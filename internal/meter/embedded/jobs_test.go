package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestJobs(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "jobs")
	open := func() *Jobs {
		t.Helper()
		j, err := OpenJobs(path, time.Now)
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
	if err := j.Own(ctx, "arn:1", "acme", time.Hour); err != nil {
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
	if err := again.Own(ctx, "arn:3", "other", time.Hour); err != nil {
		t.Fatal(err)
	}
	want(open(), "arn:3", "other")
	for _, one := range []struct{ arn, tenant, first string }{
		{"arn:3", "acme", "other"}, {"arn:4", "acme", "acme"}, {"arn:4", "other", "acme"},
	} {
		if first, err := again.OwnFirst(ctx, one.arn, one.tenant, time.Hour); first != one.first || err != nil {
			t.Errorf("%+v: %q %v", one, first, err)
		}
	}
	want(open(), "arn:4", "acme")
}

// TestJobsEnd: what is past its time is nobody's, in the process that wrote it and in the next one, and leaves the
// file, which does not grow with all that there ever was.
func TestJobsEnd(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "jobs")
	clock := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { return clock }
	j, err := OpenJobs(path, now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { j.Close() }()
	const day = 24 * time.Hour
	j.spare, j.sweep = 8, 8
	if err := j.Own(ctx, "job", "acme", 90*day); err != nil {
		t.Fatal(err)
	}
	for d := range 120 { // two responses each day
		for i := range 2 {
			if err := j.Own(ctx, fmt.Sprint("response/", d, ".", i), "acme", 30*day); err != nil {
				t.Fatal(err)
			}
		}
		clock = clock.Add(day)
		if d%40 == 13 {
			again, err := OpenJobs(path, now)
			if err != nil {
				t.Fatal(err)
			}
			j.Close()
			j, again.spare = again, 8
		}
		for back, want := range map[int]string{28: "acme", 29: "", 60: ""} {
			if got, _ := j.Owner(ctx, fmt.Sprint("response/", d-back, ".1")); got != want && d >= back {
				t.Fatalf("day %d: of %d days before: %q", d, back, got)
			}
		}
		if got, _ := j.Owner(ctx, "job"); (got == "acme") != (d < 89) {
			t.Fatalf("day %d: the job is of %q", d, got)
		}
		if n := len(j.owners); n > 2*2*30+30 {
			t.Fatalf("day %d: %d are remembered", d, n)
		}
	}
	if size, err := os.Stat(path); err != nil || size.Size() > 20_000 {
		t.Error(size.Size(), err)
	}
}

// TestJobsBounded: of too many, those that end first are forgotten. Lines of older versions have a time too.
func TestJobsBounded(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "jobs")
	clock := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	var all []*job
	for i := range mostJobs {
		all = append(all, &job{ARN: fmt.Sprint(i), Tenant: "a", Until: clock.Add(time.Hour + time.Duration(i)*time.Second)})
	}
	f, err := replaceLines(path, slices.Values(all))
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"ARN":"old","Tenant":"a"}` + "\n")
	f.Close()
	j, err := OpenJobs(path, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { j.Close() }()
	if err := j.Own(ctx, "new", "a", 9000*time.Hour); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"0": "", "15000": "", "25000": "a", "199999": "a", "new": "a", "old": "a"} {
		if got, _ := j.Owner(ctx, id); got != want {
			t.Errorf("%s is of %q, want %q", id, got, want)
		}
	}
	clock = clock.Add(91 * 24 * time.Hour)
	if got, _ := j.Owner(ctx, "old"); got != "" || len(j.owners) > mostJobs {
		t.Error(got, len(j.owners))
	}
}
