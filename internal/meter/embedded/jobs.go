package embedded

import (
	"context"
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
// over: its caller never got the job's name.
func OpenJobs(path string) (*Jobs, error) {
	j := &Jobs{owners: map[string]string{}}
	err := readLines(path, func(one *job) { j.owners[one.ARN] = one.Tenant })
	if err != nil {
		return nil, err
	}
	j.file, err = openLines(path)
	return j, err
}

// Own remembers, durably, that tenant started the job.
func (j *Jobs) Own(_ context.Context, invocationARN, tenant string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := addLine(j.file, job{invocationARN, tenant}); err != nil {
		return err
	}
	j.owners[invocationARN] = tenant
	return nil
}

// Owner returns the tenant that started the job, "" when none did.
func (j *Jobs) Owner(_ context.Context, invocationARN string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.owners[invocationARN], nil
}

// Close closes the file.
func (j *Jobs) Close() error { return j.file.Close() }
