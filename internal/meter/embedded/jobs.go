package embedded

import (
	"cmp"
	"context"
	"os"
	"slices"
	"sync"
	"time"
)

// Bounds of what Jobs remembers, and of its file.
const (
	mostJobs   = 200_000             // beyond, those that end first are forgotten
	spareLines = 1024                // that the file has beyond twice what is remembered
	oldJobs    = 90 * 24 * time.Hour // how long lines of older versions, which do not say it, are kept
)

// Jobs remembers, in a file, which tenant started which asynchronous job, and whose stored responses are, each for its
// time. Make it with OpenJobs.
type Jobs struct {
	path string
	now  func() time.Time

	mu     sync.Mutex // guards the following fields
	file   *os.File
	owners map[string]*job
	lines  int // of the file, about
	sweep  int // how many lines there are when it is written again
	spare  int // spareLines; another number for tests
}

type job struct {
	ARN, Tenant string
	Until       time.Time
}

// OpenJobs reads the file, or makes it. A line that a crash cut short is passed
// over: its caller never got the job's name.
func OpenJobs(path string, now func() time.Time) (*Jobs, error) {
	j := &Jobs{path: path, now: now, owners: map[string]*job{}, spare: spareLines}
	if err := j.read(); err != nil {
		return nil, err
	}
	j.sweep = 2*len(j.owners) + j.spare
	var err error
	j.file, err = openLines(path)
	return j, err
}

// read takes what the file has that is not past its time.
func (j *Jobs) read() error {
	now := j.now()
	j.lines = 0
	return readLines(j.path, func(one *job) {
		j.lines++
		if one.Until.IsZero() {
			one.Until = now.Add(oldJobs)
		}
		if one.Until.After(now) {
			j.owners[one.ARN] = one
		}
	})
}

// Own remembers, durably, that tenant started the job, for as long as keep.
func (j *Jobs) Own(_ context.Context, invocationARN, tenant string, keep time.Duration) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.own(invocationARN, tenant, keep)
}

// OwnFirst is Own where nobody has the job yet, and returns who has it then.
func (j *Jobs) OwnFirst(_ context.Context, invocationARN, tenant string, keep time.Duration) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if one := j.owners[invocationARN]; one != nil && one.Until.After(j.now()) {
		return one.Tenant, nil
	}
	return tenant, j.own(invocationARN, tenant, keep)
}

func (j *Jobs) own(invocationARN, tenant string, keep time.Duration) error {
	one := &job{invocationARN, tenant, j.now().Add(keep).UTC()}
	if err := addLine(j.file, one); err != nil {
		return err
	}
	j.owners[invocationARN] = one
	j.lines++
	if j.lines < j.sweep && len(j.owners) <= mostJobs {
		return nil
	}
	if j.forget() != nil {
		j.sweep = j.lines + j.spare // what was to be remembered is; the next line that fails says why
	}
	return nil
}

// forget writes the file again without what is past its time, or too much. What another process has added to it since,
// which this one took over from, stays.
func (j *Jobs) forget() error {
	if err := j.read(); err != nil {
		return err
	}
	now, kept := j.now(), make([]*job, 0, len(j.owners))
	for _, one := range j.owners {
		if one.Until.After(now) {
			kept = append(kept, one)
		}
	}
	slices.SortFunc(kept, func(a, b *job) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ARN, b.ARN)) })
	if len(kept) > mostJobs {
		kept = kept[len(kept)-mostJobs*9/10:]
	}
	file, err := replaceLines(j.path, slices.Values(kept))
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.lines, j.sweep = file, len(kept), 2*len(kept)+j.spare
	clear(j.owners)
	for _, one := range kept {
		j.owners[one.ARN] = one
	}
	return old.Close()
}

// Owner returns the tenant that started the job, "" when none did, or its time is over.
func (j *Jobs) Owner(_ context.Context, invocationARN string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if one := j.owners[invocationARN]; one != nil && one.Until.After(j.now()) {
		return one.Tenant, nil
	}
	return "", nil
}

// Close closes the file.
func (j *Jobs) Close() error { return j.file.Close() }
