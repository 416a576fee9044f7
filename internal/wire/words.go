package wire

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// words are strings that are frequent in answers and streams, kept so that
// reading one does not allocate.
var words = func() map[string]string {
	m := map[string]string{}
	for w := range strings.FieldsSeq(`default priority flex reserved standard optimized 5m 1h
		end_turn tool_use max_tokens stop_sequence guardrail_intervened content_filtered malformed_model_output
		malformed_tool_use model_context_window_exceeded refusal pause_turn stop length tool_calls content_filter
		FINISH LENGTH COMPLETE MAX_TOKENS STOP_SEQUENCE CONTENT_FILTERED endoftext
		event exception error application/json chunk messageStart contentBlockStart contentBlockDelta
		contentBlockStop messageStop metadata internalServerException modelStreamErrorException
		validationException throttlingException modelTimeoutException serviceUnavailableException`) {
		m[w] = w
	}
	return m
}()

func intern(b []byte) string {
	if w, ok := words[string(b)]; ok {
		return w
	}
	return string(b)
}

// textOf returns the meaning of a JSON string, quotes included in quoted.
func textOf(quoted []byte, shrink int) string {
	if shrink > 0 {
		return string(jsonscan.AppendString(nil, quoted))
	}
	return intern(quoted[1 : len(quoted)-1])
}
