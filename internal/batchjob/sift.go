package batchjob

import (
	"bytes"
	"errors"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// What of a list of jobs is read.
const (
	ofList uint8 = iota + 1
	ofJob
	ofARN
)

var listTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "invocationJobSummaries", Role: ofList}, {Path: "invocationJobSummaries[]", Role: ofJob},
	{Path: "invocationJobSummaries[].jobArn", Role: ofARN},
})

// Sift leaves those jobs in an answer of ListModelInvocationJobs that are mine; all else in it stays as it is. It fails
// with ErrInput for what is no JSON, and as mine does.
func Sift(answer []byte, mine func(arn string) (bool, error)) ([]byte, error) {
	var w jsonscan.Walker
	var list jsonscan.Match
	var kept [][]byte
	arn, all := "", true
	w.Reset(listTree, answer)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		switch {
		case m.Role == ofList:
			list = m
		case m.Role == ofARN && m.Kind == jsonscan.String:
			arn = string(jsonscan.Text(answer, m.Token))
		case m.Role == ofJob && m.Kind == jsonscan.BeginObject:
			arn = ""
		case m.Role == ofJob:
			yes := false
			if arn != "" {
				var err error
				if yes, err = mine(arn); err != nil {
					return nil, err
				}
			}
			if arn = ""; yes {
				kept = append(kept, answer[m.Start:m.End])
			}
			all = all && yes
		}
	}
	if err := w.Err(); err != nil {
		return nil, errors.Join(ErrInput, err)
	}
	if all || list.Kind != jsonscan.EndArray {
		return answer, nil
	}
	return bytes.Join([][]byte{answer[:list.Start+1], bytes.Join(kept, []byte(",")), answer[list.End-1:]}, nil), nil
}
