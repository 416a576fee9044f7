package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
)

// Jobs remembers, in an append-only file, which tenant started which
// asynchronous job. Make it with OpenJobs.
type Jobs struct {
	mu     sync.Mutex // guards the following fields
	file   *os.File
	owners map[string]string
}

type job struct{ ARN, Tenant string }

// OpenJobs reads the file, or makes it. A line that a crash cut short is passed
// over: its job was never told to its caller.
func OpenJobs(path string) (*Jobs, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Jobs{file: f, owners: map[string]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var entry job
		if json.Unmarshal(lines.Bytes(), &entry) == nil {
			j.owners[entry.ARN] = entry.Tenant
		}
	}
	return j, errors.Join(lines.Err(), j.endLine())
}

// endLine makes the next entry begin on a line of its own.
func (j *Jobs) endLine() error {
	size, err := j.file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	_, err = j.file.WriteString("\n")
	return err
}

// Own remembers, durably, that tenant started the job.
func (j *Jobs) Own(_ context.Context, invocationARN, tenant string) error {
	line, err := json.Marshal(job{invocationARN, tenant})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.owners[invocationARN] = tenant
	return nil
}

// Owner returns the tenant that started the job, "" when nobody did.
func (j *Jobs) Owner(_ context.Context, invocationARN string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.owners[invocationARN], nil
}

// Close closes the file.
func (j *Jobs) Close() error { return j.file.Close() }
