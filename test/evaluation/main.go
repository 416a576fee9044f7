// Command evaluation replays recorded answers of real models through the built
// gateway and measures what its cascade saves and what quality that costs.
//
// It starts bin/gateway with cascades in mode check, and in its own process an
// upstream that serves the recorded answers with the recorded tokens. Models
// are renamed and ids shuffled, so that nothing can go by a name. OUT gets one
// JSON line per request; every figure but the certified ones follows from it
// and the recordings. Certificates are calibrated on TRAIN alone, offline.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

type flags struct{ data, train, out, report, bin string }

func main() {
	var f flags
	flag.StringVar(&f.data, "data", "", "`DIR` of prompts to send; default ../shared/cascade")
	flag.StringVar(&f.train, "train", "", "`DIR` to calibrate on; default that of -data")
	flag.StringVar(&f.out, "out", "evaluation.jsonl", "`FILE` for a line per request")
	flag.StringVar(&f.report, "report", "", "`FILE` for the report in Markdown")
	flag.StringVar(&f.bin, "bin", "bin/gateway", "the built gateway")
	flag.Parse()
	if f.data == "" {
		f.data = recorded.Dir()
	}
	if f.train == "" {
		f.train = f.data
	}
	for _, dir := range []string{f.data, f.train} {
		if found, _ := filepath.Glob(filepath.Join(dir, "*.jsonl")); len(found) == 0 {
			fmt.Fprintf(os.Stderr, "SKIPPED: NOTHING WAS EVALUATED: no recorded answers (*.jsonl) in %s\n", dir)
			return
		}
	}
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "evaluation:", err)
		os.Exit(1)
	}
}

func run(f flags) error {
	data, err := readAll(f.data)
	if err != nil {
		return err
	}
	train, err := readAll(f.train)
	if err != nil {
		return err
	}
	result, err := serve(f.bin, data)
	if err != nil {
		return err
	}
	if err := writeLines(f.out, result.lines); err != nil {
		return err
	}
	result.bars = bars(result, data, train)
	text := result.table()
	fmt.Print(text)
	if f.report == "" {
		return nil
	}
	return os.WriteFile(f.report, []byte(result.document()), 0o644)
}

// serve sends the prompts through the gateway.
func serve(bin string, data []recorded.Row) (*result, error) {
	rng := rand.New(rand.NewPCG(1, 1))
	ids := rename(rng)
	back := ids.recordedNames()
	upstream := newStandIn(data, back)
	server := httptest.NewServer(upstream)
	defer server.Close()
	dir, err := os.MkdirTemp("", "sluice-evaluation-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	g := &gateway{bin: bin, dir: dir}
	if err := g.start(ids, server.URL); err != nil {
		return nil, err
	}
	lines, err := g.replay(plan(data, rng), back)
	if stopped := g.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return nil, err
	}
	books, err := g.spent()
	if err != nil {
		return nil, err
	}
	return &result{lines: lines, books: books}, join(lines, upstream)
}
