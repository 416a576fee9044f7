package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// authorities are those that answers are trusted from: the system's and those of
// some files.
type authorities struct {
	files []caFile

	mu    sync.Mutex     // guards the following
	roots *x509.CertPool // nil before the first look
	stamp string         // of the files when they were read
}

// now returns the authorities, read again if a file has changed. A file that
// cannot be read any more leaves what it had: it may be about to be replaced.
func (a *authorities) now() (*x509.CertPool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	stamp := a.stamps()
	if a.roots != nil && stamp == a.stamp {
		return a.roots, nil
	}
	roots, err := a.read()
	if err != nil && a.roots == nil {
		return nil, err
	}
	if err == nil {
		a.roots = roots
	}
	a.stamp = stamp
	return a.roots, nil
}

// stamps identifies the states of the files without reading them.
func (a *authorities) stamps() string {
	var b strings.Builder
	for _, f := range a.files {
		if info, err := os.Stat(f.name); err == nil {
			fmt.Fprintln(&b, info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

func (a *authorities) read() (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without any
	}
	for _, f := range a.files {
		pem, err := userfile.Whole(f.name)
		switch {
		case f.optional:
			roots.AppendCertsFromPEM(pem)
		case errors.Is(err, fs.ErrNotExist):
			return nil, f.mistake("there is no file %s", f.name)
		case err != nil:
			return nil, f.mistake("%v", err)
		case !roots.AppendCertsFromPEM(pem):
			return nil, f.mistake("%s has no certificate in PEM", f.name)
		}
	}
	return roots, nil
}

// security is TLS towards one host. Sessions are resumed only under the
// authorities by which they began.
type security struct {
	host    string
	trusted *authorities

	mu       sync.Mutex // guards the following
	roots    *x509.CertPool
	sessions tls.ClientSessionCache
}

const keptSessions = 64

func (s *security) config() (*tls.Config, error) {
	roots, err := s.trusted.now()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots != roots {
		s.roots, s.sessions = roots, tls.NewLRUClientSessionCache(keptSessions)
	}
	return &tls.Config{
		ServerName:         s.host,
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: s.sessions,
	}, nil
}
