// Package outboundtest has what calls leave by in tests: a private authority, and
// proxies of each kind.
package outboundtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Authority is a private certificate authority.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewAuthority makes one that is valid for an hour.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{key, cert}
}

// Server is a TLS configuration for 127.0.0.1 and all names of the form x.test.
func (a *Authority) Server(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"*.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// PEM is the certificate of the authority.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Relay is a proxy of one kind that counts whom it let through.
type Relay struct {
	URL string // with its user and password

	mu    sync.Mutex
	asked []string // guarded by mu
}

func (r *Relay) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprintf(format, args...))
}

// Heard lists what it was asked for.
func (r *Relay) Heard() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.asked, ", ")
}

// NewRelay starts a proxy: http, https or socks5. Names that end in .test are
// resolved to this machine, by the proxy alone.
func NewRelay(t testing.TB, scheme string, secure *tls.Config) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if scheme == "https" {
		l = tls.NewListener(l, secure)
	}
	r := &Relay{URL: scheme + "://ann:s3cret@" + l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				if strings.HasPrefix(scheme, "socks") {
					r.socks(c)
				} else {
					r.http(c)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return r
}

func resolve(to string) string {
	host, port, _ := net.SplitHostPort(to)
	if strings.HasSuffix(host, ".test") {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// join passes bytes both ways until either ends.
func join(c net.Conn, in io.Reader, to string) {
	server, err := net.Dial("tcp", resolve(to))
	if err != nil {
		return
	}
	defer server.Close()
	var up sync.WaitGroup
	up.Go(func() { _, _ = io.Copy(server, in); server.Close() })
	_, _ = io.Copy(c, server)
	c.Close()
	up.Wait()
}

func (r *Relay) http(c net.Conn) {
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	user := req.Header.Get("Proxy-Authorization")
	if user != "Basic YW5uOnMzY3JldA==" {
		r.note("407")
		_, _ = io.WriteString(c, "HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if req.Method == http.MethodConnect {
		r.note("CONNECT %s", req.Host)
		_, _ = io.WriteString(c, "HTTP/1.1 200 x\r\n\r\n")
		join(c, in, req.Host)
		return
	}
	r.note("%s %s", req.Method, req.RequestURI)
	req.RequestURI, req.URL.Host = "", resolve(req.URL.Host)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	_ = res.Write(c)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// socks is the server of RFC 1928 with user and password (RFC 1929).
func (r *Relay) socks(c net.Conn) {
	read := func(n byte) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b)
		return b
	}
	methods := read(2)
	read(methods[1])
	_, _ = c.Write([]byte{5, 2})
	user := string(read(read(2)[1]))
	password := string(read(read(1)[0]))
	if user != "ann" || password != "s3cret" {
		_, _ = c.Write([]byte{1, 1})
		return
	}
	_, _ = c.Write([]byte{1, 0})
	host := ""
	switch read(4)[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(read(1)[0]))
	}
	port := read(2)
	to := net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1])))
	r.note("socks %s", to)
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	join(c, c, to)
}
