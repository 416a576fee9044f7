package batchjob

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// mostLine bounds a line: it has its record's input, with documents and images.
const mostLine = 128 << 20

// Record is one line of output. Its bytes are valid until the next is read.
type Record struct {
	Where string // file and line
	ID    string
	Input []byte // of the model, as InvokeModel or Converse would get it
	// Output is the model's answer, nil where the record failed.
	Output []byte
}

// Records yields the records of a job, in the order of its files. It ends with the first error, its
// own as ErrInput.
func (j *Job) Records(yield func(*Record) error) error {
	for _, name := range j.files {
		file, err := j.open(name)
		if err != nil {
			return err
		}
		err = readRecords(name, file, yield)
		file.Close() //nolint:errcheck,gosec // it was only read
		if err != nil {
			return err
		}
	}
	return nil
}

// readRecords reads one file of output.
func readRecords(name string, r io.Reader, yield func(*Record) error) error {
	plain, err := userfile.Unzipped(r)
	if err != nil {
		return wrong(name, "%w", err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 0, 64<<10), mostLine)
	n := 1
	for ; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		rec := Record{Where: fmt.Sprintf("%s:%d", name, n)}
		if err := rec.read(text); err != nil {
			return wrong(rec.Where, "%w", err)
		}
		if err := yield(&rec); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return wrong(fmt.Sprintf("%s:%d", name, n), "the line has more than %d MiB", mostLine>>20)
	case err != nil:
		return wrong(name, "%w", err)
	}
	return nil
}

// read reads one line.
func (rec *Record) read(text []byte) error {
	var line struct {
		RecordID                       json.RawMessage
		ModelInput, ModelOutput, Error json.RawMessage
	}
	if err := json.Unmarshal(text, &line); err != nil {
		if cut(text) {
			return errors.New("the line is cut: it ends within its JSON object")
		}
		return fmt.Errorf("the line is no JSON object: %w", err)
	}
	if len(line.RecordID) > 0 && json.Unmarshal(line.RecordID, &rec.ID) != nil {
		return errors.New("recordId is no text")
	}
	answered, failed := given(line.ModelOutput), given(line.Error)
	switch {
	case answered && failed:
		return errors.New("it has modelOutput and error")
	case !answered && !failed:
		return errors.New("it has neither modelOutput nor error")
	case answered:
		rec.Output = line.ModelOutput
	}
	rec.Input = line.ModelInput
	return nil
}

// cut reports whether a text ends within its JSON value.
func cut(text []byte) bool {
	var value json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&value), io.ErrUnexpectedEOF)
}

func given(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }
