package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/outbound"
)

// The times of the SDKs' own client: of one request, and between two attempts.
const (
	collectorTimeout = 10 * time.Second
	firstPause       = 5 * time.Second
	longestPause     = 30 * time.Second
)

const maxReply = 64 << 10 // of what a collector answers, more is not read

// collector sends batches as OTLP over HTTP, in protobuf. It reads the settings of OTEL_EXPORTER_OTLP_* as the SDK's
// client does, which is not used here: it brings gRPC along, and with it templates, for whose sake the linker has to
// keep every exported method of the program. That was a third of the binary.
type collector struct {
	url    string
	header http.Header
	zip    bool
	client *http.Client
	first  time.Duration // the pause after a first attempt that failed
}

// newCollector reads the settings of the environment. An error names the variable. calls is how requests leave, nil for
// what the environment says; certificates that the environment names for traces win.
func newCollector(collectorURL string, calls *outbound.Shared, getenv func(string) string) (*collector, error) {
	env := func(name string) string { // the signal's own variable wins over the common one
		if v := getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
			return v
		}
		return getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	header, err := parseHeaders(env("HEADERS"))
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %w", err)
	}
	header.Set("Content-Type", "application/x-protobuf")
	c := &collector{url: collectorURL, header: header, zip: env("COMPRESSION") == "gzip", first: firstPause}
	if c.zip {
		header.Set("Content-Encoding", "gzip")
	}
	timeout := collectorTimeout
	if ms := env("TIMEOUT"); ms != "" {
		n, err := strconv.Atoi(ms)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT: %q is not a number of milliseconds", ms)
		}
		timeout = time.Duration(n) * time.Millisecond
	}
	security, err := collectorTLS(env)
	if err != nil {
		return nil, err
	}
	c.client = &http.Client{Timeout: timeout, Transport: transport(calls, security)}
	return c, nil
}

func transport(calls *outbound.Shared, security *tls.Config) http.RoundTripper {
	proxy := http.ProxyFromEnvironment
	if calls != nil {
		if proxy = calls.Proxy; security == nil {
			return calls
		}
	}
	return &http.Transport{
		Proxy: proxy, TLSClientConfig: security, ForceAttemptHTTP2: true,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: collectorTimeout,
	}
}

// parseHeaders reads name=value,name=value with values in percent encoding, as the OTLP specification has it.
func parseHeaders(list string) (http.Header, error) {
	h := http.Header{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, text, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(text))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return nil, errors.New("want name=value pairs with commas between them, values in percent encoding")
		}
		h.Set(name, value)
	}
	return h, nil
}

// collectorTLS is nil when the environment names no certificates.
func collectorTLS(env func(string) string) (*tls.Config, error) {
	ca, cert, key := env("CERTIFICATE"), env("CLIENT_CERTIFICATE"), env("CLIENT_KEY")
	if ca == "" && cert == "" {
		return nil, nil //nolint:nilnil // the transport's own default
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := userfile.Whole(ca)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s has no certificate", ca)
		}
	}
	if cert != "" {
		certText, keyText, err := userfile.Pair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and CLIENT_KEY: %w", err)
		}
		pair, err := tls.X509KeyPair(certText, keyText)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and CLIENT_KEY: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// laterError is a failure that the collector may get over.
type laterError struct {
	err   error
	after time.Duration // what the collector asks for, 0 for nothing
}

func (e laterError) Error() string { return e.err.Error() }

// Unwrap returns what failed.
func (e laterError) Unwrap() error { return e.err }

// send posts a message ResourceSpans, again while the collector may get over its failure and ctx lasts.
func (c *collector) send(ctx context.Context, spans []byte) error {
	body := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), spans)
	if c.zip {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write(body); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		body = zipped.Bytes()
	}
	for pause := c.first; ; pause = min(2*pause, longestPause) {
		err := c.post(ctx, body)
		var later laterError
		if !errors.As(err, &later) {
			return err
		}
		jittered := pause/2 + rand.N(pause) // so that gateways do not come back together
		select {
		case <-ctx.Done():
			return err
		case <-time.After(max(later.after, jittered)):
		}
	}
}

func (c *collector) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	res, err := c.client.Do(req)
	if err != nil {
		return laterError{err: err}
	}
	defer res.Body.Close() //nolint:errcheck // what was read is read
	reply, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	switch {
	case res.StatusCode/100 == 2:
		return refusedSpans(reply, res.Header.Get("Content-Type"))
	case err != nil:
		return laterError{err: err}
	}
	err = fmt.Errorf("%s: %s: %.200s", c.url, res.Status, bytes.TrimSpace(reply))
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date is left to the pause
		return laterError{err: err, after: min(time.Duration(max(seconds, 0))*time.Second, longestPause)}
	}
	return err
}

// refusedSpans is the error of an answer that took only a part: ExportTraceServiceResponse.partial_success.
func refusedSpans(reply []byte, contentType string) error {
	if contentType != "application/x-protobuf" {
		return nil
	}
	partial, rejected, message := bytesField(reply, 1), uint64(0), ""
	for len(partial) > 0 {
		number, kind, n := protowire.ConsumeTag(partial)
		if n < 0 {
			break
		}
		partial = partial[n:]
		switch {
		case number == 1 && kind == protowire.VarintType:
			rejected, n = protowire.ConsumeVarint(partial)
		case number == 2 && kind == protowire.BytesType:
			message, n = protowire.ConsumeString(partial)
		default:
			n = protowire.ConsumeFieldValue(number, kind, partial)
		}
		if n < 0 {
			break
		}
		partial = partial[n:]
	}
	if rejected == 0 && message == "" {
		return nil
	}
	return fmt.Errorf("the collector refused %d spans: %.200s", rejected, message)
}

// bytesField is a message's last field of a number, nil when there is none or the message is broken.
func bytesField(m []byte, want protowire.Number) (found []byte) {
	for len(m) > 0 {
		number, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return found
		}
		size := protowire.ConsumeFieldValue(number, kind, m[n:])
		if size < 0 {
			return found
		}
		if number == want && kind == protowire.BytesType {
			found, _ = protowire.ConsumeBytes(m[n:])
		}
		m = m[n+size:]
	}
	return found
}

// close gives the connections back.
func (c *collector) close() { c.client.CloseIdleConnections() }
