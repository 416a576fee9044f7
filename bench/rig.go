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
	"strings"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// rig starts what is measured and what measures it.
type rig struct {
	options
	dir     string            // temporary; holds the programs and all that they write
	bodies  map[string]string // files by name
	standIn string            // address of the stand-in that answers at once
	slow    string            // and of the one that spreads a stream over slowStream
	redis   string
	secrets *tenant.Secrets

	subjects  map[string]*running // that all rows share
	processes []*proc.Process
}

// newRig builds the programs and starts what all rows share.
func newRig(ctx context.Context, o options) (*rig, error) {
	if last := max(o.subjectCPU, o.loadCPU); runtime.NumCPU() <= last {
		return nil, fmt.Errorf("there is no processor %d: the subject and the load need one each", last)
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	g := &rig{options: o, dir: dir, subjects: map[string]*running{}}
	if err := g.startShared(ctx); err != nil {
		g.close() // the first error counts
		return nil, err
	}
	return g, nil
}

func (g *rig) startShared(ctx context.Context) error {
	log.Print("building")
	programs := []string{"./cmd/gateway", "./bench/standin", "./bench/proxy", "./bench/subject", "./bench/load"}
	err := g.build(ctx, ".", g.dir, programs...)
	if err != nil {
		return err
	}
	environment := map[string]string{"SLUICE_ROOT_SECRET": rootSecret}
	g.secrets, err = tenant.LoadSecrets(g.dir, func(name string) string { return environment[name] }, nil)
	if err != nil {
		return err
	}
	if g.bodies, err = writeBodies(g.dir); err != nil {
		return err
	}
	if g.standIn, err = g.startHelper(ctx, "standin"); err != nil {
		return err
	}
	if g.slow, err = g.startHelper(ctx, "standin", "-over", slowStream.String()); err != nil {
		return err
	}
	g.redis, err = proc.FreeAddr()
	return err
}

// build compiles packages of the module in from into the folder to.
func (g *rig) build(ctx context.Context, from, to string, packages ...string) error {
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
func (g *rig) startHelper(ctx context.Context, name string, args ...string) (string, error) {
	addr, err := proc.FreeAddr()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(g.program(name), append([]string{"-listen", addr}, args...)...)
	_, err = g.start(ctx, cmd, g.loadCPU, addr)
	return addr, err
}

// needRedis starts the Redis server that some subjects share, once.
func (g *rig) needRedis(ctx context.Context) error {
	if g.subjects["redis-server"] != nil {
		return nil
	}
	_, port, _ := strings.Cut(g.redis, ":")
	cmd := exec.Command("redis-server", "--port", port, "--save", "", "--appendonly", "no", "--dir", g.dir)
	p, err := g.start(ctx, cmd, g.loadCPU, g.redis)
	if err == nil {
		g.subjects["redis-server"] = &running{Process: p}
	}
	return err
}

// start starts a process on a processor and waits until it listens at addr. When
// it does not, the error has what it said.
func (g *rig) start(ctx context.Context, cmd *exec.Cmd, cpu int, addr string) (*proc.Process, error) {
	file, err := os.CreateTemp(g.dir, filepath.Base(cmd.Path)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	p, err := proc.Start(cmd, cpu)
	if err != nil {
		return nil, err
	}
	g.processes = append(g.processes, p)
	if err := p.Await(ctx, addr); err != nil {
		said, _ := os.ReadFile(file.Name())
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return p, nil
}

func (g *rig) program(name string) string { return filepath.Join(g.dir, name) }

// close stops all processes and removes what they wrote.
func (g *rig) close() error {
	for _, p := range g.processes {
		p.Stop()
	}
	return os.RemoveAll(g.dir)
}
