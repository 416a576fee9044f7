package review

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
)

// files refuses certificates that are not there or are none, and all else by which
// upstreams cannot be called.
func (r *reviewer) files() {
	if t := r.Config.TLS; t != nil {
		r.keyPair(t)
	}
	r.problems = append(r.problems, bedrock.Problems(r.Config)...)
}

func (r *reviewer) keyPair(t *config.TLS) {
	cert, ok := r.read("tls.cert", t.Cert)
	key, keyRead := r.read("tls.key", t.Key)
	if !ok || !keyRead {
		return
	}
	leaf := firstCertificate(cert)
	if leaf == nil {
		r.refuse("tls.cert", "%s has no certificate in PEM%s", t.Cert, instead(cert))
		return
	}
	if what := unusableKey(key); what != "" {
		r.refuse("tls.key", "%s %s", t.Key, what)
	} else if _, err := tls.X509KeyPair(cert, key); err != nil {
		r.refuse("tls.key", "%s is not the key of %s: %s", t.Key, t.Cert, err)
	}
	switch {
	case leaf.NotAfter.Before(r.now):
		r.warn("tls.cert", "the certificate has expired on "+leaf.NotAfter.Format(time.DateOnly))
	case leaf.NotBefore.After(r.now):
		r.warn("tls.cert", "the certificate is valid from "+leaf.NotBefore.Format(time.DateOnly)+" only")
	}
}

// instead says what a file has in place of a certificate in PEM, "" when that is not known.
func instead(data []byte) string {
	if block, _ := pem.Decode(data); block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return ", but a private key: are tls.cert and tls.key exchanged?"
	}
	if _, err := x509.ParseCertificate(data); err == nil {
		return ", but one in DER: openssl x509 -inform der -in FILE writes it as PEM"
	}
	return ""
}

// unusableKey says why a file has no key that can be used, "" when it may have one.
func unusableKey(data []byte) string {
	var types []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return "is encrypted, and nobody is asked for its password: openssl pkey -in FILE writes it without"
		}
		types = append(types, block.Type)
	}
	if slices.ContainsFunc(types, func(t string) bool { return strings.HasSuffix(t, "PRIVATE KEY") }) {
		return ""
	}
	return "has no private key in PEM"
}

func firstCertificate(data []byte) *x509.Certificate {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			return c
		}
	}
	return nil
}

func (r *reviewer) read(path, file string) ([]byte, bool) {
	if file == "" {
		return nil, false
	}
	data, err := userfile.Whole(file)
	if err != nil {
		r.refuse(path, "%s", userfile.Why(file, err))
	}
	return data, err == nil
}

// certificates warns of certificates of other cascades. Where the mode needs one, the
// snapshot says so itself.
func (r *reviewer) certificates() {
	for i := range r.Config.Cascades {
		c := &r.Config.Cascades[i]
		if c.Certificate == "" || c.Mode == "enforce" {
			continue
		}
		path := fmt.Sprintf("cascades[%d].certificate", i)
		data, err := userfile.Whole(c.Certificate)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is made by calibrate, while the mode does without
		}
		var found *certify.Certificate
		if err == nil {
			found, err = certify.ParseCertificate(data)
		}
		switch {
		case err != nil:
			r.warn(path, "cannot be read as a certificate: "+strings.TrimPrefix(err.Error(), "certificate: "))
		case found.Cascade != c.Name:
			r.warn(path, fmt.Sprintf("is the certificate of cascade %q", found.Cascade))
		}
	}
}
