package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
)

func edgeChecks() []check {
	return []check{
		{"connections/http2", "HTTP/2, which the AWS SDK for JavaScript speaks from the first byte, brings the same answer.",
			func(s *suite) (string, error) {
				v := s.up.expect(nil)
				a, err := s.whole(request{path: path(novaModel, "converse"), body: plain(v.mark), client: s.http2})
				if err != nil {
					return "", err
				}
				e, err := v.once()
				if err != nil {
					return "", err
				}
				return "over " + strings.ToLower(protocolOf(s.url)), same("the answer", a.body, e.answered())
			}},
		{"connections/http2-stream", "A stream over HTTP/2 has the same frames.", func(s *suite) (string, error) {
			v := s.up.expect(stream(frames(), nil))
			a, err := s.whole(request{path: path(novaModel, "converse-stream"), body: plain(v.mark), client: s.http2})
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%d frames", len(frames())), same("the stream", a.body, bytes.Join(frames(), nil))
		}},
		{"connections/chunked", "A body without a length is accepted.", withHeader("Transfer-Encoding", "chunked")},
		{"connections/expect", "`Expect: 100-continue`, which boto3 sends, is answered.",
			withHeader("Expect", "100-continue")},
		{"connections/kept", "A connection carries the next request, after errors too.", kept},
		{"connections/parallel", "A hundred calls at once: each caller gets the answer to its own question.", parallel},
	}
}

func protocolOf(url string) string {
	if strings.HasPrefix(url, "https:") {
		return "TLS"
	}
	return "cleartext, by prior knowledge"
}

func withHeader(name, value string) func(s *suite) (string, error) {
	return func(s *suite) (string, error) {
		v := s.up.expect(nil)
		body := plain(v.mark)
		if _, err := s.whole(request{path: path(novaModel, "converse"), body: body,
			header: map[string]string{name: value}}); err != nil {
			return "", err
		}
		e, err := v.once()
		if err != nil {
			return "", err
		}
		return name + ": " + value, same("the request", e.body, []byte(body))
	}
}

func kept(s *suite) (string, error) {
	var reused atomic.Int64
	trace := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				reused.Add(1)
			}
		},
	})
	one := &http.Client{Transport: s.http1.Transport.(*http.Transport).Clone()}
	defer one.CloseIdleConnections()
	for i := range 10 {
		v := s.up.expect(nil)
		if i%2 == 1 {
			v.answer = reply(http.StatusBadRequest, map[string]string{"x-amzn-ErrorType": "ValidationException"}, `{}`)
		}
		res, err := s.begin(trace, request{path: path(novaModel, "converse"), body: plain(v.mark), client: one})
		if err != nil {
			return "", err
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(res.Body)
		res.Body.Close()
		if err != nil {
			return "", err
		}
	}
	if n := reused.Load(); n < 8 {
		return "", fmt.Errorf("of 10 requests in a row %d went over a connection that was there", n)
	}
	return fmt.Sprintf("%d of 9 over the first connection", reused.Load()), nil
}

func parallel(s *suite) (string, error) {
	const callers = 100
	err := atOnce(callers, func(int) error {
		v := s.up.expect(func(w http.ResponseWriter, e *exchange) {
			reply(http.StatusOK, nil, strings.Replace(hostileAnswer, "<&>", e.mark, 1))(w, e)
		})
		a, err := s.whole(request{path: path(novaModel, "converse"), body: plain(v.mark)})
		if err != nil {
			return err
		}
		if !bytes.Contains(a.body, []byte(v.mark)) {
			return fmt.Errorf("somebody else's answer: %s", clip(a.body))
		}
		_, err = v.once()
		return err
	})
	return fmt.Sprintf("%d callers, %d own answers", callers, callers), err
}

// The list prices of sonnetModel in millionths of a dollar per token.
const inputPrice, outputPrice = 3, 15

func limitChecks() []check {
	return []check{
		{"limits/cap-absent", "A capped key that names no maximum asks the model for no more than the cap.",
			capped(`{"messages":[{"role":"user","content":[{"text":"%s"}]}]}`)},
		{"limits/cap-above", "A maximum above the cap does not reach the model.",
			capped(`{"messages":[{"role":"user","content":[{"text":"%s"}]}],"inferenceConfig":{"maxTokens":100000}}`)},
		{"limits/cap-invoke", "The cap holds in each family's own form of InvokeModel.", cappedFamilies},
		{"limits/dollar", "Fifty callers at once with one dollar: what the model is asked for costs a dollar at most.",
			oneDollar},
		{"limits/dollar-final", "Who has no money left is refused with a status that SDKs do not repeat.", noMoney},
	}
}

