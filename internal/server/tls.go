package server

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
)

// certificateInterval is how often the files are compared. Contents are
// compared, not times: a Kubernetes secret changes by symbolic link.
const certificateInterval = 5 * time.Second

// certificate is the newest good pair of two files.
type certificate struct {
	mu    sync.Mutex // guards the following fields
	files config.TLS
	sum   [sha256.Size]byte // of the files that were read last, good or bad

	current atomic.Pointer[tls.Certificate]
}

func loadCertificate(files config.TLS) (*certificate, error) {
	c := &certificate{files: files}
	if _, err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// use takes the pair from now on from other files, when it can be read.
func (c *certificate) use(files config.TLS) error {
	c.mu.Lock()
	before := c.files
	c.files = files
	c.mu.Unlock()
	if before == files {
		return nil // their contents are watched
	}
	_, err := c.reload()
	if err != nil {
		c.mu.Lock()
		c.files = before
		c.mu.Unlock()
	}
	return err
}

// reload reads the files and reports whether they differ from the last time. A
// bad pair leaves the current one in use.
func (c *certificate) reload() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, key, err := userfile.Pair(c.files.Cert, c.files.Key)
	if err != nil {
		return false, fmt.Errorf("tls %w", err)
	}
	hash := sha256.New()
	hash.Write(cert)
	hash.Write(key)
	sum := [sha256.Size]byte(hash.Sum(nil))
	if sum == c.sum {
		return false, nil
	}
	c.sum = sum
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, fmt.Errorf("tls certificate %s: %w", c.files.Cert, err)
	}
	c.current.Store(&pair)
	return true, nil
}

func (c *certificate) path() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files.Cert
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// watch reloads changed files until stop is closed.
func (c *certificate) watch(stop <-chan struct{}, log *slog.Logger) {
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		switch changed, err := c.reload(); {
		case err != nil:
			log.Error("certificate not reloaded, the old one stays in use", "error", err)
		case changed:
			log.Info("certificate reloaded", "file", c.path())
		}
	}
}
