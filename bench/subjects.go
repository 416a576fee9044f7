//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// running is a started subject.
type running struct {
	*proc.Process
	addr    string
	headers []string // that its callers send
	// Of gateways only.
	admin, pprof string
	dir          string
	key          tenant.Credentials
	keys         string // file with credentials of further tenants, one a line; "" for none
}

// errMissing says that a subject cannot be had on this machine.
var errMissing = errors.New("missing")

// get starts a subject, or returns it when it is running. Processes that do
// nothing cost nothing, so all of them may run.
func (g *rig) get(ctx context.Context, name string) (*running, error) {
	if r := g.subjects[name]; r != nil {
		return r, nil
	}
	r, err := g.launch(ctx, name)
	if err != nil {
		return nil, err
	}
	g.subjects[name] = r
	return r, nil
}

func (g *rig) launch(ctx context.Context, name string) (*running, error) {
	if s, ok := gateways(g.program("gateway"))[name]; ok {
		return g.startGateway(ctx, s)
	}
	switch name {
	case yardstick:
		return g.startBare(ctx, g.standIn)
	case "standin":
		return g.startOther(ctx, g.program("standin"), "-listen", "ADDR")
	case "reverse", "sdk":
		return g.startOther(ctx, g.program("subject"), "-kind", name, "-listen", "ADDR", "-upstream", g.standIn)
	case "nginx":
		return g.startNginx(ctx)
	case "prototype":
		return g.startPrototype(ctx)
	}
	return nil, fmt.Errorf("BUG: no subject %q", name)
}

func (g *rig) startBare(ctx context.Context, upstream string) (*running, error) {
	return g.startOther(ctx, g.program("proxy"), "-listen", "ADDR", "-upstream", upstream)
}

// startOther starts a program that is not Sluice; ADDR in its arguments becomes
// a free address.
func (g *rig) startOther(ctx context.Context, program string, args ...string) (*running, error) {
	addr, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "ADDR", addr)
	}
	p, err := g.start(ctx, exec.Command(program, args...), g.subjectCPU, addr)
	return &running{Process: p, addr: addr, headers: []string{"Authorization: Bearer nobody"}}, err
}

const nginxConf = `daemon off; pid DIR/nginx.pid; error_log DIR/nginx.err; worker_processes 1;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000000;
  upstream up { server UPSTREAM; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen ADDR; proxy_http_version 1.1; proxy_set_header Connection "";
    location / { proxy_pass http://up; }
    location ~ -stream$ { proxy_pass http://up; proxy_buffering off; }
  }
}
`

func (g *rig) startNginx(ctx context.Context) (*running, error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil, fmt.Errorf("%w: nginx", errMissing)
	}
	addr, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(g.dir, "nginx.conf")
	text := strings.NewReplacer("DIR", g.dir, "UPSTREAM", g.standIn, "ADDR", addr).Replace(nginxConf)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("nginx", "-p", g.dir, "-c", file, "-e", filepath.Join(g.dir, "nginx.err"))
	p, err := g.start(ctx, cmd, g.subjectCPU, addr)
	return &running{Process: p, addr: addr, headers: []string{"Authorization: Bearer nobody"}}, err
}

// startPrototype builds and starts the prototype gateway, which signs, routes,
// meters and traces.
func (g *rig) startPrototype(ctx context.Context) (*running, error) {
	if _, err := os.Stat(filepath.Join(g.perf, "subj")); err != nil {
		return nil, fmt.Errorf("%w: no prototype in %s", errMissing, g.perf)
	}
	if err := g.needRedis(ctx); err != nil {
		return nil, err
	}
	if err := g.build(ctx, g.perf, g.dir, "./subj"); err != nil {
		return nil, err
	}
	r, err := g.startOther(ctx, g.program("subj"), "-mode", "gw", "-addr", "ADDR", "-up", g.standIn, "-redis", g.redis,
		"-otlp", g.standIn, "-ratio", "0.1", "-stages", "auth,extract,rule,splice,sign,usage,batch,prom,otel")
	if err != nil {
		return nil, err
	}
	r.headers = []string{"Authorization: Bearer sk-test-tenant-0001"}
	return r, nil
}
