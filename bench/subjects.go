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
func (b *bench) get(ctx context.Context, name string) (*running, error) {
	if r := b.subjects[name]; r != nil {
		return r, nil
	}
	r, err := b.launch(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.subjects[name] = r
	return r, nil
}

func (b *bench) launch(ctx context.Context, name string) (*running, error) {
	spans, redis, check := full(), full(), full()
	spans.sample, redis.redis, check.partner = 1, true, true
	switch name {
	case "bare":
		return b.startOther(ctx, b.program("proxy"), "-listen", "ADDR", "-upstream", b.standIn)
	case "standin":
		return b.startOther(ctx, b.program("standin"), "-listen", "ADDR")
	case "reverse", "sdk":
		return b.startOther(ctx, b.program("subject"), "-kind", name, "-listen", "ADDR", "-upstream", b.standIn)
	case "nginx":
		return b.startNginx(ctx)
	case "prototype":
		return b.startPrototype(ctx)
	case "minimal":
		return b.startGateway(ctx, setting{})
	case "full", "sigv4", "h2":
		return b.startGateway(ctx, full())
	case "spans":
		return b.startGateway(ctx, spans)
	case "redis":
		return b.startGateway(ctx, redis)
	case "check":
		return b.startGateway(ctx, check)
	}
	return nil, fmt.Errorf("BUG: no subject %q", name)
}

// startOther starts a program that is not Sluice; ADDR in its arguments becomes
// a free address.
func (b *bench) startOther(ctx context.Context, program string, args ...string) (*running, error) {
	addr, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "ADDR", addr)
	}
	p, err := b.start(ctx, exec.Command(program, args...), b.subjectCPU, addr)
	return &running{Process: p, addr: addr, headers: []string{"Authorization: Bearer nobody"}}, err
}

const nginxConf = `daemon off; pid DIR/nginx.pid; error_log DIR/nginx.err; worker_processes 1; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000000;
  upstream up { server UPSTREAM; keepalive 128; keepalive_requests 1000000000; }
  server { listen ADDR; location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; } 
    location ~ -stream$ { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } }
}
`

func (b *bench) startNginx(ctx context.Context) (*running, error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil, fmt.Errorf("nginx: %w", errMissing)
	}
	addr, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "nginx.conf")
	text := strings.NewReplacer("DIR", b.dir, "UPSTREAM", b.standIn, "ADDR", addr).Replace(nginxConf)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := b.start(ctx, exec.Command("nginx", "-p", b.dir, "-c", file, "-e", filepath.Join(b.dir, "nginx.err")), b.subjectCPU, addr)
	return &running{Process: p, addr: addr, headers: []string{"Authorization: Bearer nobody"}}, err
}

// startPrototype builds and starts the prototype gateway, which signs, routes,
// meters and traces.
func (b *bench) startPrototype(ctx context.Context) (*running, error) {
	if _, err := os.Stat(filepath.Join(b.perf, "subj")); err != nil {
		return nil, fmt.Errorf("prototype not found in %s: %w", b.perf, errMissing)
	}
	if err := b.needRedis(ctx); err != nil {
		return nil, err
	}
	if err := b.build(ctx, b.perf, b.dir, "./subj"); err != nil {
		return nil, err
	}
	r, err := b.startOther(ctx, b.program("subj"), "-mode", "gw", "-addr", "ADDR", "-up", b.standIn, "-redis", b.redis,
		"-otlp", b.standIn, "-ratio", "0.1", "-stages", "auth,extract,rule,splice,sign,usage,batch,prom,otel")
	if err != nil {
		return nil, err
	}
	r.headers = []string{"Authorization: Bearer sk-test-tenant-0001"}
	return r, nil
}

// cutAddr splits host:port.
func cutAddr(addr string) (host, port string, ok bool) { return strings.Cut(addr, ":") }
