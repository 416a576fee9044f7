package batchjob

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// ErrBounds is of input that is more than may be read, or that nobody could read in time.
var ErrBounds = errors.New("more than may be read")

// Bounds of input beside those that a tenant has.
const (
	mostInputs  = 1000             // files of one job
	mostRecord  = 32 << 20         // of a line
	atOnce      = 2                // jobs whose input is read at the same time
	inputWithin = 40 * time.Second // in which input is listed and read: SDKs wait a minute for an answer
	inputEnd    = ".jsonl"
)

// Limits are how much input a job may have.
type Limits struct{ Bytes, Records int64 }

// Asked is one record of a job's input. Its bytes are valid until the next is read.
type Asked struct {
	Where string // object and line
	Input []byte // of the model, as InvokeModel or Converse would get it
}

// Inputs reads what jobs are asked, a few jobs at a time. Make it with NewInputs; it is safe for concurrent use. nil
// reads nothing.
type Inputs struct {
	of   Objects
	room chan struct{}
	seed maphash.Seed
}

// NewInputs returns a reader of objects.
func NewInputs(of Objects) *Inputs {
	return &Inputs{of, make(chan struct{}, atOnce), maphash.MakeSeed()}
}

// Objects is where they are read, nil for nowhere.
func (in *Inputs) Objects() Objects {
	if in == nil {
		return nil
	}
	return in.of
}

// Read yields the records of a job, of the file at a place or of the files below it, and returns how many there are. It
// ends with the first error: with ErrInput for what Bedrock would refuse, ErrBounds for too much, or as the objects do.
func (in *Inputs) Read(ctx context.Context, place string, l Limits, yield func(*Asked) error) (int64, error) {
	if in == nil {
		return 0, errors.New("nothing is read here")
	}
	ctx, cancel := context.WithTimeout(ctx, inputWithin)
	defer cancel()
	select {
	case in.room <- struct{}{}:
		defer func() { <-in.room }()
	case <-ctx.Done():
		return 0, fmt.Errorf("%s: the input of other jobs is being read: %w", place, ErrBounds)
	}
	r := &inputReader{Inputs: in, limits: l, left: l.Bytes, yield: yield, ids: map[uint64]struct{}{}}
	err := r.files(ctx, place)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%s: it could not be read in %s: %w", place, inputWithin, ErrBounds)
	}
	if err == nil && r.records == 0 {
		err = wrongInput(place, "it has no records")
	}
	return r.records, err
}

// wrongInput is an ErrInput with its place.
func wrongInput(where, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", where, errAsked, fmt.Errorf(format, args...))
}

// errAsked is an ErrInput that speaks of what a job is asked, not of what it left.
var errAsked = asked{}

type asked struct{}

// Error implements error.
func (asked) Error() string { return "not the input of a batch job" }

// Is makes it an ErrInput.
func (asked) Is(target error) bool { return target == ErrInput }

// inputReader is one job's input as far as it was read.
type inputReader struct {
	*Inputs
	limits  Limits
	left    int64 // bytes that may still be read
	records int64
	yield   func(*Asked) error
	ids     map[uint64]struct{} // hashes of those that occurred
}

// files reads the file of that name, or all below it.
func (r *inputReader) files(ctx context.Context, place string) error {
	var names []string
	err := r.of.List(ctx, place, func(name string, _ time.Time) error {
		below := strings.TrimPrefix(name, place)
		folder := strings.HasSuffix(place, "/") || strings.HasPrefix(below, "/")
		if below != "" && (!folder || !strings.HasSuffix(name, inputEnd)) {
			return nil // another file, of which this one's name is a part, or a folder's own mark
		}
		if names = append(names, name); len(names) > mostInputs {
			return fmt.Errorf("%s: it has more than %d files: %w", place, mostInputs, ErrBounds)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return wrongInput(place, "there is no such file, nor a folder of that name with files that end in %s", inputEnd)
	}
	for _, name := range names {
		if err := r.file(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// file reads one file.
func (r *inputReader) file(ctx context.Context, name string) error {
	body, err := r.of.Get(ctx, name)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(&counted{body, &r.left})
	lines.Buffer(make([]byte, 0, 64<<10), mostRecord)
	n := 1
	for ; lines.Scan(); n++ {
		if err := r.line(fmt.Sprintf("%s:%d", name, n), bytes.TrimSpace(lines.Bytes())); err != nil {
			return err
		}
	}
	return cutShort(fmt.Sprintf("%s:%d", name, n), lines.Err())
}

// cutShort says why a file ends early, nil where it does not.
func cutShort(where string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%s: the line has more than %d MiB: %w", where, mostRecord>>20, ErrBounds)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// counted ends with ErrBounds once nothing is left.
type counted struct {
	io.Reader
	left *int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if *c.left -= int64(n); *c.left < 0 {
		return 0, fmt.Errorf("the input has too many bytes: %w", ErrBounds)
	}
	return n, err
}

// What of a record is read.
const (
	ofRoot uint8 = iota + 1
	ofID
	ofModelInput
)

var askedTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "", Role: ofRoot}, {Path: "recordId", Role: ofID}, {Path: "modelInput", Role: ofModelInput},
})

// line reads one record.
func (r *inputReader) line(where string, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if r.records++; r.records > r.limits.Records {
		return fmt.Errorf("%s: the input has more than %d records: %w", where, r.limits.Records, ErrBounds)
	}
	id, input, err := readAsked(text)
	switch {
	case err != nil:
		return wrongInput(where, "%w", err)
	case id != "" && !r.isNew(id):
		return wrongInput(where, "recordId %.64q is there twice", id)
	}
	return r.yield(&Asked{where, input})
}

// readAsked reads a line of input.
func readAsked(text []byte) (id string, input []byte, err error) {
	var w jsonscan.Walker
	w.Reset(askedTree, text)
	object := false
	for m := w.Next(); m.Role != 0; m = w.Next() {
		switch {
		case m.Role == ofRoot:
			object = m.Kind == jsonscan.BeginObject || m.Kind == jsonscan.EndObject
		case m.Role == ofID && m.Kind == jsonscan.String:
			id = string(jsonscan.AppendString(nil, text[m.Start:m.End]))
		case m.Role == ofModelInput && m.Kind == jsonscan.EndObject:
			input = text[m.Start:m.End]
		}
	}
	switch err := w.Err(); {
	case err != nil:
		return "", nil, fmt.Errorf("the line is no JSON object: %w", err)
	case !object:
		return "", nil, errors.New("the line is no JSON object")
	case input == nil:
		return "", nil, errors.New("it has no modelInput that is an object")
	}
	return id, input, nil
}

// isNew notes an id, and reports whether it is there for the first time.
func (r *inputReader) isNew(id string) bool {
	sum := maphash.String(r.seed, id)
	_, twice := r.ids[sum]
	r.ids[sum] = struct{}{}
	return !twice
}
