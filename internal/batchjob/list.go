package batchjob

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// arnForm is the ARN of a job (AWS service model bedrock, ModelInvocationJobArn).
var arnForm = regexp.MustCompile(
	`^arn:(aws[a-z-]*):bedrock:([a-z0-9-]{1,20}):([0-9]{12}):model-invocation-job/([a-z0-9]{12})$`)

// ARN is the name of a job, and what it says.
type ARN struct{ Text, Region, Account, ID string }

// ParseARN reads the ARN of a job.
func ParseARN(text string) (ARN, error) {
	part := arnForm.FindStringSubmatch(text)
	if part == nil || part[1] != wire.Partition(part[2]) {
		return ARN{}, fmt.Errorf("%q is not the ARN of a model invocation job", text)
	}
	return ARN{Text: text, Region: part[2], Account: part[3], ID: part[4]}, nil
}

// Check fails with ErrInput where the output in a folder is not that of the job.
func (a *ARN) Check(j *Job) error {
	if a.ID != j.ID {
		return wrong(j.Dir, "the folder is of job %s, not of %s", j.ID, a.Text)
	}
	return nil
}

// Summary is what Bedrock says of a job, as far as it says who pays for what.
type Summary struct {
	ARN         ARN
	Name, Model string
	Ended       time.Time // zero where it is not said
}

// ended are the states in which a job is over (AWS service model bedrock, ModelInvocationJobStatus).
var ended = []string{"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"}

// ReadSummaries reads a file with the answer of ListModelInvocationJobs or GetModelInvocationJob, as
// `aws bedrock` prints it. It fails with a *userfile.Error, or ErrInput.
func ReadSummaries(name string) ([]Summary, error) {
	text, err := userfile.UTF8(name)
	if err != nil {
		return nil, err
	}
	all, err := readSummaries(text)
	if err != nil {
		return nil, wrong(name, "%w", err)
	}
	return all, nil
}

// answer is a job as Bedrock describes it.
type answer struct {
	JobArn, JobName, ModelID, Status string
	EndTime                          time.Time
}

func readSummaries(text []byte) (all []Summary, err error) {
	var list struct {
		InvocationJobSummaries []answer
		answer
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("it is no answer of ListModelInvocationJobs: %w", err)
	}
	if list.JobArn != "" {
		list.InvocationJobSummaries = append(list.InvocationJobSummaries, list.answer)
	}
	if len(list.InvocationJobSummaries) == 0 {
		return nil, errors.New("it has no jobs")
	}
	for _, one := range list.InvocationJobSummaries {
		arn, err := ParseARN(one.JobArn)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ended, one.Status) {
			continue
		}
		all = append(all, Summary{ARN: arn, Name: one.JobName, Model: one.ModelID, Ended: one.EndTime})
	}
	return all, nil
}
