//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/report"
)

// write prints the report and writes it as results.md, .json and .svg: those of
// a full run into the folder of the repository, others into bin/bench.
func (b *bench) write(w io.Writer) error {
	r := &report.Report{
		Commit: b.commit, Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(),
		Load: b.load, Rounds: b.rounds, Seconds: b.lasting.Seconds(), Partial: b.quick || b.rows.String() != "",
	}
	r.Fill(b.found, b.missing)
	if err := r.Markdown(w); err != nil {
		return err
	}
	folder := b.out
	if r.Partial {
		folder = filepath.Join("bin", "bench")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	files := map[string]func(io.Writer) error{"results.md": r.Markdown, "results.json": r.JSON, "results.svg": r.SVG}
	for name, render := range files {
		if err := writeFile(filepath.Join(folder, name), render); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "\nwritten to %s\n", filepath.Join(folder, "results.{md,json,svg}"))
	return nil
}

func writeFile(name string, render func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := render(f); err != nil {
		f.Close() // the first error counts
		return err
	}
	return f.Close()
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine names the processor, as far as it tells.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	if strings.Contains(string(text), " sha_ni ") {
		model += " with SHA instructions"
	}
	return fmt.Sprintf("%d × %s", runtime.NumCPU(), model)
}
