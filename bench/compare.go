//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/bench/report"
)

// comparing is a run that compares two gateways.
type comparing struct{ *bench }

// compareWith measures the gateway of a git ref and that of the working tree in
// turn, and prints what the second costs as a multiple of the first.
func (b comparing) compareWith(ctx context.Context, ref string, w io.Writer) (err error) {
	tree := filepath.Join(b.dir, "ref")
	if err := git(ctx, "worktree", "add", "--detach", tree, ref); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, git(context.WithoutCancel(ctx), "worktree", "remove", "--force", tree)) }()
	old := filepath.Join(b.dir, "old")
	if err := b.build(ctx, tree, old, "./cmd/gateway"); err != nil {
		return err
	}
	if err := b.compareGateways(ctx, filepath.Join(old, "gateway")); err != nil {
		return err
	}
	if err := b.comparison(ref).Markdown(w); err != nil || !b.micro {
		return err
	}
	return b.compareMicro(ctx, tree, w)
}

func git(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (b comparing) compareGateways(ctx context.Context, old string) error {
	for _, g := range groups() {
		for _, name := range g.subjects {
			s, ok := gateways(old)[name]
			row := name + "/" + g.load.name
			if !ok || !b.rows.MatchString(row) {
				continue
			}
			if err := b.compareRow(ctx, row, s, g.load); err != nil {
				return fmt.Errorf("%s: %w", row, err)
			}
		}
	}
	return nil
}

// compareRow measures one setting of both gateways, in turn. Who comes first
// changes with each round.
func (b comparing) compareRow(ctx context.Context, row string, s setting, l load) error {
	caller, _, _ := strings.Cut(row, "/")
	both := map[string]*running{}
	for version, binary := range map[string]string{"old": s.binary, "new": b.program("gateway")} {
		s.binary = binary
		r, err := b.startGateway(ctx, s)
		if err != nil {
			return err
		}
		defer r.Stop()
		if _, err := b.sample(ctx, r, l, caller); err != nil {
			return fmt.Errorf("%s: %w", version, err)
		}
		both[version] = r
	}
	versions := []string{"old", "new"}
	for round := range b.rounds {
		for _, version := range versions {
			s, err := b.sample(ctx, both[version], l, caller)
			if err != nil {
				return fmt.Errorf("%s: %w", version, err)
			}
			now, _, err := both[version].Resident()
			if err != nil {
				return err
			}
			s[report.Memory] = float64(now) / 1e6
			b.note(version+" "+row, round+1, s)
		}
		slices.Reverse(versions)
		before, after := b.found["old "+row][report.CPU][round+1], b.found["new "+row][report.CPU][round+1]
		log.Printf("%-16s round %2d  %.1f µs, was %.1f: %.3f  load %.1f", row, round+1,
			after, before, after/before, b.load[2])
	}
	return nil
}

func (b comparing) comparison(ref string) *report.Comparison {
	c := &report.Comparison{Old: ref, New: b.commit, Load: b.load}
	for _, name := range b.found.Rows() {
		if row, ok := strings.CutPrefix(name, "new "); ok {
			c.Add(row, b.found["old "+row], b.found[name])
		}
	}
	return c
}

// benchstat is pinned: it is no dependency of the module.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// compareMicro runs the benchmarks beside the code of both trees in turn and
// lets benchstat compare them.
func (b comparing) compareMicro(ctx context.Context, tree string, w io.Writer) error {
	trees := []struct{ name, root string }{{"old", tree}, {"new", "."}}
	files := map[string]*os.File{}
	for _, t := range trees {
		f, err := os.Create(filepath.Join(b.dir, t.name+".txt"))
		if err != nil {
			return err
		}
		defer f.Close()
		files[t.name] = f
	}
	packages, err := benchmarked(trees[0].root, trees[1].root)
	if err != nil {
		return err
	}
	for _, pkg := range packages {
		for range max(b.rounds, 6) { // benchstat tells nothing by fewer
			for _, t := range trees {
				log.Printf("benchmarks of %s, %s", pkg, t.name)
				out, err := b.micro1(ctx, t.root, pkg)
				if err != nil && len(out) == 0 || ctx.Err() != nil {
					return err
				}
				if err != nil { // its benchmarks ran: a check after them failed, as for goroutines
					log.Printf("%s, %s: %.200s", pkg, t.name, err)
				}
				if _, err := files[t.name].Write(out); err != nil {
					return err
				}
			}
			slices.Reverse(trees)
		}
	}
	cmd := exec.CommandContext(ctx, "go", "run", benchstat, "old="+files["old"].Name(), "new="+files["new"].Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("benchstat: %w\n%s", err, out)
	}
	_, err = fmt.Fprintf(w, "\n## Benchmarks beside the code\n\n```\n%s```\n", out)
	return err
}

// micro1 runs the benchmarks of a package once.
func (b comparing) micro1(ctx context.Context, root, pkg string) ([]byte, error) {
	binary := filepath.Join(b.dir, strings.ReplaceAll(filepath.Base(root)+"-"+pkg, "/", "-")+".test")
	if _, err := os.Stat(binary); err != nil {
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./"+pkg)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go test -c %s: %w\n%s", pkg, err, out)
		}
	}
	cmd := exec.CommandContext(ctx, binary,
		"-test.run", "^$", "-test.bench", ".", "-test.benchmem", "-test.benchtime", "200ms")
	cmd.Dir = filepath.Join(root, pkg)
	return proc.Output(cmd, b.subjectCPU)
}

// benchmarked lists the packages that have benchmarks in both trees.
func benchmarked(old, now string) ([]string, error) {
	var lists [2][]string
	for i, root := range []string{old, now} {
		cmd := exec.Command("git", "grep", "-l", "^func Benchmark", "--", "*_test.go")
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("git grep in %s: %w", root, err)
		}
		for _, file := range strings.Fields(string(out)) {
			lists[i] = append(lists[i], filepath.Dir(file))
		}
		slices.Sort(lists[i])
	}
	both := slices.DeleteFunc(slices.Compact(lists[1]), func(pkg string) bool {
		return !slices.Contains(lists[0], pkg)
	})
	return both, nil
}
