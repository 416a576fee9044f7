// Package outbound is how calls leave this process, whatever they are for: which
// proxy they go through, and which authorities they trust. Model calls, the AWS
// SDK's own calls, webhooks and traces all leave by it, so that one setting means
// the same everywhere. Calls to the machine's own credentials never go through a
// proxy: they would return the proxy's.
//
// Files of authorities are read again when they change.
package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Settings say how calls leave. The zero value is what the environment says.
type Settings struct {
	// Proxy is a URL of scheme http, https, socks5 or socks5h, with credentials in
	// its user part. "" takes HTTPS_PROXY and HTTP_PROXY. NO_PROXY holds for both.
	Proxy string
	// CAFile has authorities that are trusted beside those of AWS_CA_BUNDLE and of
	// the system (SSL_CERT_FILE); "" for none.
	CAFile string
	Getenv func(string) string // nil: os.Getenv
	// Dial makes connections; nil makes those of TCP. For tests, whose other side is in the same process.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// SettingError is a setting by which no call can leave.
type SettingError struct {
	Key  string // of the configuration, proxy or ca_file; "" for a variable of the environment
	Text string
}

// Error describes the mistake without what may be secret in it.
func (m *SettingError) Error() string {
	if m.Key == "" {
		return m.Text
	}
	return m.Key + ": " + m.Text
}

// Calls are the ways to all hosts. It is safe for concurrent use.
type Calls struct {
	proxies func(*url.URL) (*url.URL, error) // before exceptions for this machine
	local   map[string]bool                  // host:port of credentials of this machine
	trusted *authorities
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// New reads the settings and the files that they name. It fails with a *SettingError.
func New(s Settings) (*Calls, error) {
	if s.Getenv == nil {
		s.Getenv = os.Getenv
	}
	c := &Calls{local: map[string]bool{}, trusted: &authorities{files: caFiles(&s)}, dial: s.Dial}
	if c.dial == nil {
		c.dial = new(net.Dialer).DialContext
	}
	for _, name := range []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		if u, err := url.Parse(s.Getenv(name)); err == nil && loopback(u.Hostname()) {
			c.local[address(u)] = true
		}
	}
	var err error
	if c.proxies, err = proxies(&s); err != nil {
		return nil, err
	}
	if _, err := c.trusted.now(); err != nil {
		return nil, err
	}
	return c, nil
}

// proxies returns what finds the proxy for a URL, nil for none.
func proxies(s *Settings) (func(*url.URL) (*url.URL, error), error) {
	env := httpproxy.Config{
		HTTPProxy: either(s.Getenv, "HTTP_PROXY"), HTTPSProxy: either(s.Getenv, "HTTPS_PROXY"),
		NoProxy: either(s.Getenv, "NO_PROXY"), CGI: s.Getenv("REQUEST_METHOD") != "",
	}
	if s.Proxy == "" {
		found := env.ProxyFunc()
		for _, scheme := range []string{"http", "https"} { // a bad one is found now, not by the first call
			proxy, err := found(&url.URL{Scheme: scheme, Host: "example.com"})
			if err == nil && proxy != nil {
				err = usable(proxy)
			}
			if err != nil {
				return nil, &SettingError{Text: strings.ToUpper(scheme) + "_PROXY: " + err.Error()}
			}
		}
		return found, nil
	}
	configured, err := url.Parse(s.Proxy)
	if err != nil {
		return nil, &SettingError{Key: "proxy", Text: ErrProxy.Error()}
	}
	if err := usable(configured); err != nil {
		return nil, &SettingError{Key: "proxy", Text: err.Error()}
	}
	env.HTTPProxy, env.HTTPSProxy, env.CGI = "http://proxy", "http://proxy", false
	needed := env.ProxyFunc()
	return func(u *url.URL) (*url.URL, error) {
		if loopback(u.Hostname()) { // which env.ProxyFunc exempts always
			if listed(env.NoProxy, u) {
				return nil, nil //nolint:nilnil // no proxy
			}
			return configured, nil
		}
		if asked, err := needed(u); asked == nil {
			return nil, err
		}
		return configured, nil
	}, nil
}

// ErrProxy says which proxies there can be.
var ErrProxy = errors.New("must be a URL with a host that begins with http://, https://, socks5:// or socks5h://")

var errPort = errors.New("there is no such port")

// usable fails when a proxy is not of a kind that calls can go through. The error
// does not quote the URL, which may have a password.
func usable(proxy *url.URL) error {
	switch proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
		if port, err := strconv.ParseUint(cmp.Or(proxy.Port(), "1"), 10, 16); err != nil || port == 0 {
			return errPort
		}
		if proxy.Hostname() != "" {
			return nil
		}
	}
	return ErrProxy
}

func either(getenv func(string) string, name string) string {
	return cmp.Or(getenv(name), getenv(strings.ToLower(name)))
}

// proxy returns the proxy for a URL, nil for none.
func (c *Calls) proxy(u *url.URL) (*url.URL, error) {
	if c.local[address(u)] || linkLocal(u.Hostname()) {
		return nil, nil //nolint:nilnil // no proxy
	}
	return c.proxies(u)
}

// instanceMetadata are the addresses beside link-local ones at which a machine
// gives out its own credentials (EC2, EKS Pod Identity).
var instanceMetadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23")}

func linkLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLinkLocalUnicast() || ip == instanceMetadata[0] || ip == instanceMetadata[1])
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// listed reports whether NO_PROXY has a loopback host, alone or with its port.
func listed(noProxy string, u *url.URL) bool {
	ip, _ := netip.ParseAddr(u.Hostname())
	for entry := range strings.SplitSeq(noProxy, ",") {
		entry = strings.TrimSpace(entry)
		network, err := netip.ParsePrefix(entry)
		if entry == "*" || strings.EqualFold(entry, u.Hostname()) || strings.EqualFold(entry, u.Host) ||
			err == nil && network.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// caFiles are the files of authorities by the keys that name them.
func caFiles(s *Settings) []caFile {
	var files []caFile
	for _, f := range []caFile{
		{name: s.Getenv("SSL_CERT_FILE"), optional: true},
		{name: s.Getenv("AWS_CA_BUNDLE"), what: "AWS_CA_BUNDLE: "},
		{name: s.CAFile, key: "ca_file"},
	} {
		if f.name != "" {
			files = append(files, f)
		}
	}
	return files
}

// caFile is a file of authorities, and who names it.
type caFile struct {
	name, key, what string
	optional        bool // as Go treats SSL_CERT_FILE
}

func (f *caFile) mistake(format string, args ...any) error {
	return &SettingError{Key: f.key, Text: f.what + fmt.Sprintf(format, args...)}
}
