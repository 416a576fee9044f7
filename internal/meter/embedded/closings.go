package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// ReadClosings reads which months are closed, by root, from the file that
// AppendClosing writes. Without the file there are none. A last line that is cut is
// skipped: its command has not succeeded.
func ReadClosings(file string) (map[string]ledger.Closings, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	all := map[string]ledger.Closings{}
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return all, nil // also behind a cut line
		}
		if err != nil {
			return nil, err
		}
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(words) < 3 {
			return nil, fmt.Errorf("%s: %q is no closing", file, line)
		}
		through, err := time.Parse(time.RFC3339, words[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		c, err := ledger.ParseClosing(through, words[2])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[words[0]] = all[words[0]].With(c)
	}
}

// AppendClosing marks a month of a root as closed in the file, and returns the mark
// that it has: an earlier one's, if it was closed before. It fails with
// ledger.ErrClosing when a later one is closed.
func AppendClosing(file, root string, c ledger.Closing) (ledger.Closing, error) {
	all, err := ReadClosings(file)
	if err != nil {
		return c, err
	}
	if had := all[root].Find(c.Through); had != nil {
		return *had, nil
	}
	if all[root].Last().After(c.Through) {
		return c, fmt.Errorf("%w: a later one of root %s is closed", ledger.ErrClosing, root)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return c, err
	}
	err = dropCutLine(f)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %s %s\n", root, c.Through.UTC().Format(time.RFC3339), c.String())
	}
	return c, errors.Join(err, f.Sync(), f.Close())
}

// dropCutLine removes what a crash left of a last line.
func dropCutLine(f *os.File) error {
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	return f.Truncate(int64(strings.LastIndexByte(string(data), '\n') + 1))
}

// TakeClosings takes in which months are closed according to a file.
func (s *State) TakeClosings(file string) error {
	closed, err := ReadClosings(file)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closings = closed
	}
	return err
}

// Closings returns the closed months of a root, oldest first.
func (s *State) Closings(_ context.Context, root string) (ledger.Closings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closings[root], nil
}
