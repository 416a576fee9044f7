package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Running looks whether a gateway runs at an admin address, and repeats what it says of
// itself. Where none does, both ports must be free.
func Running(ctx context.Context, listen, admin string) []Finding {
	a := about{"gateway", admin}
	state, err := readyz(ctx, admin)
	if err != nil {
		return append([]Finding{a.ok("none runs here")}, port(listen), port(admin))
	}
	all := []Finding{}
	for _, what := range slices.Sorted(maps.Keys(state.Degraded)) {
		all = append(all, about{"gateway", what}.warn("docs/operations.md says what to do, at degraded."+what,
			"%s", state.Degraded[what]))
	}
	switch {
	case state.Draining:
		return append(all, a.warn("nothing: it ends", "it is draining"))
	case !state.Ready:
		return append(all, a.fail("free or repair the disk of data_dir", "it refuses new requests"))
	}
	return append(all, a.ok("it runs, and takes requests"))
}

// Reachable looks whether something listens where a URL says, such as a collector.
func Reachable(ctx context.Context, check, where string) Finding {
	u, err := url.Parse(where)
	if err != nil {
		return about{check, ""}.fail("write a URL such as http://127.0.0.1:4318", "it is no URL")
	}
	a, host := about{check, u.Redacted()}, u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return a.warn("see that it runs and that this machine reaches it; where a proxy is between, this says nothing",
			"it cannot be reached: %v", err)
	}
	conn.Close() //nolint:errcheck // nothing was sent
	return a.ok("something listens there")
}

// readiness is what /readyz says.
type readiness struct {
	Ready, Draining bool
	Degraded        map[string]string
}

func readyz(ctx context.Context, admin string) (r readiness, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return r, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
		err = errors.New("it is no gateway: status " + strconv.Itoa(res.StatusCode))
	}
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	return r, err
}

// port looks whether an address can be listened at.
func port(addr string) Finding {
	a := about{"port", addr}
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return a.fail("end what listens there (ss -ltnp), or choose another address", "another program listens there")
	case errors.Is(err, syscall.EACCES):
		return a.fail("choose a port from 1024, or give the gateway CAP_NET_BIND_SERVICE", "this user may not listen there")
	case err != nil:
		return a.fail("choose an address of this machine", "%v", err)
	}
	ln.Close() //nolint:errcheck // it took no connection
	return a.ok("it is free")
}
