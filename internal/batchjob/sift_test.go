package batchjob

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// isMine is of jobs whose ARN begins with an m.
func isMine(arn string) (bool, error) {
	if arn == "lost" {
		return false, errors.ErrUnsupported
	}
	return strings.HasPrefix(arn, "m"), nil
}

func TestSift(t *testing.T) {
	f := func(answer, want string) {
		t.Helper()
		got, err := Sift([]byte(answer), isMine)
		if err != nil || string(got) != want {
			t.Errorf("%s:\n%s %v\nwant\n%s", answer, got, err, want)
		}
	}
	f(`{}`, `{}`)
	f(`{"nextToken":"x","invocationJobSummaries":[]}`, `{"nextToken":"x","invocationJobSummaries":[]}`)
	f(`{"invocationJobSummaries":[{"jobArn":"m1", "x":[1]} , {"jobArn":"m2"}]}`,
		`{"invocationJobSummaries":[{"jobArn":"m1", "x":[1]} , {"jobArn":"m2"}]}`)
	f(`{"invocationJobSummaries": [ {"jobArn":"a"},{"x":{"jobArn":"a"},"jobArn":"m1","y":0.20} , {"jobArn":"b"} ],"z":1}`,
		`{"invocationJobSummaries": [{"x":{"jobArn":"a"},"jobArn":"m1","y":0.20}],"z":1}`)
	f(`{"invocationJobSummaries":[{"jobArn":"a"}],"nextToken":"n"}`, `{"invocationJobSummaries":[],"nextToken":"n"}`)
	f(`{"invocationJobSummaries":[{"jobArn":"m1"},{"jobName":"no ARN"},{"jobArn":7},"m2",["m3"],null]}`,
		`{"invocationJobSummaries":[{"jobArn":"m1"}]}`)
	f(`{"invocationJobSummaries":{"jobArn":"a"}}`, `{"invocationJobSummaries":{"jobArn":"a"}}`)
	f(`{"invocationJobSummaries":[{"job\u0041rn":"a"}]}`, `{"invocationJobSummaries":[]}`)

	for _, text := range []string{"", "[", `{"invocationJobSummaries":[{"jobArn":"a","jobArn":"m1"}]}`} {
		if _, err := Sift([]byte(text), isMine); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Sift([]byte(`{"invocationJobSummaries":[{"jobArn":"lost"}]}`), isMine); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// FuzzSift has another reader look for jobs of others.
func FuzzSift(f *testing.F) {
	f.Add(`{"invocationJobSummaries":[{"jobArn":"m1"},{"jobArn":"a"}],"nextToken":"n"}`)
	f.Add(`{"invocationJobSummaries":[[{"jobArn":"a"}],{"jobArn":"a","x":{"jobArn":"m"}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Sift([]byte(text), isMine)
		if err != nil {
			return
		}
		var list struct {
			InvocationJobSummaries []struct{ JobArn string }
		}
		if json.Unmarshal(got, &list) != nil {
			return // no answer that SDKs could read
		}
		var exact map[string]json.RawMessage
		if json.Unmarshal(got, &exact); exact["invocationJobSummaries"] == nil {
			return // a name in another case, which AWS does not write
		}
		again, err := Sift(got, isMine)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s became %s, and that %s %v", text, got, again, err)
		}
	})
}
