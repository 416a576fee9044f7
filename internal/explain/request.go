package explain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// ErrRequest is wrapped by errors about a request file.
var ErrRequest = errors.New("the request cannot be read")

// ParseHTTP reads a request as it is written on the wire with HTTP/1.1: request
// line, header, empty line, body to the end. Lines may end in LF alone, and no
// Content-Length is needed, so that it can be written by hand. It fails with
// ErrRequest.
func ParseHTTP(data []byte, basePath string) (*Request, error) {
	in := bufio.NewReader(bytes.NewReader(data))
	lines := textproto.NewReader(in)
	first, err := lines.ReadLine()
	if err != nil {
		return nil, fmt.Errorf("%w: it is empty", ErrRequest)
	}
	words := strings.Fields(first)
	if len(words) < 2 || len(words) > 3 {
		return nil, fmt.Errorf("%w: %.60q is no request line such as POST /model/ID/converse HTTP/1.1", ErrRequest, first)
	}
	target, bad := wire.ParseTarget(words[0], words[1], basePath)
	if bad != nil {
		return nil, fmt.Errorf("%w: %s", ErrRequest, bad.Message)
	}
	r := &Request{Op: target.Op, Model: target.Model}
	for {
		line, err := lines.ReadLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		if line == "" {
			break
		}
		field, err := ParseField(line)
		if err != nil {
			return nil, err
		}
		r.Header = append(r.Header, field)
	}
	if r.Body, err = io.ReadAll(in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r, nil
}

// ParseField reads one header field, "name: value". It fails with ErrRequest.
func ParseField(line string) (wire.Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return wire.Field{}, fmt.Errorf("%w: %q is no header field such as x-team: search", ErrRequest, line)
	}
	return wire.Field{Name: name, Value: strings.TrimSpace(value)}, nil
}

// ConverseBody is a Converse request with one user message, and the output cap
// that it asks for, 0 for none.
func ConverseBody(text string, maxTokens int64) []byte {
	type block struct {
		Text string `json:"text"`
	}
	type message struct {
		Role    string  `json:"role"`
		Content []block `json:"content"`
	}
	type limit struct {
		MaxTokens int64 `json:"maxTokens"`
	}
	body := struct {
		Messages []message `json:"messages"`
		Limit    *limit    `json:"inferenceConfig,omitempty"`
	}{Messages: []message{{"user", []block{{text}}}}}
	if maxTokens > 0 {
		body.Limit = &limit{maxTokens}
	}
	data, err := json.Marshal(&body)
	if err != nil {
		panic("BUG: strings and numbers do not marshal: " + err.Error())
	}
	return data
}
