package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// mode is what kind of set-up a URL names.
type mode uint8

const (
	detect   mode = iota // one address: a single server or any node of a cluster
	sentinel             // addresses of sentinels and the name of a master
	cluster              // addresses of some nodes
)

// target is a parsed URL.
type target struct {
	mode    mode
	options *goredis.UniversalOptions
}

// schemes maps each URL scheme to its mode and to the scheme that tells the
// client whether to use TLS.
var schemes = map[string]struct {
	mode  mode
	plain string
}{
	"redis":           {detect, "redis"},
	"rediss":          {detect, "rediss"},
	"redis-sentinel":  {sentinel, "redis"},
	"rediss-sentinel": {sentinel, "rediss"},
	"redis-cluster":   {cluster, "redis"},
	"rediss-cluster":  {cluster, "rediss"},
}

// parseTarget reads the URL forms that Options.URL documents. Its errors never
// hold the URL, which may hold a password.
func parseTarget(raw string) (*target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	known, isKnown := schemes[scheme]
	if !ok || !isKnown {
		return nil, fmt.Errorf("redis URL: unknown scheme %q", scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	addrs := strings.Split(hosts, ",")
	if known.mode == detect && len(addrs) > 1 {
		return nil, fmt.Errorf("redis URL: %s takes one address; see redis-cluster and redis-sentinel", scheme)
	}
	master := ""
	if known.mode == sentinel {
		if master, path, _ = strings.Cut(path, "/"); master == "" {
			return nil, errors.New("redis URL: the name of the master is missing: redis-sentinel://host:port/NAME/db")
		}
	}
	if known.mode == cluster && strings.Trim(path, "/0") != "" {
		return nil, errors.New("redis URL: a cluster has no databases but 0")
	}
	own, query, err := cutOwn(query)
	if err != nil {
		return nil, err
	}
	options, err := parsePlain(known.plain + "://" + user + addrs[0] + "/" + path + "?" + query)
	if err != nil {
		return nil, err
	}
	options.MasterName = master
	if options.Addrs, err = addresses(addrs, known.mode); err != nil {
		return nil, err
	}
	return &target{known.mode, options}, applyOwn(options, own)
}

// applyOwn applies the parameters that the client does not know.
func applyOwn(o *goredis.UniversalOptions, own url.Values) error {
	o.SentinelUsername, o.SentinelPassword = own.Get("sentinel_username"), own.Get("sentinel_password")
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // each server is asked for its own name
	}
	return trust(o.TLSConfig, own.Get("ca_file"))
}

// cutOwn takes the parameters out of a query that the client does not know.
func cutOwn(query string) (own url.Values, rest string, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, "", errors.New("redis URL: its parameters cannot be read")
	}
	own = url.Values{}
	for _, name := range []string{"ca_file", "sentinel_username", "sentinel_password"} {
		own.Set(name, values.Get(name))
		values.Del(name)
	}
	return own, values.Encode(), nil
}

// parsePlain reads a URL of one address and applies what must hold for every
// connection: no retries behind our back, deadlines obeyed, only commands that
// version 7.0 has.
func parsePlain(plain string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseURL(plain)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	return &goredis.UniversalOptions{
		DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, ClientName: "sluice", DisableIdentity: true,
		MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: orDefault(o.DialTimeout, 2*time.Second), DialerRetries: 1,
		ReadTimeout:  orDefault(o.ReadTimeout, 2*time.Second),
		WriteTimeout: orDefault(o.WriteTimeout, 2*time.Second),
		PoolSize:     orDefault(o.PoolSize, 10), PoolTimeout: o.PoolTimeout,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// addresses adds the default port where there is none.
func addresses(hosts []string, m mode) ([]string, error) {
	port := "6379"
	if m == sentinel {
		port = "26379"
	}
	out := make([]string, len(hosts))
	for i, h := range hosts {
		u := url.URL{Host: h}
		if u.Hostname() == "" && len(hosts) > 1 {
			return nil, errors.New("redis URL: an address is empty")
		}
		out[i] = net.JoinHostPort(orDefault(u.Hostname(), "localhost"), orDefault(u.Port(), port))
	}
	return out, nil
}

// trust makes a TLS configuration trust the authorities in a PEM file alone.
func trust(c *tls.Config, file string) error {
	if file == "" {
		return nil
	}
	if c == nil {
		return errors.New("redis URL: ca_file needs TLS: rediss, rediss-sentinel or rediss-cluster")
	}
	pem, err := userfile.Whole(file)
	if err != nil {
		return fmt.Errorf("redis URL: ca_file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("redis URL: ca_file: no certificate in %s", file)
	}
	return nil
}
