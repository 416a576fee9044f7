package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// upward are fields of the caller that Bedrock gives a meaning.
func upward() map[string]string {
	return map[string]string{
		"X-Amzn-Bedrock-Trace":                     "ENABLED",
		"X-Amzn-Bedrock-GuardrailIdentifier":       "gr123456",
		"X-Amzn-Bedrock-GuardrailVersion":          "DRAFT",
		"X-Amzn-Bedrock-PerformanceConfig-Latency": "standard",
		"X-Amzn-Bedrock-Service-Tier":              "default",
		"X-Amzn-Bedrock-Of-Tomorrow":               "a, b",
	}
}

func headerChecks() []check {
	return []check{
		{"headers/bedrock", "`x-amzn-bedrock-*` of the caller reach the model unchanged.", fields(upward())},
		{"headers/trace", "`x-amzn-trace-id` of the caller reaches the upstream.", fields(map[string]string{
			"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1"})},
		{"headers/content", "`content-type` and `accept` of the caller reach the upstream.", fields(map[string]string{
			"Content-Type": "application/json; charset=utf-8", "Accept": "application/json"})},
		{"headers/usage", "`x-amzn-bedrock-*` of an answer, such as token counts, reach the caller.", usageFields},
		{"headers/request-id", "`x-amzn-requestid` of an answer reaches the caller.", requestID},
		{"headers/unique-id", "Each answer of the gateway's own has a request id, no two alike.", uniqueIDs},
	}
}

// fields sends fields and looks for them upstream.
func fields(header map[string]string) func(s *suite) (string, error) {
	return func(s *suite) (string, error) {
		v := s.up.expect(reply(http.StatusOK, nil, hostileAnswer))
		if _, err := s.whole(request{path: path(novaModel, "invoke"), body: plain(v.mark), header: header}); err != nil {
			return "", err
		}
		e, err := v.once()
		if err != nil {
			return "", err
		}
		var names []string
		for name, want := range header {
			if got := e.header.Get(name); got != want {
				return "", fmt.Errorf("%s: %q upstream instead of %q", name, got, want)
			}
			names = append(names, name)
		}
		slices.Sort(names)
		return strings.Join(names, ", "), nil
	}
}

func usageFields(s *suite) (string, error) {
	sent := map[string]string{"X-Amzn-Bedrock-Input-Token-Count": "11", "X-Amzn-Bedrock-Output-Token-Count": "7",
		"X-Amzn-Bedrock-Invocation-Latency": "123", "X-Amzn-Bedrock-Of-Tomorrow": "x"}
	v := s.up.expect(reply(http.StatusOK, sent, hostileAnswer))
	a, err := s.whole(request{path: path(novaModel, "invoke"), body: plain(v.mark)})
	if err != nil {
		return "", err
	}
	for name, want := range sent {
		if got := a.header.Get(name); got != want {
			return "", fmt.Errorf("%s: %q instead of %q", name, got, want)
		}
	}
	return fmt.Sprintf("%d fields", len(sent)), nil
}

func requestID(s *suite) (string, error) {
	v := s.up.expect(reply(http.StatusOK, map[string]string{"x-amzn-RequestId": "of-" + novaModel}, hostileAnswer))
	a, err := s.whole(request{path: path(novaModel, "converse"), body: plain(v.mark)})
	if err != nil {
		return "", err
	}
	if got := a.header.Get("X-Amzn-Requestid"); got != "of-"+novaModel {
		return "", fmt.Errorf("%q instead of the upstream's", got)
	}
	return "the upstream's own id", nil
}

func uniqueIDs(s *suite) (string, error) {
	seen := map[string]bool{}
	for range 5 {
		a, err := s.ask(request{path: path(novaModel, "converse"), body: plain("hi"), key: "no-such-key"})
		if err != nil {
			return "", err
		}
		id := a.header.Get("X-Amzn-Requestid")
		if id == "" || seen[id] {
			return "", fmt.Errorf("%q, status %d", id, a.status)
		}
		seen[id] = true
	}
	return "5 refused requests, 5 ids", nil
}

func authChecks() []check {
	refused := func(q func(s *suite, mark string) (request, error)) func(s *suite) (string, error) {
		return func(s *suite) (string, error) {
			v := s.up.expect(nil)
			r, err := q(s, v.mark)
			if err != nil {
				return "", err
			}
			a, err := s.ask(r)
			if err != nil {
				return "", err
			}
			if a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
				return "", fmt.Errorf("status %d: %s", a.status, clip(a.body))
			}
			if n := len(v.all()); n > 0 {
				return "", fmt.Errorf("status %d, but the upstream was asked", a.status)
			}
			if a.header.Get("X-Amzn-Errortype") == "" {
				return "", fmt.Errorf("status %d without x-amzn-ErrorType: SDKs cannot name it", a.status)
			}
			return fmt.Sprintf("%d %s, upstream not asked", a.status, a.header.Get("X-Amzn-Errortype")), nil
		}
	}
	return []check{
		{"credentials/wrong-key", "A wrong key is refused by name, and the model is not asked.",
			refused(func(_ *suite, mark string) (request, error) {
				return request{path: path(novaModel, "converse"), body: plain(mark), key: "no-such-key"}, nil
			})},
		{"credentials/no-key", "No key is refused by name, and the model is not asked.",
			refused(func(_ *suite, mark string) (request, error) {
				return request{path: path(novaModel, "converse"), body: plain(mark), key: "none"}, nil
			})},
		{"credentials/signature", "A Signature V4 of the key pair is accepted.", signature},
		{"credentials/tampered", "A body that is not the one signed is refused, and the model is not asked.",
			refused(func(s *suite, mark string) (request, error) {
				if s.id == "" {
					return request{}, skip("no key pair was given")
				}
				return request{path: path(novaModel, "converse"), body: plain(mark), sign: true,
					signed: plain("something else")}, nil
			})},
		{"credentials/hidden", "The caller's credential does not reach the upstream.", hiddenKey},
	}
}

func signature(s *suite) (string, error) {
	if s.id == "" {
		return "", skip("no key pair was given")
	}
	v := s.up.expect(nil)
	for _, label := range []string{novaModel, strings.ReplaceAll(novaModel, ":", "%3A")} {
		if _, err := s.whole(request{path: "/model/" + label + "/converse", body: plain(v.mark), sign: true}); err != nil {
			return "", fmt.Errorf("%s: %w", label, err)
		}
	}
	return "both spellings of the path", nil
}

// hiddenKey looks through all that the upstream has seen so far.
func hiddenKey(s *suite) (string, error) {
	v := s.up.expect(nil)
	if _, err := s.whole(request{path: path(novaModel, "converse"), body: plain(v.mark)}); err != nil {
		return "", err
	}
	s.up.mu.Lock()
	defer s.up.mu.Unlock()
	for _, head := range s.up.heads[s.earlier:] {
		for name, values := range head {
			for _, value := range values {
				if strings.Contains(value, s.key) || s.secret != "" && strings.Contains(value, s.secret) {
					return "", errors.New("it is in the field " + name)
				}
			}
		}
	}
	return fmt.Sprintf("in none of %d requests upstream", len(s.up.heads)-s.earlier), nil
}
