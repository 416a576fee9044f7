// Package report holds what a run of the benchmarks found, compares it with
// what was promised, and writes it as a table, as JSON and as a drawing.
package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/stats"
)

// Measures of a row. All but Times are per request.
const (
	CPU     = "cpu_us"  // µs of the subject and its children
	Times   = "times"   // CPU as a multiple of the bare proxy's around it
	Rate    = "rps"     // requests per second
	Reads   = "reads"   // calls that read
	Writes  = "writes"  // calls that write
	Calls   = "calls"   // system calls of all kinds, by strace
	Allocs  = "allocs"  // allocations of the Go runtime
	Alloced = "bytes"   // bytes of them
	Journal = "journal" // bytes that the journal grew by
	// Of rows that are no load of requests.
	P50        = "p50_us"       // µs from the moment that a request was due; of pages, once they were shown
	First      = "first_us"     // µs of a page that is the first
	Added      = "added_p50_us" // µs of it over the bare proxy's around it
	P99        = "p99_us"       // as P50
	AddedP99   = "added_p99_us"
	KB         = "kb"           // KB of resident memory per stream
	Goroutines = "goroutines"   // per stream
	PerMessage = "cpu_us_msg"   // µs of CPU per message of a stream
	Idle       = "idle_mb"      // MB resident
	Saturated  = "saturated_mb" // MB resident, the most under load
	After      = "after_1m_mb"  // MB resident after large bodies
	StartCPU   = "start_cpu_s"  // seconds
	ReloadCPU  = "reload_cpu_s" // seconds
	Memory     = "memory_mb"    // MB resident
	Seconds    = "seconds"      // that a command takes
	// Of the ledger; its Rate is calls per second.
	RedisCPU   = "redis_us"    // µs of Redis per call
	RedisBytes = "redis_bytes" // that it keeps per root tenant
)

// Figures is everything that was measured: by row, by measure, by round.
type Figures map[string]map[string]stats.Series

// Add notes a figure.
func (f Figures) Add(row, measure string, round int, v float64) {
	if f[row] == nil {
		f[row] = map[string]stats.Series{}
	}
	if f[row][measure] == nil {
		f[row][measure] = stats.Series{}
	}
	f[row][measure][round] = v
}

// Summary condenses a measure of a row; its zero value where there is none.
func (f Figures) Summary(row, measure string) stats.Summary { return f[row][measure].Summary() }

// loads is the order in which the loads are shown: the second half of a row's
// name.
var loads = []string{
	"2k", "40k", "1m", "stream", "slow", "open", "memory", "tenants", "page", "capacity", "ledger", "records",
}

// Rows are the rows that have figures, by load and then by what they cost.
func (f Figures) Rows() []string {
	return slices.SortedFunc(maps.Keys(f), func(a, b string) int {
		_, loadA, _ := strings.Cut(a, "/")
		_, loadB, _ := strings.Cut(b, "/")
		return cmp.Or(
			cmp.Compare(slices.Index(loads, loadA), slices.Index(loads, loadB)),
			cmp.Compare(f.Summary(a, Times).Median, f.Summary(b, Times).Median),
			cmp.Compare(a, b))
	})
}
