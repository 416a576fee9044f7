package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

// converseBody is what the stand-in reads of a request and the caller writes.
type converseBody struct {
	Messages []message         `json:"messages"`
	Metadata map[string]string `json:"requestMetadata"`
}

type message struct {
	Role    string `json:"role"`
	Content []part `json:"content"`
}

type part struct {
	Text string `json:"text"`
}

// tagMember carries the shuffled id of a request in its metadata.
const tagMember = "evaluation"

// call is a leg as the stand-in saw it.
type call struct {
	model   string // as recorded
	renamed string
	in, out int
}

// standIn answers Converse and ConverseStream with the recorded answer to the
// prompt, and its recorded tokens. It knows nothing of right or wrong.
type standIn struct {
	models  map[string]string // renamed to recorded
	answers map[string]*recorded.Row

	mu    sync.Mutex
	calls map[string][]call // by tag
}

func newStandIn(rows []recorded.Row, models map[string]string) *standIn {
	s := &standIn{models: models, answers: map[string]*recorded.Row{}, calls: map[string][]call{}}
	for i := range rows {
		s.answers[rows[i].Prompt] = &rows[i]
	}
	return s
}

// ServeHTTP answers /model/ID/converse and /model/ID/converse-stream.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	var body converseBody
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(parts) != 3 || len(body.Messages) != 1 || len(body.Messages[0].Content) != 1 {
		http.Error(w, `{"message":"the stand-in takes one text"}`, http.StatusBadRequest)
		return
	}
	id, _ := url.PathUnescape(parts[1])
	row, model := s.answers[body.Messages[0].Content[0].Text], s.models[id]
	if row == nil || model == "" {
		http.Error(w, `{"message":"nothing recorded"}`, http.StatusBadRequest)
		return
	}
	a := row.Answers[model]
	s.mu.Lock()
	tag := body.Metadata[tagMember]
	s.calls[tag] = append(s.calls[tag], call{model, id, row.InTokens, a.OutTokens})
	s.mu.Unlock()
	usage := fmt.Sprintf(`{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d}`, row.InTokens, a.OutTokens, row.InTokens+a.OutTokens)
	if parts[2] == "converse-stream" {
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		writeStream(w, a.Output, usage)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"output":{"message":{"role":"assistant","content":[{"text":%s}]}},"stopReason":"end_turn","usage":%s,"metrics":{"latencyMs":1}}`, quoted(a.Output), usage)
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// frameText is how many characters of an answer a frame carries.
const frameText = 80

func writeStream(w http.ResponseWriter, text, usage string) {
	event(w, "messageStart", `{"role":"assistant"}`)
	for rest := []rune(text); len(rest) > 0; {
		n := min(frameText, len(rest))
		event(w, "contentBlockDelta", fmt.Sprintf(`{"contentBlockIndex":0,"delta":{"text":%s}}`, quoted(string(rest[:n]))))
		rest = rest[n:]
	}
	event(w, "contentBlockStop", `{"contentBlockIndex":0}`)
	event(w, "messageStop", `{"stopReason":"end_turn"}`)
	event(w, "metadata", `{"usage":`+usage+`,"metrics":{"latencyMs":1}}`)
}

func event(w http.ResponseWriter, name, payload string) {
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":message-type", eventstream.StringValue("event"))
	m.Headers.Set(":event-type", eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	var b bytes.Buffer
	if eventstream.NewEncoder().Encode(&b, m) == nil {
		w.Write(b.Bytes()) // a caller that left shows in what it did not get
	}
}

// textOf reads what the caller got, with nothing of the gateway's code.
func textOf(stream bool, raw []byte) (string, error) {
	if !stream {
		var reply struct {
			Output struct{ Message message }
		}
		err := json.Unmarshal(raw, &reply)
		if err != nil || len(reply.Output.Message.Content) != 1 {
			return "", fmt.Errorf("no answer in %.200q: %v", raw, err)
		}
		return reply.Output.Message.Content[0].Text, nil
	}
	var text strings.Builder
	for r := bytes.NewReader(raw); r.Len() > 0; {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			return "", err
		}
		var e struct{ Delta part }
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			return "", err
		}
		text.WriteString(e.Delta.Text)
	}
	return text.String(), nil
}
