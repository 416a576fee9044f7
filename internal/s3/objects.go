package s3

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// within is how long a try may take until it is answered, and how long an object that is read may bring nothing.
const within = time.Minute

// Put writes an object. S3 shows it whole or not at all.
func (c *Client) Put(ctx context.Context, uri string, body []byte) error {
	at, err := c.address(uri)
	if err != nil {
		return err
	}
	res, err := c.do(ctx, &call{method: http.MethodPut, at: at, body: body})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Get opens an object, which is read as it comes. It ends with an error once nothing comes for a minute.
func (c *Client) Get(ctx context.Context, uri string) (io.ReadCloser, error) {
	at, err := c.address(uri)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	res, err := c.do(ctx, &call{method: http.MethodGet, at: at}) //nolint:bodyclose // the object closes it
	if err != nil {
		cancel()
		return nil, err
	}
	return &object{res.Body, time.AfterFunc(within, cancel), cancel}, nil
}

// object is one that is read.
type object struct {
	body    io.ReadCloser
	stalled *time.Timer
	cancel  context.CancelFunc
}

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	o.stalled.Reset(within)
	return o.body.Read(p)
}

// Close implements io.Closer.
func (o *object) Close() error {
	o.stalled.Stop()
	o.cancel()
	return o.body.Close()
}

// page is an answer of ListObjectsV2, with encoding-type=url.
type page struct {
	Contents []struct {
		Key          string
		LastModified time.Time
	}
	IsTruncated           bool
	NextContinuationToken string
}

// mostPage bounds a page: 1,000 keys of 1,024 bytes, each of which may take three.
const mostPage = 8 << 20

// List yields the objects whose names begin with uri, in the order of their keys, and when they were written.
func (c *Client) List(ctx context.Context, uri string, yield func(uri string, written time.Time) error) error {
	bucket, prefix, ok := Split(uri)
	if !ok {
		return fmt.Errorf("%q: %w", uri, errURI)
	}
	at, err := c.address(Scheme + bucket)
	if err != nil {
		return err
	}
	ask := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {prefix}}
	for {
		at.RawQuery = strings.ReplaceAll(ask.Encode(), "+", "%20")
		p, err := c.page(ctx, at)
		if err != nil {
			return err
		}
		for _, one := range p.Contents {
			key, err := url.QueryUnescape(one.Key)
			if err != nil {
				return fmt.Errorf("the bucket lists %q: %w", one.Key, err)
			}
			if err := yield(Scheme+bucket+"/"+key, one.LastModified); err != nil {
				return err
			}
		}
		if !p.IsTruncated || p.NextContinuationToken == "" {
			return nil
		}
		ask.Set("continuation-token", p.NextContinuationToken)
	}
}

func (c *Client) page(ctx context.Context, at *url.URL) (*page, error) {
	ctx, cancel := context.WithTimeout(ctx, tries*within)
	defer cancel()
	res, err := c.do(ctx, &call{method: http.MethodGet, at: at})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	p := &page{}
	if err := xml.NewDecoder(io.LimitReader(res.Body, mostPage)).Decode(p); err != nil {
		return nil, fmt.Errorf("the bucket's list cannot be read: %w", err)
	}
	return p, nil
}
