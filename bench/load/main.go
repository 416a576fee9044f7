//go:build linux

// Command load sends what wrk cannot: requests at a fixed rate whose latency
// counts from the moment they were due, and many slow streams at once. It prints
// one JSON object.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Result is what was seen. Times are microseconds.
type Result struct {
	Requests int     `json:"requests"` // that were answered with 200 to the end
	Failed   int     `json:"failed"`
	Messages int     `json:"messages"` // of streams
	P50      float64 `json:"p50_us"`   // until the first byte of the body
	P99      float64 `json:"p99_us"`
}

func main() {
	target := flag.String("url", "", "URL to POST to")
	file := flag.String("body", "", "file with the body")
	var headers multi
	flag.Var(&headers, "H", "header `NAME: VALUE`, repeatable")
	rate := flag.Int("rate", 0, "requests per second, without waiting for answers")
	lasting := flag.Duration("for", 3*time.Second, "how long to keep the rate")
	streams := flag.Int("streams", 0, "streams to open at once, instead of a rate")
	ramp := flag.Duration("ramp", 2*time.Second, "spread the start of the streams over this time")
	flag.Parse()
	u, err := url.Parse(*target)
	if err != nil {
		log.Fatal(err)
	}
	body, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	s := &seen{}
	request := assemble(u, headers, body)
	if *streams > 0 {
		openStreams(u.Host, request, *streams, *ramp, s)
	} else {
		openLoop(u.Host, request, *rate, *lasting, s)
	}
	json.NewEncoder(os.Stdout).Encode(s.result()) // stdout
}

type multi []string

func (m *multi) String() string { return strings.Join(*m, ", ") }

func (m *multi) Set(v string) error {
	*m = append(*m, v)
	return nil
}

func assemble(u *url.URL, headers []string, body []byte) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, len(body))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return append([]byte(b.String()+"\r\n"), body...)
}

// seen collects what all connections see.
type seen struct {
	mu       sync.Mutex // guards the following
	times    []time.Duration
	failed   int
	messages int
}

// add notes one answer: how long it took and how many messages it had.
func (s *seen) add(took time.Duration, messages int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages += messages
	if err != nil {
		if s.failed == 0 {
			log.Print(err)
		}
		s.failed++
		return
	}
	s.times = append(s.times, took)
}

func (s *seen) result() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.times)
	return Result{Requests: len(s.times), Failed: s.failed, Messages: s.messages, P50: s.at(0.5), P99: s.at(0.99)}
}

func (s *seen) at(share float64) float64 {
	if len(s.times) == 0 {
		return 0
	}
	return float64(s.times[int(share*float64(len(s.times)-1))]) / float64(time.Microsecond)
}
