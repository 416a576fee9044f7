package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// gateway is the built binary as a process, with a folder of its own.
type gateway struct {
	bin, dir string
	env      []string
	bearer   string
	cmd      *exec.Cmd
	url      string
	clients  map[string]*http.Client // by version of HTTP
}

// configure makes the folder: a key, a certificate, and the configuration.
func (b *bench) configure(s setting, upstream *standIn) (*gateway, error) {
	dir, err := os.MkdirTemp(b.dir, s.mode+"-")
	if err != nil {
		return nil, err
	}
	g := &gateway{bin: b.bin, dir: dir, env: append(os.Environ(), "SLUICE_ROOT_SECRET=root secret of an evaluation")}
	out, err := g.run("keys", "new", "--tenant", tenant, "--json")
	if err != nil {
		return nil, err
	}
	var key struct {
		KeyID  string `json:"key_id"`
		Bearer string `json:"bearer"`
	}
	if err := json.Unmarshal(out, &key); err != nil {
		return nil, err
	}
	g.bearer = key.Bearer
	addr := freeAddr()
	g.url = "https://" + addr
	files := s.files(b.ids, upstream.URL, key.KeyID)
	const where = "listen: %s\ntls: {cert: cert.pem, key: key.pem}\nadmin: {listen: %s}\ndata_dir: ./data\n"
	files["sluice.yaml"] = fmt.Sprintf(where, addr, freeAddr()) + files["sluice.yaml"]
	cert, pemKey, err := selfSigned()
	if err != nil {
		return nil, err
	}
	g.clients = clients(cert)
	files["cert.pem"], files["key.pem"] = string(cert), string(pemKey)
	for name, text := range files {
		if err := os.WriteFile(g.file(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) file(name string) string { return filepath.Join(g.dir, name) }

func (g *gateway) config() string { return g.file("sluice.yaml") }

// run runs another command of the binary and returns what it printed. Its error
// wraps that of the process, with what the command said.
func (g *gateway) run(args ...string) ([]byte, error) {
	cmd := exec.Command(g.bin, args...)
	cmd.Env = g.env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, fmt.Errorf("gateway %v: %w: %s", args, err, exit.Stderr)
	}
	return out, err
}

// start serves, and waits until the gateway answers.
func (g *gateway) start() error {
	log, err := os.Create(g.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	g.cmd = exec.Command(g.bin, "serve", "--config", g.config())
	g.cmd.Env, g.cmd.Stdout, g.cmd.Stderr = g.env, log, log
	if err := g.cmd.Start(); err != nil {
		return err
	}
	for range 800 {
		if res, err := g.clients[http1].Get(g.url + "/model"); err == nil {
			res.Body.Close()
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	said, _ := os.ReadFile(g.file("log"))
	return errors.Join(fmt.Errorf("the gateway does not answer: %s", said), g.stop())
}

// stop lets the gateway drain what it has under way.
func (g *gateway) stop() error {
	for _, c := range g.clients {
		c.CloseIdleConnections()
	}
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return g.cmd.Wait()
}

func freeAddr() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer ln.Close()
	return ln.Addr().String()
}

// The versions of HTTP that callers speak.
const (
	http1 = "HTTP/1.1"
	http2 = "HTTP/2.0"
)

// clients speak one version of HTTP each, over TLS.
func clients(cert []byte) map[string]*http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	client := func(set func(*http.Protocols)) *http.Client {
		protocols := new(http.Protocols)
		set(protocols)
		return &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			Protocols:       protocols, MaxIdleConnsPerHost: callers,
		}}
	}
	return map[string]*http.Client{
		http1: client(func(p *http.Protocols) { p.SetHTTP1(true) }),
		http2: client(func(p *http.Protocols) { p.SetHTTP2(true) }),
	}
}

// selfSigned makes a certificate for this machine, in PEM.
func selfSigned() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	bare, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	return block("CERTIFICATE", der), block("PRIVATE KEY", bare), nil
}
