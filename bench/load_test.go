//go:build linux

package main

import (
	"errors"
	"slices"
	"testing"
)

func TestParseWrk(t *testing.T) {
	f := func(out string, want int, wantErr error) {
		t.Helper()
		got, err := parseWrk(out)
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("%q: got %d, %v", out, got, err)
		}
	}
	f("Requests/sec: 1\nRESULT 4000 0 4\n", 4000, nil)
	f("RESULT 4000 0 5\n", 0, errRefused)
	f("RESULT 4000 4000 0\n", 0, errRefused)
	f("RESULT 0 0 0\n", 0, errRefused)
	if _, err := parseWrk("connection refused"); err == nil {
		t.Error("no error without a result")
	}
}

func TestParseH2load(t *testing.T) {
	out := "requests: 9 total, 9 started, 9 done\nstatus codes: 900 2xx, 0 3xx, 0 4xx, %s 5xx\n"
	if n, err := parseH2load("status codes: 900 2xx, 0 3xx, 0 4xx, 0 5xx\n"); n != 900 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := parseH2load("status codes: 900 2xx, 0 3xx, 0 4xx, 7 5xx\n"); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	if _, err := parseH2load(out); err == nil {
		t.Error("no error without a result")
	}
}

func TestParseStrace(t *testing.T) {
	f := func(text string, want int) {
		t.Helper()
		got, err := parseStrace(text)
		if got != want || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	}
	f("% time     seconds  usecs/call     calls    errors syscall\n"+
		" 60.00    0.100000          10     10000       200 read\n"+
		"100.00    0.166000          11     15000       200 total\n", 15000)
	f("100.00    0.166000                 15000           total\n", 15000)
	if _, err := parseStrace("strace: attach: Operation not permitted"); err == nil {
		t.Error("no error without a total")
	}
}

func TestBesideTakesTheYardstickAround(t *testing.T) {
	bare := 0.0
	var order []string
	var failed string
	all, err := beside([]string{"a", "broken", "b"}, func(name string) (sample, error) {
		order = append(order, name)
		if name == yardstick {
			bare++
			return sample{"x": bare}, nil
		}
		if name == "broken" {
			return nil, errRefused
		}
		return sample{"x": 10 * bare}, nil
	}, func(name string, _ error) { failed = name })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{yardstick, "a", yardstick, "broken", "b", yardstick}
	if !slices.Equal(order, want) || failed != "broken" || len(all) != 2 {
		t.Fatalf("taken in the order %v, %q failed", order, failed)
	}
	for i, want := range []struct{ x, bare float64 }{{10, 1.5}, {20, 2.5}} {
		if all[i].sample["x"] != want.x || all[i].bare["x"] != want.bare {
			t.Errorf("%d: got %+v", i, all[i])
		}
	}
}
