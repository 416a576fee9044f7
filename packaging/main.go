// Command packaging makes what a release consists of, in dist: archives, checksums, and an image for containers. It
// publishes nothing. Run it from the root of the repository, as `make dist` and `make image` do.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// release is what all parts of a release have in common. The same commit gives the same bytes: times are its own.
type release struct {
	version  string
	revision string
	date     time.Time
	dist     string
	out      io.Writer // what is done, line by line
}

func (r *release) say(format string, args ...any) {
	fmt.Fprintf(r.out, format+"\n", args...) //nolint:errcheck // nobody reads it
}

// target is a platform.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

// program is where the build for a target is.
func (r *release) program(t target) string {
	return filepath.Join(r.dist, "build", t.os+"_"+t.arch, "gateway")
}

// name is the base name of what belongs to a target.
func (r *release) name(t target) string {
	return fmt.Sprintf("sluice_%s_%s_%s", r.version, t.os, t.arch)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("want archives, or image")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	version := flags.String("version", "dev", "version of the release")
	dist := flags.String("dist", "dist", "directory to write to")
	root := flags.String("root", ".", "root of the repository")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if err := os.Chdir(*root); err != nil {
		return err
	}
	r := &release{version: strings.TrimPrefix(*version, "v"), dist: *dist, out: os.Stdout}
	if err := r.readCommit(); err != nil {
		return err
	}
	linux := []target{{"linux", "amd64"}, {"linux", "arm64"}}
	switch args[0] {
	case "archives":
		return r.archives(append(linux, target{"darwin", "amd64"}, target{"darwin", "arm64"}))
	case "image":
		return r.image(linux)
	}
	return fmt.Errorf("there is no %q; there are archives and image", args[0])
}

// readCommit takes revision and date from git, or the date from SOURCE_DATE_EPOCH where there is no git.
func (r *release) readCommit() error {
	if out, err := exec.Command("git", "log", "-1", "--format=%H %ct").Output(); err == nil {
		revision, seconds, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		r.revision = revision
		return r.setDate(seconds)
	}
	return r.setDate(os.Getenv("SOURCE_DATE_EPOCH"))
}

func (r *release) setDate(seconds string) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("no date: neither a git commit nor SOURCE_DATE_EPOCH: %w", err)
	}
	r.date = time.Unix(n, 0).UTC()
	return nil
}

// build compiles the program for a target.
func (r *release) build(t target) error {
	r.say("building %s", t)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -funcalign=16 -X main.version="+r.version, "-o", r.program(t), "./cmd/gateway")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build for %s: %w", t, err)
	}
	return nil
}
