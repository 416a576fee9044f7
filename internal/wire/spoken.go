package wire

import (
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// envelope are members whose strings describe an event and are not written by the
// model.
var envelope = []string{
	"type", "id", "object", "model", "role", "event", "event_type", "system_fingerprint", "service_tier", "logprobs",
	"stop_reason", "stopReason", "finish_reason", "completionReason", "amazon-bedrock-guardrailAction",
}

// spokenBytes is how many bytes of text a chunk of any family carries: at least as
// many as it has tokens, because a token of text is at least one byte. A chunk
// that is not JSON counts whole.
func spokenBytes(chunk []byte) int64 {
	var s jsonscan.Scanner
	s.Reset(chunk)
	n, skip := int64(0), false
	for t := s.Next(); ; t = s.Next() {
		switch t.Kind {
		case jsonscan.End:
			return n
		case jsonscan.Invalid:
			return int64(len(chunk))
		case jsonscan.Key:
			skip = slices.Contains(envelope, string(chunk[t.Start+1:t.End-1]))
		case jsonscan.String:
			if !skip {
				n += int64(t.TextLen())
			}
		case jsonscan.BeginObject, jsonscan.BeginArray:
			skip = false
		}
	}
}
