package converse

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Counts are the tokens of an answer. Input is what no cache had to do with.
type Counts struct {
	Input, Output, CacheRead, CacheWrite int64
	Write5m, Write1h                     int64 // of CacheWrite, by lifetime, as far as it is told
	Thinking                             int64 // of Output; -1 when nobody tells
}

// thinkingPath is where a model's own answer has details of its output, by which a request asks for them.
const thinkingPath = "/usage/output_tokens_details"

// CountsOf are the counts of a whole answer, or of the metadata of a stream. ok is false when there are none.
func CountsOf(answer jsontree.Value) (c Counts, ok bool) {
	usage := answer.Get("usage")
	c.Input, ok = usage.Get("inputTokens").Int()
	c.Output, _ = usage.Get("outputTokens").Int()
	c.CacheRead, _ = usage.Get("cacheReadInputTokens").Int()
	c.CacheWrite, _ = usage.Get("cacheWriteInputTokens").Int()
	for d := range usage.Get("cacheDetails").All() {
		n, _ := d.Get("inputTokens").Int()
		if d.Get("ttl").Is("1h") {
			c.Write1h += n
		} else {
			c.Write5m += n
		}
	}
	c.Thinking = thinkingOf(answer)
	return c, ok
}

// thinkingOf is how many tokens of the output were thinking, -1 when the answer does not tell. Its member may be the
// path that was asked for, or the object that the path leads to.
func thinkingOf(answer jsontree.Value) int64 {
	extra := answer.Get("additionalModelResponseFields")
	found := int64(-1)
	for _, details := range []jsontree.Value{extra.Get("usage").Get("output_tokens_details"), extra.Get(thinkingPath)} {
		for _, name := range []string{"thinking_tokens", "reasoning_tokens"} {
			if n, ok := details.Get(name).Int(); ok {
				found = n
			}
		}
	}
	return found
}

// Tier is the tier that has served a whole answer, or a stream by its metadata; "" when they do not tell. OpenAI's have
// the same names.
func Tier(answer jsontree.Value) string { return answer.Get("serviceTier").Get("type").Text() }

// LostIn is the kind of a block, or of a part of one, that no dialect has a word for, such as an image; "" for none.
// Where a text is taken from is told by none either: a request for it has been told so.
func LostIn(block jsontree.Value) string {
	for m := range block.All() {
		switch name := string(m.Name()); name {
		case "text", "toolUse", "reasoningContent", "citationsContent", "citation":
		default:
			if !plainName(name) {
				name = "unknown"
			}
			return "content[]." + name
		}
	}
	return ""
}

// plainName reports whether a name may stand in a field of a head.
func plainName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Lost appends a comment that names what of a block that begins, or of a part of one, no dialect has a word for.
// Whoever reads the stream skips it; the head of the answer, which would name it, has gone.
func (s *Stream) Lost(dst []byte, block jsontree.Value) []byte {
	kind := LostIn(block)
	if kind == "" || slices.Contains(s.lost, kind) {
		return dst
	}
	s.lost = append(s.lost, kind)
	return append(append(append(dst, ": x-sluice-dropped: "...), kind...), "\n\n"...)
}

// Malformed is an answer that the model could not finish. It was billed, so nobody repeats it by himself.
func Malformed(stop string) *caller.Failure {
	f := caller.Broken("the model's answer was malformed: " + stop)
	f.Code = stop
	return f
}

// Stream is how far a stream is that a dialect translates.
type Stream struct {
	Stop     string // why the model has ended, "" until it has
	Ended    bool   // the caller has got the last of it
	doc      jsontree.Doc
	thinking int64 // what came with the stop reason
	lost     []string
}

// Read reads a frame: its kind, the block that it is about, and its JSON, which is good until the next one.
func (s *Stream) Read(f wire.Frame) (kind string, block int64, v jsontree.Value, failure *caller.Failure) {
	kind, _ = f.Header(":event-type")
	s.doc.AllowDuplicates = true
	v, err := s.doc.Parse(f.Payload)
	if err != nil {
		return "", 0, v, caller.Broken("the upstream's stream has a frame that is no JSON")
	}
	block, _ = v.Get("contentBlockIndex").Int()
	return kind, block, v, nil
}

// Stopped takes what messageStop says, or a whole answer.
func (s *Stream) Stopped(v jsontree.Value) {
	s.Stop, s.thinking = v.Get("stopReason").Text(), thinkingOf(v)
}

// Counts are those of the metadata that follow. ok is false when there are none.
func (s *Stream) Counts(v jsontree.Value) (c Counts, ok bool) {
	c, ok = CountsOf(v)
	c.Thinking = max(c.Thinking, s.thinking)
	return c, ok
}

// Unfinished is the failure of a stream whose last frame has come before the model has ended.
func Unfinished() *caller.Failure {
	return caller.Broken("the upstream's stream ended before the answer did")
}