func capped(body string) func(s *suite) (string, error) {
	return func(s *suite) (string, error) {
		if s.capped == "" {
			return "", skip("no capped key was given")
		}
		return s.underCap(novaModel, "converse", func(mark string) string { return fmt.Sprintf(body, mark) })
	}
}

// underCap asks with the capped key. Either the gateway refuses, or what reaches the model is under the cap.
func (s *suite) underCap(model, operation string, body func(mark string) string) (string, error) {
	v := s.up.expect(nil)
	a, err := s.ask(request{path: path(model, operation), body: body(v.mark), key: s.capped})
	if err != nil {
		return "", err
	}
	all := v.all()
	if len(all) == 0 {
		if a.status < 400 || a.status > 499 {
			return "", fmt.Errorf("status %d: %s", a.status, clip(a.body))
		}
		return fmt.Sprintf("refused with %d", a.status), nil
	}
	for _, e := range all {
		n, ok := capOf(e.body)
		if !ok || n > s.most {
			return "", fmt.Errorf("at most %d, but the model was asked for %s", s.most, clip(e.body))
		}
	}
	return fmt.Sprintf("at most %d arrived", s.most), nil
}

func cappedFamilies(s *suite) (string, error) {
	if s.capped == "" {
		return "", skip("no capped key was given")
	}
	n := 0
	for _, f := range families() {
		if !f.streams { // embeddings have no output to cap
			continue
		}
		n++
		body := func(mark string) string { return f.of(mark, 100_000) }
		if _, err := s.underCap(f.model, "invoke", body); err != nil {
			return "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return fmt.Sprintf("%d families, at most %d each", n, s.most), nil
}

// oneDollar asks for 4,000 tokens fifty times at once; each answer uses them all.
func oneDollar(s *suite) (string, error) {
	if s.dollar == "" {
		return "", skip("no key with one dollar was given")
	}
	const callers, output = 50, 4_000
	var input atomic.Int64
	var statuses [callers]int
	asked, wait := new(atomic.Int64), make(chan struct{})
	err := atOnce(callers, func(i int) error {
		v := s.up.expect(func(w http.ResponseWriter, e *exchange) {
			asked.Add(1)
			input.Add(10)
			reply(http.StatusOK, nil, fmt.Sprintf(`{"output":{"message":{"role":"assistant","content":[{"text":"x"}]}},`+
				`"stopReason":"end_turn","usage":{"inputTokens":10,"outputTokens":%d,"totalTokens":%d}}`, output, output+10))(w, e)
		})
		if i == callers-1 {
			close(wait)
		}
		<-wait
		body := strings.Replace(plain(v.mark), "64", fmt.Sprint(output), 1)
		a, err := s.ask(request{path: path(sonnetModel, "converse"), body: body, key: s.dollar})
		statuses[i] = a.status
		return err
	})
	if err != nil {
		return "", err
	}
	spent := input.Load()*inputPrice + asked.Load()*output*outputPrice // in millionths
	evidence := fmt.Sprintf("%d of %d served, %d.%06d dollars", asked.Load(), callers, spent/1e6, spent%1e6)
	switch {
	case spent > 1e6:
		return "", fmt.Errorf("overspent: %s", evidence)
	case asked.Load() < 8:
		return "", fmt.Errorf("less than half a dollar was spent (was the key new?): %s, statuses %v", evidence,
			slices.Compact(slices.Sorted(slices.Values(statuses[:]))))
	}
	return evidence, nil
}

func noMoney(s *suite) (string, error) {
	if s.dollar == "" {
		return "", skip("no key with one dollar was given")
	}
	for range 20 { // until what the row above left is spent as well
		v := s.up.expect(nil)
		body := strings.Replace(plain(v.mark), "64", "60000", 1)
		a, err := s.ask(request{path: path(sonnetModel, "converse"), body: body, key: s.dollar})
		if err != nil {
			return "", err
		}
		if a.status == http.StatusOK {
			continue
		}
		if a.status < 400 || slices.Contains(repeated(), a.status) {
			return "", fmt.Errorf("status %d, which SDKs repeat: %s", a.status, clip(a.body))
		}
		if n := len(v.all()); n > 0 {
			return "", fmt.Errorf("status %d, but the model was asked", a.status)
		}
		return fmt.Sprintf("%d %s", a.status, a.header.Get("X-Amzn-Errortype")), nil
	}
	return "", fmt.Errorf("20 calls of 60,000 tokens each were served with one dollar")
}
