package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// jobs are the asynchronous invocations. Each completes at once; nothing is
// written to S3.
type jobs struct {
	mu  sync.Mutex // guards all
	all []job      // in the order of their start
}

type job struct {
	arn, token, model, s3 string
	started               time.Time
}

// maxJobs bounds the memory of jobs.
const maxJobs = 10_000

const noSuchJob = "Could not find the asynchronous invocation."

// start begins a job. A client token that was used before gets its job again.
func (j *jobs) start(c *call) (*outcome, *failure) {
	model, _ := c.body["modelId"].(string)
	s3, _ := lookup(c.body, "outputDataConfig.s3OutputDataConfig.s3Uri").(string)
	token, _ := c.body["clientRequestToken"].(string)
	if model == "" || c.body["modelInput"] == nil || s3 == "" {
		return nil, invalid("modelId, modelInput and outputDataConfig.s3OutputDataConfig.s3Uri are required.")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, old := range j.all {
		if token != "" && old.token == token {
			return &outcome{body: object{"invocationArn": old.arn}}, nil
		}
	}
	if len(j.all) == maxJobs {
		return nil, &failure{http.StatusBadRequest, "ServiceQuotaExceededException", "Too many asynchronous invocations.",
			modelsURI}
	}
	arn := fmt.Sprintf("arn:aws:bedrock:%s:%s:async-invoke/%s", c.region, account, strings.ReplaceAll(c.id, "-", "")[:12])
	j.all = append(j.all, job{arn: arn, token: token, model: modelARN(c.region, model), s3: s3, started: c.start})
	return &outcome{body: object{"invocationArn": arn}}, nil
}

func modelARN(region, model string) string {
	if strings.HasPrefix(model, "arn:") {
		return model
	}
	return "arn:aws:bedrock:" + region + "::foundation-model/" + model
}

func (j *jobs) get(arn string) (*outcome, *failure) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.all {
		if j.all[i].arn == arn {
			return &outcome{body: j.all[i].object()}, nil
		}
	}
	return nil, invalid(noSuchJob)
}

// list returns a page of jobs. Its token is the place of the next one.
func (j *jobs) list(query string) (*outcome, *failure) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, invalid("The query is malformed.")
	}
	size, from := 100, 0
	for name, to := range map[string]*int{"maxResults": &size, "nextToken": &from} {
		if text := q.Get(name); text != "" {
			if *to, err = strconv.Atoi(text); err != nil || *to < 0 {
				return nil, invalid(name + " is invalid.")
			}
		}
	}
	rows := []any{}
	if status := q.Get("statusEquals"); status != "" && status != jobStatus {
		return &outcome{body: object{"asyncInvokeSummaries": rows}}, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	order := slices.Clone(j.all)
	if q.Get("sortOrder") != "Ascending" {
		slices.Reverse(order)
	}
	from = min(from, len(order))
	to := min(from+size, len(order))
	for i := range order[from:to] {
		rows = append(rows, order[from+i].object())
	}
	body := object{"asyncInvokeSummaries": rows}
	if to < len(order) {
		body["nextToken"] = strconv.Itoa(to)
	}
	return &outcome{body: body}, nil
}

const jobStatus = "Completed"

func (b *job) object() object {
	at := b.started.UTC().Format(time.RFC3339)
	return object{
		"invocationArn": b.arn, "modelArn": b.model, "status": jobStatus, "clientRequestToken": b.token,
		"submitTime": at, "lastModifiedTime": at, "endTime": at,
		"outputDataConfig": object{"s3OutputDataConfig": object{"s3Uri": b.s3}},
	}
}
