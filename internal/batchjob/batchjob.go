// Package batchjob reads what a batch job of Bedrock leaves in S3, there or in a folder that
// mirrors the bucket, and says what its records used and cost.
//
// A job's folder has manifest.json.out, and a file that ends in .jsonl.out for each file of its
// input, gzipped or not (Amazon Bedrock user guide, "View the results of a batch inference
// job"). Files are read line by line. The package writes nothing.
package batchjob

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrInput is of output that is not that of a job, not all of it, or not of the job that it is
// said to be of.
var ErrInput = errors.New("not the output of a batch job")

// wrong is an ErrInput with its place.
func wrong(where, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", where, ErrInput, fmt.Errorf(format, args...))
}

// Job is the output of one job that has ended.
type Job struct {
	Dir      string
	ID       string    // the name of its folder, which is the last part of the job's ARN
	Written  time.Time // when its manifest was, as the file system or S3 says
	Manifest Manifest
	open     func(name string) (io.ReadCloser, error)
	files    []string // of output, in the order of their names
}

// Manifest is the summary that Bedrock writes when a job has ended.
type Manifest struct {
	Total, Processed, Success, Error int64
	// Input and Output are sums of tokens, -1 where it does not say.
	Input, Output int64
}

// check refuses counts that no job can have.
func (m *Manifest) check() error {
	switch {
	case m.Success+m.Error != m.Processed:
		return fmt.Errorf("successRecordCount %d and errorRecordCount %d are not processedRecordCount %d", m.Success,
			m.Error, m.Processed)
	case m.Processed > m.Total:
		return fmt.Errorf("processedRecordCount %d is more than totalRecordCount %d", m.Processed, m.Total)
	}
	return nil
}
