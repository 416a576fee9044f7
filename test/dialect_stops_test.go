package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// said is how an answer ended, as a caller sees it.
type said struct {
	Reason  string `json:"stop_reason"`
	Choices []struct {
		Reason string `json:"finish_reason"`
	}
	Status     string
	Incomplete struct{ Reason string } `json:"incomplete_details"`
	Delta      json.RawMessage
	Response   *said
	Error      struct{ Type, Code string }
}

// words are what docs/dialects.md has for the end of an answer, "" for a part of a stream that does not end it.
func (s *said) words() string {
	switch {
	case s.Response != nil:
		return s.Response.words()
	case s.Error.Code != "":
		return "`" + s.Error.Code + "`"
	case s.Error.Type != "":
		return "`" + s.Error.Type + "`"
	case s.Incomplete.Reason != "":
		return "`" + s.Status + "`, `" + s.Incomplete.Reason + "`"
	case s.Reason != "":
		return "`" + s.Reason + "`"
	case len(s.Choices) == 1 && s.Choices[0].Reason != "":
		return "`" + s.Choices[0].Reason + "`"
	case s.Status != "" && s.Status != "in_progress":
		return "`" + s.Status + "`"
	}
	var within said
	if json.Unmarshal(s.Delta, &within) != nil { // Responses has texts there
		return ""
	}
	return within.words()
}

// endOf is how a stream ended: by the last event that says so.
func endOf(t *testing.T, stream string) (end string) {
	t.Helper()
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || strings.HasPrefix(data, "[DONE]") {
			continue
		}
		var s said
		if err := json.Unmarshal([]byte(data), &s); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if words := s.words(); words != "" {
			end = words
		}
	}
	return end
}

// TestStopReasons walks the stop reasons of Converse by the gateway and the stand-in: each reaches callers of each
// dialect as docs/dialects.md has it, in an answer and in a stream. One that nobody knows is a plain end.
func TestStopReasons(t *testing.T) {
	rows := pageRows(t)
	finish, stop := rows["Finish reasons"], rows["Stop reasons"]
	if len(finish) != 9 || len(stop) != 9 {
		t.Fatalf("%d and %d rows", len(finish), len(stop))
	}
	finish = append(finish, []string{"brand_new", "`stop`", "`completed` |"})
	stop = append(stop, []string{"brand_new", "`end_turn` |"})
	rules := "rules:\n"
	for _, row := range finish {
		answer := fmt.Sprintf("{text: hi, stop_reason: %s, input_tokens: 3, output_tokens: 2}", row[0])
		if strings.Contains(row[0], "tool_use") {
			answer = strings.Replace(answer, "text: hi", `text: "", tool: {name: f, input: {a: 1}}`, 1)
		}
		rules += fmt.Sprintf("  - {match: {text: \"stop by %s!\"}, answer: %s}\n", row[0], answer)
	}
	g, _, key := dialects(t, rules, "", "")
	const tools = `"tools":[{"type":"function",%s"name":"f","parameters":{"type":"object"}%s}],`
	f := func(path, members, native, want string) {
		t.Helper()
		want, stream, other := strings.Cut(strings.TrimSuffix(want, " |"), "; ")
		body := `{"model":"amazon.nova-lite-v1:0",` + fmt.Sprintf(members, "stop by "+native+"!")
		res, got := sendBearer(t, g, key, "POST", path, body+`}`)
		var s said
		if err := json.Unmarshal([]byte(got), &s); err != nil {
			t.Error(err, got)
		}
		said := s.words()
		if res.StatusCode != http.StatusOK {
			said += fmt.Sprintf(", status %d, `x-should-retry: %s`", res.StatusCode, res.Header.Get("X-Should-Retry"))
		}
		if said != want {
			t.Errorf("%s, %s: %s, on the page %s\n%s", path, native, said, want, got)
		}
		res, got = sendBearer(t, g, key, "POST", path, body+`,"stream":true}`)
		want, _, failed := strings.Cut(want, ", status")
		if other {
			want = strings.TrimSuffix(stream, " in a stream")
		}
		if end := endOf(t, got); end != want || res.StatusCode != http.StatusOK {
			t.Errorf("%s, %s, stream: %d %s, on the page %s\n%s", path, native, res.StatusCode, end, want, got)
		}
		if done := strings.Contains(got, "[DONE]") || strings.Contains(got, "message_stop") ||
			strings.Contains(got, "event: response.completed") ||
			strings.Contains(got, "event: response.incomplete"); done == failed {
			t.Errorf("%s, %s, stream: it ended %t\n%s", path, native, done, got)
		}
	}
	for _, row := range finish {
		f("/v1/chat/completions", fmt.Sprintf(tools, `"function":{`, "}")+`"messages":[{"role":"user","content":%q}]`,
			row[0], row[1])
		f("/v1/responses", fmt.Sprintf(tools, "", "")+`"input":%q`, row[0], row[2])
	}
	for _, row := range stop {
		f("/v1/messages", `"max_tokens":9,"tools":[{"name":"f","input_schema":{"type":"object"}}],`+
			`"messages":[{"role":"user","content":%q}]`, row[0], row[1])
	}
}
