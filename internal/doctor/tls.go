package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
)

// expiresSoon is how long before a certificate expires that is a warning.
const expiresSoon = 21 * 24 * time.Hour

// Certificate checks the pair that callers get: that it fits, and its dates.
func Certificate(files *config.TLS, now time.Time) []Finding {
	a := about{"tls", files.Cert}
	pair, err := readPair(files)
	if err != nil {
		return []Finding{a.fail("put a certificate and its key, as PEM, where tls.cert and tls.key say", "%v", err)}
	}
	var all []Finding
	for _, raw := range pair.Certificate {
		if c, err := x509.ParseCertificate(raw); err == nil {
			all = append(all, dates(a, c, now))
		}
	}
	return all
}

func readPair(files *config.TLS) (tls.Certificate, error) {
	cert, key, err := userfile.Pair(files.Cert, files.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// Authorities checks the dates of the certificates in a file of authorities.
func Authorities(file string, now time.Time) []Finding {
	a := about{"ca_file", file}
	rest, err := userfile.Whole(file)
	if err != nil {
		return []Finding{a.fail("put the authorities' certificates there, as PEM", "%v", err)}
	}
	var all []Finding
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, dates(a, c, now))
		}
	}
	if len(all) == 0 {
		return []Finding{a.fail("put the authorities' certificates there, as PEM", "no certificate is in it")}
	}
	return all
}

func dates(a about, c *x509.Certificate, now time.Time) Finding {
	name := c.Subject.CommonName
	if name == "" && len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	const way = "renew it; a gateway that runs takes new files of tls within seconds"
	ends := c.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.Before(c.NotBefore):
		return a.fail("set this machine's clock, or wait", "%q is not valid before %s", name,
			c.NotBefore.UTC().Format(time.RFC3339))
	case !now.Before(c.NotAfter):
		return a.fail(way, "%q expired at %s", name, ends)
	case c.NotAfter.Sub(now) < expiresSoon:
		return a.warn(way, "%q expires at %s", name, ends)
	}
	return a.ok("%q is valid until %s", name, ends)
}
