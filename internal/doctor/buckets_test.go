package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// store lists what its places have.
type store map[string]string

func (s store) List(_ context.Context, begin string, yield func(string, time.Time) error) error {
	text, ok := s[begin]
	switch {
	case !ok:
		return errors.New("the bucket answers 403 Forbidden")
	case text == "":
		return nil
	}
	return yield(begin+text, time.Time{})
}

func TestPlaces(t *testing.T) {
	of := func(globs ...string) *config.Batch { return &config.Batch{Input: globs} }
	cfg := &config.Config{Tenants: []config.Tenant{
		{}, {Batch: of()}, {Batch: of("s3://acme/in/*", "s3://acme/one.jsonl", "s3://*/in/x", "*")},
		{Batch: of("s3://acme/in/*/day?.jsonl", "s3://whole")},
	}}
	want := []string{"s3://acme/in/", "s3://acme/one.jsonl", "s3://whole"}
	if got := Places(cfg); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBuckets(t *testing.T) {
	s := store{"s3://acme/in/": "a.jsonl", "s3://acme/empty/": ""}
	f := func(place string, state State, message string) {
		t.Helper()
		all := Buckets(t.Context(), []string{place}, func() (Lister, error) { return s, nil })
		if len(all) != 1 || all[0].State != state || !strings.Contains(all[0].Message, message) ||
			(state == OK) != (all[0].WayOut == "") || all[0].Subject != place {
			t.Errorf("%+v", all)
		}
	}
	f("s3://acme/in/", OK, "it may be listed")
	f("s3://acme/empty/", OK, "nothing is there yet")
	f("s3://other/", Fail, "403 Forbidden")
	closed := func() (Lister, error) { return nil, errors.New("the region of the bucket is not known") }
	all := Buckets(t.Context(), []string{"s3://a/"}, closed)
	if len(all) != 1 || all[0].State != Fail || all[0].WayOut == "" {
		t.Errorf("%+v", all)
	}
	if all = Buckets(t.Context(), nil, closed); all != nil {
		t.Errorf("%+v", all)
	}
}
