package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxTextBytes is how much text a condition may look at. A longer one makes the
// condition fail, which escalates: no light model takes a million tokens.
const maxTextBytes = 4 << 20

// view is one request as conditions see it. What must be extracted is read when
// a condition comes to it, once per request. The zero value is not used; it
// belongs to one goroutine.
type view struct {
	in *Input

	text, system      extract
	headers, metadata extract
	searched          int // bytes of text in which this evaluation looked for literals
}

// extract is a value that was read, or why it could not be.
type extract struct {
	value any
	err   error
}

var _ interpreter.Activation = (*view)(nil)

// ResolveName implements interpreter.Activation.
func (v *view) ResolveName(name string) (any, bool) {
	switch name {
	case "request", "tenant", "key":
		return v, true
	case "now":
		return types.Timestamp{Time: v.in.Now}, true
	}
	return nil, false
}

// Parent implements interpreter.Activation: there is none.
func (v *view) Parent() interpreter.Activation { return nil }

func (v *view) dialect() string {
	if v.in.Facts.Dialect == nil {
		return ""
	}
	return v.in.Facts.Dialect.Name
}

// once reads a value the first time that it is asked for.
func (e *extract) once(read func() (any, error)) (any, error) {
	if e.value == nil && e.err == nil {
		e.value, e.err = read()
	}
	return e.value, e.err
}

func (v *view) readText() (any, error) {
	return v.text.once(func() (any, error) {
		if err := v.checkText(); err != nil {
			return nil, err
		}
		dst := make([]byte, 0, v.in.Facts.TextBytes+v.in.Facts.TextBytes/16)
		return types.String(v.in.Facts.AppendText(dst, v.in.Body)), nil
	})
}

// checkText refuses a text that is too long to be looked at.
func (v *view) checkText() error {
	if n := v.in.Facts.TextBytes; n > maxTextBytes {
		return fmt.Errorf("request.text has %d bytes, conditions read at most %d", n, maxTextBytes)
	}
	return nil
}

func (v *view) readSystem() (any, error) {
	return v.system.once(func() (any, error) {
		raw := v.span(v.in.Facts.SystemSpan)
		if v.in.Facts.System && len(raw) == 0 {
			return nil, errors.New("request.system is among the messages of this dialect")
		}
		if len(raw) > maxTextBytes {
			return nil, fmt.Errorf("request.system has %d bytes, conditions read at most %d", len(raw), maxTextBytes)
		}
		text, err := systemText(raw)
		return types.String(text), err
	})
}

// systemText is the text of a system prompt: a string, or blocks of which some
// have a text.
func systemText(raw []byte) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	if raw[0] == '"' {
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var blocks []struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		return "", err
	}
	var texts []string
	for _, b := range blocks {
		if b.Text != "" {
			texts = append(texts, b.Text)
		}
	}
	return strings.Join(texts, "\n"), nil
}

// secretHeaders are never shown to conditions.
var secretHeaders = map[string]bool{"authorization": true, "cookie": true, "x-amz-security-token": true}

// readHeaders gives the header fields by name in lower case; of several with
// one name the first counts, as everywhere in the gateway.
func (v *view) readHeaders() (any, error) {
	return v.headers.once(func() (any, error) {
		headers := make(map[string]string, len(v.in.Header))
		for _, f := range v.in.Header {
			name := strings.ToLower(f.Name)
			if _, taken := headers[name]; !taken && !secretHeaders[name] {
				headers[name] = f.Value
			}
		}
		return types.NewStringStringMap(types.DefaultTypeAdapter, headers), nil
	})
}

// metadataHeader is where InvokeModel has what Converse has in requestMetadata.
const metadataHeader = "X-Amzn-Bedrock-Request-Metadata"

func (v *view) readMetadata() (any, error) {
	return v.metadata.once(func() (any, error) {
		raw := v.span(v.in.Facts.Metadata)
		if v.in.Facts.Op.IsInvoke() {
			raw = []byte(v.in.Header.Get(metadataHeader))
		}
		pairs := map[string]string{}
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &pairs); err != nil {
				return nil, fmt.Errorf("request.metadata: %w", err)
			}
		}
		return types.NewStringStringMap(types.DefaultTypeAdapter, pairs), nil
	})
}

func (v *view) span(s wire.Span) []byte {
	if !s.Present() || s.End > len(v.in.Body) {
		return nil
	}
	return v.in.Body[s.Start:s.End]
}
