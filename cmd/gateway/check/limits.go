package check

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/server"
)

// explainLimits prints each limit of the edge, its value and where that came from: a line
// of the file, a default, what the process may have, or the program itself.
func explainLimits(out io.Writer, cfg *config.Config, files uint64) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, value any, derived string) {
		from := derived
		if cfg.Written(name) {
			at := cfg.At(name)
			from = fmt.Sprintf("%s:%d", at.File, at.Line)
		}
		fmt.Fprintf(t, "%s\t%v\t%s\n", name, value, from)
	}
	l, open := &cfg.Limits, fmt.Sprintf("%d files may be open", files)
	fmt.Fprintln(t, "LIMIT\tVALUE\tFROM")
	row("limits.max_body_bytes", l.MaxBodyBytes, "default")
	row("limits.buffered_bytes", l.BufferedBytes, "default")
	row("memory of connections, requests, bodies and answers", bound(int(heap.Requests(heap.Limit("/")))),
		"the memory that the process may have")
	row("limits.max_connections", l.MaxConnections, "three quarters, at most 20000, as "+open)
	row("limits.max_unproven_connections", bound(l.MaxUnprovenConnections), "five sixths of max_connections")
	row("limits.max_connections_per_address", bound(l.MaxConnectionsPerAddress), "three quarters of max_connections")
	row("limits.max_queue_delay", l.MaxQueueDelay, "default")
	for _, d := range []struct {
		name string
		time.Duration
	}{
		{"request", cfg.Timeouts.Request}, {"first_byte", cfg.Timeouts.FirstByte}, {"idle", cfg.Timeouts.Idle},
		{"drain", cfg.Timeouts.Drain}, {"header", cfg.Timeouts.Header}, {"body", cfg.Timeouts.Body},
		{"keep_alive", cfg.Timeouts.KeepAlive}, {"write", cfg.Timeouts.Write},
	} {
		row("timeouts."+d.name, d.Duration, "default")
	}
	for _, fixed := range server.FixedLimits() {
		row(fixed.Name, fixed.Value, "fixed")
	}
	return t.Flush()
}

func bound(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
