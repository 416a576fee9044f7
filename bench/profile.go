//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
)

// heap is what a gateway has allocated since its start; zero where it cannot
// tell.
type heap struct{ allocs, bytes int64 }

var (
	mallocs    = regexp.MustCompile(`(?m)^# Mallocs = (\d+)`)
	totalAlloc = regexp.MustCompile(`(?m)^# TotalAlloc = (\d+)`)
	goroutines = regexp.MustCompile(`^goroutine profile: total (\d+)`)
)

func (r *running) heap(ctx context.Context) heap {
	text := r.profile(ctx, "allocs")
	return heap{allocs: firstNumber(mallocs, text), bytes: firstNumber(totalAlloc, text)}
}

// goroutines is how many a gateway has, 0 where it cannot tell.
func (r *running) goroutines(ctx context.Context) int64 {
	return firstNumber(goroutines, r.profile(ctx, "goroutine"))
}

func (r *running) profile(ctx context.Context, name string) string {
	if r.pprof == "" {
		return ""
	}
	return fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/%s?debug=1", r.pprof, name))
}

// fetch returns what is at url, "" when nothing is to be had.
func fetch(ctx context.Context, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

func firstNumber(pattern *regexp.Regexp, text string) int64 {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}
