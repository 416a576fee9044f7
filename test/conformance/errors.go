package main

import (
	"fmt"
	"net/http"
	"slices"
)

// repeated are the statuses that some client repeats by itself (docs/clients.md).
func repeated() []int { return []int{408, 409, 429, 500, 502, 503, 504} }

// troubleModel has the errors, so that a breaker or a pause of a gateway concerns no other row.
const troubleModel = "amazon.nova-pro-v1:0"

// bedrockError is one of Bedrock's errors as the upstream sends it.
type bedrockError struct {
	name, kind string
	status     int
	body       string
}

func bedrockErrors() []bedrockError {
	return []bedrockError{
		{"validation", "ValidationException", 400, `{"message":"The provided model identifier is invalid.","n":0.20}`},
		{"not-found", "ResourceNotFoundException", 404, `{"message":"Could not resolve the foundation model."}`},
		{"model-error", "ModelErrorException", 424,
			`{"message":"The system encountered an error.","originalStatusCode":400,"resourceName":"arn:x"}`},
		{"throttled", "ThrottlingException", 429, `{"message":"Too many tokens, please wait."}`},
		{"internal", "InternalServerException", 500, `{"message":"An internal server error occurred."}`},
		{"unavailable", "ServiceUnavailableException", 503, `{"message":"Bedrock is unable to process your request."}`},
	}
}

func errorChecks() (all []check) {
	for _, e := range bedrockErrors() {
		owes := fmt.Sprintf("Bedrock's %s comes with its status, `x-amzn-ErrorType` and body.", e.kind)
		all = append(all, check{"errors/" + e.name, owes, func(s *suite) (string, error) {
			v := s.up.expect(reply(e.status, map[string]string{"x-amzn-ErrorType": e.kind + ":http://internal/"}, e.body))
			a, err := s.ask(request{path: path(troubleModel, "converse"), body: plain(v.mark)})
			if err != nil {
				return "", err
			}
			if kind := a.header.Get("X-Amzn-Errortype"); a.status != e.status || len(kind) < len(e.kind) ||
				kind[:len(e.kind)] != e.kind {
				return "", fmt.Errorf("status %d %q: %s", a.status, kind, clip(a.body))
			}
			if err := same("the body", a.body, []byte(e.body)); err != nil {
				return "", err
			}
			return fmt.Sprintf("%d %s; upstream asked %d times", a.status, e.kind, len(v.all())), nil
		}})
	}
	return append(all,
		check{"errors/not-repeated", "An error that no repetition can heal is asked of the model once.", notRepeated},
		check{"errors/cut-head", "A model that was asked and never answered is not asked again, here or by SDKs.",
			unanswered("HTTP/1.1 200 OK\r\nContent-Ty")},
		check{"errors/cut-body", "Half an answer is not given out as a whole one, nor is the model asked again.",
			unanswered("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"output\":{")},
		check{"errors/unknown-path", "A path that Bedrock does not have is refused with 4xx, as JSON with a message.",
			ownError(request{path: "/model/" + novaModel + "/no-such-operation", body: "{}"})},
		check{"errors/bad-json", "A body that is no JSON is refused with 4xx, by the gateway or by the model.", badJSON})
}

func notRepeated(s *suite) (string, error) {
	v := s.up.expect(reply(http.StatusBadRequest, map[string]string{"x-amzn-ErrorType": "ValidationException"},
		`{"message":"no"}`))
	if _, err := s.ask(request{path: path(troubleModel, "converse"), body: plain(v.mark)}); err != nil {
		return "", err
	}
	_, err := v.once()
	return "asked once", err
}

// unanswered asks of an upstream that breaks off. What was asked may be billed, so neither the gateway nor, by the
// status, an SDK asks again.
func unanswered(raw string) func(s *suite) (string, error) {
	return func(s *suite) (string, error) {
		v := s.up.expect(cut(raw))
		a, err := s.ask(request{path: path(troubleModel, "converse"), body: plain(v.mark)})
		if _, often := v.once(); often != nil {
			return "", often
		}
		if err != nil {
			return "", fmt.Errorf("no answer at all, which SDKs repeat: %w", err)
		}
		if slices.Contains(repeated(), a.status) {
			return "", fmt.Errorf("status %d, which SDKs repeat", a.status)
		}
		if a.status == http.StatusOK {
			if a.cut == nil {
				return "", fmt.Errorf("status 200 and a body that looks whole: %s", clip(a.body))
			}
			return "the body breaks off for the caller too, asked once", nil
		}
		return fmt.Sprintf("%d %s, asked once", a.status, a.header.Get("X-Amzn-Errortype")), nil
	}
}

func ownError(q request) func(s *suite) (string, error) {
	return func(s *suite) (string, error) {
		a, err := s.ask(q)
		if err != nil {
			return "", err
		}
		if a.status < 400 || a.status > 499 {
			return "", fmt.Errorf("status %d: %s", a.status, clip(a.body))
		}
		if !jsonMessage(a.body) {
			return "", fmt.Errorf("status %d, without a message in JSON: %s", a.status, clip(a.body))
		}
		return fmt.Sprintf("%d %s", a.status, a.header.Get("X-Amzn-Errortype")), nil
	}
}

func badJSON(s *suite) (string, error) {
	for _, body := range []string{`{"messages":[`, "not json", "", `{"messages":"` + "\x01" + `"}`, "\xff\xfe{}"} {
		if _, err := ownError(request{path: path(troubleModel, "converse"), body: body})(s); err != nil {
			return "", fmt.Errorf("%s: %w", clip([]byte(body)), err)
		}
	}
	return "5 bodies", nil
}
