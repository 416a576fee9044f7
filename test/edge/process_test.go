package edge

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// process is what a running gateway costs.
type process struct {
	t     *testing.T
	pid   int
	pprof string // host:port
}

// start starts a gateway that can be looked into.
func start(t *testing.T, yaml string) (*harness.Gateway, *process) {
	t.Helper()
	p := &process{t: t, pprof: harness.FreeAddr(t)}
	g := harness.Start(t, harness.Config{YAML: yaml, Args: []string{"--pprof", p.pprof}})
	p.pid = g.Pid()
	return g, p
}

// goroutines is how many the gateway has.
func (p *process) goroutines() (n int) {
	p.t.Helper()
	res, err := http.Get("http://" + p.pprof + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := fmt.Fscanf(res.Body, "goroutine profile: total %d", &n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// memory is how much the process holds, in megabytes.
func (p *process) memory() int {
	p.t.Helper()
	for line := range strings.Lines(p.read("status")) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n >> 10
		}
	}
	return 0
}

// processor is how much of a processor it has used since its start.
func (p *process) processor() time.Duration {
	p.t.Helper()
	_, stat, _ := strings.Cut(p.read("stat"), ") ")
	fields := strings.Fields(stat)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the unit of the system's clock
}

// files is how many descriptors it has open.
func (p *process) files() int {
	p.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(all)
}

func (p *process) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}
