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
	*harness.Gateway
	t     *testing.T
	pprof string // host:port
}

// start starts a gateway that can be looked into.
func start(t *testing.T, yaml string) (*harness.Gateway, *process) {
	t.Helper()
	pprof := harness.FreeAddr(t)
	g := harness.Start(t, harness.Config{YAML: yaml, Args: []string{"--pprof", pprof}})
	return g, &process{g, t, pprof}
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
func (p *process) memory() int { return int(p.Size("VmRSS") >> 20) }

// processor is how much of a processor it has used since its start.
func (p *process) processor() time.Duration { return processor(p.t, p.Pid()) }

func processor(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, stat, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(stat)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the unit of the system's clock
}

// files is how many descriptors it has open.
func (p *process) files() int {
	p.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(all)
}
