package main

import (
	"fmt"
	"net/http"
	"strings"
)

// hostile are pieces of JSON that decoding and encoding again changes.
func hostile() [][3]string {
	deep := strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60)
	return [][3]string{
		{"order", "Keys keep their order.", `{"zeta":1,"alpha":2,"mid":3,"Alpha":4}`},
		{"duplicates", "Keys that stand twice and that nobody reads stay twice.", `{"x":1,"x":2,"x":null}`},
		{"big-integers", "An integer of 23 digits keeps all of them.",
			`{"n":12345678901234567890123,"m":-9007199254740993}`},
		{"decimals", "`0.20` stays `0.20`, `1E2` stays `1E2`.", `{"t":0.20,"e":1E2,"f":1.0,"z":-0.0,"l":0.1e-07}`},
		{"escapes", "Escapes in strings stay as they are written.",
			`{"s":"\u00e9\/\u003c\ud83d\ude00\u2028","\u006bey":"<&>é` + "\u2028" + `"}`},
		{"spaces", "White space between tokens stays.", "{ \"a\" :\t1 ,\r\n  \"b\":[ ] , \"c\":{ } }"},
		{"empty", "Empty objects and arrays, null and false stay where they are.",
			`{"a":null,"b":{},"c":[],"d":"","e":false,"f":0}`},
		{"depth", "Sixty levels of nesting pass.", `{"deep":` + deep + `}`},
	}
}

func byteChecks() (all []check) {
	for _, h := range hostile() {
		all = append(all, check{"bytes/" + h[0], h[1], func(s *suite) (string, error) {
			converse := func(mark string) string {
				return `{"additionalModelRequestFields":` + h[2] + `,` + plain(mark)[1:]
			}
			if err := s.echo(novaModel, "converse", converse, nil); err != nil {
				return "", fmt.Errorf("converse: %w", err)
			}
			invoke := func(mark string) string {
				return strings.TrimSuffix(plain(mark), "}") + `,"of_tomorrow":` + h[2] + `}`
			}
			if err := s.echo(novaModel, "invoke", invoke, nil); err != nil {
				return "", fmt.Errorf("invoke: %w", err)
			}
			return fmt.Sprintf("%d bytes as they were, in Converse and InvokeModel", len(h[2])), nil
		}})
	}
	return append(all,
		check{"bytes/unknown", "Members that the gateway does not know pass at every level.", unknownMembers},
		check{"bytes/large", "A body of 5 MB arrives whole.", largeBody},
		check{"bytes/model", "A model id with colons, slashes or escapes is one segment of the path, the same upstream.",
			modelIDs})
}

func unknownMembers(s *suite) (string, error) {
	body := func(mark string) string {
		return `{"inferenceConfig":{"maxTokens":64,"reasoningBudget":7},"messages":[{"content":[{"cacheHint":"z","text":"` +
			mark + `"}],"role":"user","x-new":true}],"newTopLevel":{"a":[1]}}`
	}
	return "4 unknown members passed", s.echo(novaModel, "converse", body, nil)
}

func largeBody(s *suite) (string, error) {
	body := func(mark string) string { return plain(mark + strings.Repeat(" word", 1_000_000)) }
	return "5,000,099 bytes, identical", s.echo(novaModel, "converse", body, nil)
}

// modelIDs compares what the model is after decoding, and that nothing of it became a path.
func modelIDs(s *suite) (string, error) {
	ids := []string{novaModel, "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
		"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
		"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"}
	for _, id := range ids {
		v := s.up.expect(nil)
		// Some SDKs escape colons, some do not; a slash is always escaped.
		for _, label := range []string{strings.NewReplacer("/", "%2F").Replace(id),
			strings.NewReplacer("/", "%2F", ":", "%3A").Replace(id)} {
			if _, err := s.whole(request{path: "/model/" + label + "/converse", body: plain(v.mark)}); err != nil {
				return "", fmt.Errorf("%s: %w", label, err)
			}
		}
		for _, e := range v.all() {
			if got := labelOf(e.target); got != id {
				return "", fmt.Errorf("%s arrived as %q in %s", id, got, e.target)
			}
		}
	}
	return fmt.Sprintf("%d ids in two spellings each", len(ids)), nil
}

// labelOf is the model of a request line, decoded; "" when it is not one segment.
func labelOf(target string) string {
	parts := strings.Split(strings.TrimPrefix(target, "/model/"), "/")
	if len(parts) != 2 {
		return ""
	}
	return strings.NewReplacer("%2F", "/", "%2f", "/", "%3A", ":", "%3a", ":").Replace(parts[0])
}

// hostileAnswer is an answer of Converse that a re-encoder changes.
const hostileAnswer = `{"zeta":{"b":1,"a":0.20,"b":12345678901234567890123},
 "output":{"message":{"role":"assistant","content":[{"text":"\u00e9\/<&>"}]}}, "stopReason":"end_turn",
 "usage":{"inputTokens":11,"outputTokens":7,"totalTokens":18},"metrics":{"latencyMs":1E1}}`

func answerChecks() []check {
	return []check{
		{"answers/bytes", "An answer comes as the model wrote it: order, duplicates, numbers, escapes, spaces.",
			func(s *suite) (string, error) {
				for _, operation := range []string{"converse", "invoke"} {
					if err := s.echo(novaModel, operation, plain, reply(http.StatusOK, nil, hostileAnswer)); err != nil {
						return "", fmt.Errorf("%s: %w", operation, err)
					}
				}
				return fmt.Sprintf("%d bytes, identical, Converse and InvokeModel", len(hostileAnswer)), nil
			}},
		{"answers/large", "An answer of 5 MB arrives whole.", func(s *suite) (string, error) {
			long := strings.Replace(hostileAnswer, "<&>", strings.Repeat("words ", 900_000), 1)
			return "5.4 MB, identical", s.echo(novaModel, "converse", plain, reply(http.StatusOK, nil, long))
		}},
	}
}
