//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// bench is one run: what it needs to start subjects, and what it found.
type bench struct {
	options
	dir     string // temporary; holds the programs and all that they write
	bodies  map[string]string
	standIn string // address of the stand-in that answers at once
	slow    string // and of the one that spreads streams over ten seconds
	redis   string
	secrets *tenant.Secrets

	subjects  map[string]*running
	processes []*proc.Process
	found     report.Figures
	missing   map[string]string // rows that cannot be measured, and why
	load      [3]float64        // load average before, at most, now
}

// prepare builds the programs and starts what all rows share.
func prepare(ctx context.Context, o options) (*bench, error) {
	if runtime.NumCPU() <= max(o.subjectCPU, o.loadCPU) {
		return nil, fmt.Errorf("the subject needs processor %d and the load %d, there are %d", o.subjectCPU, o.loadCPU, runtime.NumCPU())
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, subjects: map[string]*running{}, found: report.Figures{}, missing: map[string]string{}}
	b.load[0] = proc.Load()
	if err := b.startShared(ctx); err != nil {
		b.close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return b, nil
}

func (b *bench) startShared(ctx context.Context) error {
	log.Print("building")
	if err := b.build(ctx, ".", b.dir, "./cmd/gateway", "./bench/standin", "./bench/proxy", "./bench/subject", "./bench/load"); err != nil {
		return err
	}
	var err error
	b.secrets, err = tenant.LoadSecrets(b.dir, func(name string) string { return map[string]string{"SLUICE_ROOT_SECRET": rootSecret}[name] }, nil)
	if err != nil {
		return err
	}
	if b.bodies, err = writeBodies(b.dir); err != nil {
		return err
	}
	if b.standIn, err = b.startHelper(ctx, "standin"); err != nil {
		return err
	}
	if b.slow, err = b.startHelper(ctx, "standin", "-over", slowStream.String()); err != nil {
		return err
	}
	b.redis, err = proc.FreeAddr()
	return err
}

// build compiles packages of the module in from into the folder to.
func (b *bench) build(ctx context.Context, from, to string, packages ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", to + "/"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", from, err, out)
	}
	return nil
}

// startHelper starts a program of ours on the processor of the load. It returns
// where it listens.
func (b *bench) startHelper(ctx context.Context, name string, args ...string) (string, error) {
	addr, err := proc.FreeAddr()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(b.program(name), append([]string{"-listen", addr}, args...)...)
	_, err = b.start(ctx, cmd, b.loadCPU, addr)
	return addr, err
}

// needRedis starts the Redis server that some subjects share, once.
func (b *bench) needRedis(ctx context.Context) error {
	if _, started := b.subjects["redis-server"]; started {
		return nil
	}
	_, port, _ := cutAddr(b.redis)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", b.dir)
	p, err := b.start(ctx, cmd, b.loadCPU, b.redis)
	b.subjects["redis-server"] = &running{Process: p}
	return err
}

// start starts a process on a processor and waits until it listens at addr. What
// it says goes to a file that is kept when it fails to.
func (b *bench) start(ctx context.Context, cmd *exec.Cmd, cpu int, addr string) (*proc.Process, error) {
	file, err := os.CreateTemp(b.dir, filepath.Base(cmd.Path)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	p, err := proc.Start(cmd, cpu)
	if err != nil {
		return nil, err
	}
	b.processes = append(b.processes, p)
	if err := p.Await(ctx, addr); err != nil {
		said, _ := os.ReadFile(file.Name())
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return p, nil
}

func (b *bench) program(name string) string { return filepath.Join(b.dir, name) }

// close stops all processes and removes what they wrote.
func (b *bench) close() error {
	for _, p := range b.processes {
		p.Stop()
	}
	return os.RemoveAll(b.dir)
}

// lookAtLoad notes the load average where it is the highest yet.
func (b *bench) lookAtLoad() {
	b.load[2] = proc.Load()
	b.load[1] = max(b.load[1], b.load[2])
}
