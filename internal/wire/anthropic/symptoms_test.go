package anthropic

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// symptoms are the bugs of other gateways by their number in the list that this dialect was built against: the test
// that shows that each does not occur here, or why it cannot. Those of OpenAI's dialect are in package openai.
var symptoms = map[int]string{
	1: "TestBrokenStreams", 2: "TestAnswers",
	3: "TestAnswers", // each delta of a call is an event of its own; TestPings has that frames leave as they come
	4: "TestInvoke", 5: "TestInvoke", 6: "TestInvoke", 7: "TestTranslate", 8: "TestInvokeKeeps", 9: "TestInvoke",
	10: "TestInvoke", 11: "TestBetas",
	12: "caps are the tenant's, and no translation changes them",
	13: "of OpenAI's dialect", 14: "TestTranslate", 15: "TestAnswers", 16: "TestTranslate", 17: "of OpenAI's dialect",
	18: "TestTranslate", 19: "TestInvokeKeeps",
	20: "a cache point of a tool stays for Claude, whose body is not translated, and follows the tool for others",
	21: "TestAnswers", 22: "TestAnswers", 23: "no body is read while its memory is used again: package server",
	24: "TestAnswers", 25: "TestAnswers", 26: "TestAnswers", 27: "TestTranslate", 28: "TestInvokeRefused",
	29: "TestTranslateRefused", 30: "TestAnswers", 31: "of OpenAI's dialect", 32: "TestAnswers", 33: "TestInvokeKeeps",
	34: "no stream is buffered; a frame may have 24 MB",
	35: "TestStatuses", 36: "TestStatuses",
	37: "the line asks for the model behind an alias: TestMessagesInCascades",
	38: "an answer has only fields that describe it: wire.DescribesAnswer",
	39: "TestReframed", 40: "TestTranslate", 41: "of OpenAI's dialect", 42: "TestTranslate", 43: "TestBetas",
	44: "FuzzAnswers", 45: "TestStatuses", 46: "signatures are of the host that the upstream's configuration names",
	47: "TestAnswers", 48: "the fields of additionalModelRequestFields are members of one object: converse.Members",
	49: "nothing sets max_tokens but the tenant's caps", 50: "TestAnswers", 51: "TestStatuses", 52: "TestInvokeKeeps",
	53: "TestTranslate", 54: "no cache point is placed that the caller has not asked for",
}

// TestSymptoms: every one of the 54 has its test or its reason, and the tests are there.
func TestSymptoms(t *testing.T) {
	var tests strings.Builder
	for _, file := range []string{"answer_test.go", "fuzz_test.go", "invoke_test.go", "translate_test.go",
		"symptoms_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for n := 1; n <= 54; n++ {
		name := symptoms[n]
		if name == "" {
			t.Errorf("%d has neither a test nor a reason", n)
		}
		if !strings.Contains(name, " ") && !strings.Contains(tests.String(), "func "+name+"(") {
			t.Errorf("%d: there is no %s", n, name)
		}
	}
}

// TestStatuses (symptoms 35, 36, 45, 51): each kind of failure has its status and its word, and those that may not be
// repeated say so.
func TestStatuses(t *testing.T) {
	f := func(status int, kind, message string, want int, word string, final bool) {
		t.Helper()
		failure := caller.FailureOf(status, wire.Header{{Name: "x-amzn-errortype", Value: kind}}, []byte(message))
		got, header, body := Fail(failure)
		if got != want || !strings.Contains(string(body), `"type":"`+word+`"`) ||
			final != slices.Contains(header, wire.Field{Name: "x-should-retry", Value: "false"}) {
			t.Errorf("%d %s: %d %v %s", status, kind, got, header, body)
		}
	}
	f(400, "ValidationException:http://x", `{"message":"m"}`, 400, "invalid_request_error", false)
	f(429, "ThrottlingException", `{"message":"m"}`, 429, "rate_limit_error", false)
	f(403, "AccessDeniedException", `{"Message":"m"}`, 403, "permission_error", false)
	f(403, "UnrecognizedClientException", `{}`, 401, "authentication_error", false)
	f(404, "ResourceNotFoundException", ``, 404, "not_found_error", false)
	f(405, "UnknownOperationException", ``, 405, "invalid_request_error", false)
	f(413, "RequestEntityTooLargeException", ``, 413, "request_too_large", false)
	f(400, "ServiceQuotaExceededException", ``, 429, "billing_error", true)
	f(503, "ServiceUnavailableException", ``, 529, "overloaded_error", false)
	f(429, "ModelNotReadyException", ``, 529, "overloaded_error", false)
	f(408, "ModelTimeoutException", ``, 504, "timeout_error", false)
	f(424, "ModelErrorException", ``, 424, "api_error", true)
	f(500, "InternalServerException", ``, 500, "api_error", false)
	f(502, "", `<html>`, 500, "api_error", false)
	f(418, "", `{"message":5}`, 400, "invalid_request_error", false)
}
