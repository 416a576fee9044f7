package test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/clients"
)

// ill is a server that answers in a way that the model's id names, and counts how
// often it is asked: a status, "broken" (the connection ends before an answer) or
// "silent" (no answer comes).
type ill struct {
	mu    sync.Mutex
	asked map[string]int // guarded by mu
}

var illTypes = map[int]string{
	400: "ValidationException", 403: "AccessDeniedException", 408: "ModelTimeoutException", 409: "ConflictException",
	424: "ModelErrorException", 429: "ThrottlingException", 500: "InternalServerException",
	502: "InternalServerException", 503: "ServiceUnavailableException", 504: "InternalServerException",
}

// ServeHTTP answers /model/CASE/….
func (i *ill) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	name := strings.Split(r.URL.Path, "/")[2]
	i.mu.Lock()
	i.asked[name]++
	i.mu.Unlock()
	kind, header, _ := strings.Cut(name, "-")
	switch kind {
	case "broken":
		panic(http.ErrAbortHandler)
	case "silent":
		<-r.Context().Done()
		return
	}
	status, _ := strconv.Atoi(kind)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("x-amzn-ErrorType", illTypes[status])
	if header == "final" {
		w.Header().Set("x-should-retry", "false")
	}
	w.WriteHeader(status)
	io.WriteString(w, `{"message":"scripted"}`)
}

// illCases are the ways, in the order of the table in docs/clients.md.
var illCases = []string{
	"400", "403", "408", "408-final", "409", "424", "424-final", "429", "500", "500-final", "502", "503", "504", "broken",
	"silent",
}

// repeated is how often each client asks, by its defaults, in the order of illCases.
// docs/clients.md has it.
var repeated = map[string][]int{
	//                   400 403 408  f 409 424  f 429 500  f 502 503 504 broken silent
	"boto3":            {1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 5, 5},
	"boto3-standard":   {1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3},
	"anthropic-python": {1, 1, 3, 1, 3, 1, 1, 3, 3, 1, 3, 3, 3, 3, 3},
	"aws-js":           {1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 1, 3},
	"anthropic-js":     {1, 1, 3, 1, 3, 1, 1, 3, 3, 1, 3, 3, 3, 3, 3},
	"vercel":           {1, 1, 3, 3, 3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 1},
	"java":             {1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3},
}

// TestClientsRepeat measures by unmodified clients which answers they repeat by
// themselves (U1). What the gateway answers where something may be billed, 424 with
// x-should-retry: false, must be repeated by none. make test-clients measures all; the
// pauses between their attempts take a minute.
func TestClientsRepeat(t *testing.T) {
	l := theLane(t)
	py := func(client, kind string) []string {
		return []string{l.python(client), filepath.Join(l.root, "test/clients/python/repeats.py"), kind}
	}
	js := func(kind string) []string { return []string{l.node(), filepath.Join(l.js(), "repeats.mjs"), kind} }
	commands := map[string][]string{
		"boto3": py("boto3", "boto3"), "boto3-standard": py("boto3", "boto3-standard"),
		"anthropic-python": py("anthropic", "anthropic"), "aws-js": js("aws"), "anthropic-js": js("anthropic"),
		"vercel": js("vercel"),
	}
	if java := l.java("", ""); java != nil {
		commands["java"] = append(java[:len(java)-2], filepath.Join(l.root, "test/clients/java/src/main/java/Repeats.java"))
	}
	for name, command := range commands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Getenv("SLUICE_REPEATS") == "" {
				if got := askIll(t, command, []string{"400", "424", "424-final"}, "60"); !slices.Equal(got, []int{1, 1, 1}) {
					t.Errorf("asked %v: what may be billed is sent again", got)
				}
				return
			}
			last := len(illCases) - 1 // what is never answered needs a time-out, which must not end the others
			got := append(askIll(t, command, illCases[:last], "60"), askIll(t, command, illCases[last:], "2")...)
			want := repeated[name]
			if name == "boto3" && l.newest != "" { // from 1.44 on, standard is its default
				want = repeated["boto3-standard"]
			}
			if !slices.Equal(got, want) {
				t.Errorf("asked %v, want %v, of %v", got, want, illCases)
			}
			if final := got[slices.Index(illCases, "424-final")]; final != 1 {
				t.Errorf("what may be billed is sent %d times", final)
			}
		})
	}
}

// askIll runs a client against an ill server and returns how often it asked in each
// case.
func askIll(t *testing.T, command, cases []string, timeout string) []int {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skip("SKIPPED: not installed: ", command[0])
	}
	server := &ill{asked: map[string]int{}}
	s := httptest.NewUnstartedServer(server)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	if filepath.IsAbs(command[1]) {
		cmd.Dir = filepath.Dir(command[1])
	}
	cmd.Env = clients.Env(s.URL, "CASES="+strings.Join(cases, ","), "READ_TIMEOUT="+timeout, "AWS_ACCESS_KEY_ID=AKID",
		"AWS_SECRET_ACCESS_KEY=secret")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	var asked []int
	for _, name := range cases {
		asked = append(asked, server.asked[name])
	}
	return asked
}
