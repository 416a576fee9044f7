package prices

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
)

// document is a JSON file that is read, which knows where things are in it.
type document struct {
	name   string
	data   []byte
	faults []config.Fault
}

func openDocument(name string) (*document, error) {
	data, err := userfile.UTF8(name)
	return &document{name: name, data: data}, err
}

// span is a part of a document: from its first byte to before to.
type span struct{ from, to int }

func (d *document) whole() span { return span{0, len(d.data)} }

// decode reads a value. What is missing in it stays as it was.
func (d *document) decode(of span, to any) error { return json.Unmarshal(d.data[of.from:of.to], to) }

// members calls f for each member of an object, in the order of the file, with where
// its key is. A name that the object has twice is a fault.
func (d *document) members(of span, f func(name string, key, value span) error) error {
	dec := json.NewDecoder(bytes.NewReader(d.data[of.from:of.to]))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return d.broken(of.from, err, "is no JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return d.broken(of.from+int(dec.InputOffset()), err, "is no JSON")
		}
		end := of.from + int(dec.InputOffset())
		key := span{max(of.from, bytes.LastIndexByte(d.data[of.from:end-1], '"')+of.from), end}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return d.broken(end, err, "is no JSON")
		}
		if seen[name] {
			d.fault(key, "%s is there twice", name)
		}
		seen[name] = true
		to := of.from + int(dec.InputOffset())
		if err := f(name, key, span{to - len(raw), to}); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return d.broken(of.to, err, "is no JSON")
	}
	return nil
}

// broken is the error about a file that is not JSON, or not of the form that it
// should have.
func (d *document) broken(at int, err error, what string) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		what = "the JSON ends here, before it is whole: was the file cut off?"
	case errors.As(err, &syntax):
		what = "is no JSON: " + err.Error()
	}
	d.fault(span{at, at}, "%s", what)
	return d.err()
}

// inside is where the member called name of the object at of is, or the object.
func (d *document) inside(of span, name string) span {
	quoted := fmt.Appendf(nil, "%q", name)
	i := bytes.Index(d.data[of.from:of.to], quoted)
	if i < 0 {
		return of
	}
	return span{of.from + i, of.from + i + len(quoted)}
}

// fault notes a mistake.
func (d *document) fault(at span, format string, args ...any) {
	d.faults = append(d.faults, config.Fault{Position: d.position(at.from), Message: fmt.Sprintf(format, args...)})
}

// longestLine is how long a line may be to be shown: files of one line are not.
const longestLine = 200

// position is the line and column of a byte, counted from 1.
func (d *document) position(at int) config.Position {
	at = min(at, len(d.data))
	start := bytes.LastIndexByte(d.data[:at], '\n') + 1
	p := config.Position{
		File: d.name, Line: bytes.Count(d.data[:start], []byte{'\n'}) + 1,
		Column: utf8.RuneCount(d.data[start:at]) + 1,
	}
	line, _, _ := bytes.Cut(d.data[start:min(len(d.data), start+longestLine+1)], []byte{'\n'})
	if len(line) <= longestLine {
		p.Text = string(line)
	}
	return p
}

// err is all that was found, nil when there is nothing.
func (d *document) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	return &config.Error{Faults: d.faults}
}
