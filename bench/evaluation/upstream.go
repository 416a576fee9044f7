package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// call is a leg as the stand-in saw it.
type call struct {
	model   string // as recorded
	renamed string
	in, out int
}

// standIn answers with the recorded answer to the prompt, and its recorded
// tokens. It knows nothing of right or wrong.
type standIn struct {
	*httptest.Server

	models map[string]string // renamed to recorded
	script script

	mu    sync.Mutex
	calls map[string][]call // by tag
}

// tagHeader carries the shuffled id of a request. It is the one header of the
// caller's that the gateway hands on as it is.
const tagHeader = "X-Amzn-Trace-Id"

func startStandIn(s script, models map[string]string) *standIn {
	up := &standIn{models: models, script: s, calls: map[string][]call{}}
	up.Server = httptest.NewServer(up)
	return up
}

// ServeHTTP answers /model/ID/OPERATION.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	raw, err := io.ReadAll(r.Body)
	if err != nil || len(parts) != 3 {
		http.Error(w, `{"message":"the stand-in takes one text"}`, http.StatusBadRequest)
		return
	}
	id, _ := url.PathUnescape(parts[1])
	prompt, dialect, err := asked(raw)
	model := s.models[id]
	answer, known := s.script[prompt][model]
	if err != nil || !known {
		http.Error(w, `{"message":"nothing recorded"}`, http.StatusBadRequest)
		return
	}
	s.log(r.Header.Get(tagHeader), call{model, id, answer.in, answer.out})
	if streams(parts[2]) {
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		w.Write(answerFrames(parts[2], dialect, answer)) // a caller that left shows in what it did not get
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Bedrock-Input-Token-Count", strconv.Itoa(answer.in))
	w.Header().Set("X-Amzn-Bedrock-Output-Token-Count", strconv.Itoa(answer.out))
	w.Write(answerBody(parts[2], dialect, answer))
}

func (s *standIn) log(tag string, c call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[tag] = append(s.calls[tag], c)
}

// callsOf are the legs of a request.
func (s *standIn) callsOf(tag string) []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[tag]
}
