package batchjob

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// ErrNoJob is an ErrInput of a place without the output of any job.
var ErrNoJob = errors.New("there is no " + manifestName + " in it or below it")

// Ended is a job that is over, as GetModelInvocationJob describes it.
type Ended struct {
	Summary
	Output string // s3://bucket/prefix where its manifest is, if it left one
	Empty  bool   // it may have left none, and is billed nothing then
}

// ReadEnded reads an answer of GetModelInvocationJob. ok is false for a job that is not over.
func ReadEnded(text []byte) (e Ended, ok bool) {
	var a struct {
		answer
		OutputDataConfig struct {
			S3OutputDataConfig struct{ S3Uri string }
		}
	}
	if json.Unmarshal(text, &a) != nil || !slices.Contains(ended, a.Status) {
		return e, false
	}
	arn, err := ParseARN(a.JobArn)
	e = Ended{
		Summary: Summary{ARN: arn, Name: a.JobName, Model: a.ModelID, Ended: a.EndTime},
		Output:  strings.TrimRight(a.OutputDataConfig.S3OutputDataConfig.S3Uri, "/") + "/" + arn.ID,
		Empty:   a.Status == "Failed" || a.Status == "Stopped" || a.Status == "Expired",
	}
	return e, err == nil && InS3(e.Output)
}
