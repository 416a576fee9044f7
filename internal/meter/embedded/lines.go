package embedded

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
)

// readLines yields the JSON lines of a file, none when there is no file. A line
// that cannot be read was cut short by a crash and is passed over.
func readLines[T any](path string, yield func(*T)) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := new(T)
		if json.Unmarshal(lines.Bytes(), line) == nil {
			yield(line)
		}
	}
	return lines.Err()
}

// addLine appends a JSON line. It is on disk when addLine returns.
func addLine(f *os.File, line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	return f.Sync()
}

// replaceLines puts a file with these lines in place of another, all or nothing, and returns it for addLine.
func replaceLines[T any](path string, lines iter.Seq[T]) (*os.File, error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(f)
	encoder := json.NewEncoder(out)
	for line := range lines {
		if err == nil {
			err = encoder.Encode(line)
		}
	}
	err = cmp.Or(err, out.Flush(), f.Sync())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openLines opens a file for addLine, or makes it. A line that was cut short is
// ended, so that the next one is a line of its own.
func openLines(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size > 0 {
		_, err = f.WriteString("\n")
	}
	return f, err
}
