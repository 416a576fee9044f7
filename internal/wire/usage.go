package wire

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Count is a token or unit count that may be unknown. The zero value is
// unknown, which is not the same as a known zero.
type Count struct {
	N     int64
	Known bool
}

// Known returns a known count of n.
func Known(n int64) Count { return Count{N: n, Known: true} }

// Usage is what Bedrock reported for one call. Input, cache read and cache
// write are disjoint (bedrock-runtime reports inputTokens without cached
// tokens). The zero value knows nothing.
type Usage struct {
	Input        Count
	Output       Count
	CacheRead    Count
	CacheWrite5m Count // written with the five-minute lifetime, or with none named
	CacheWrite1h Count
	// Queries are search units (rerank), Images what was made or read, Milliseconds the
	// length of video or sound. Known is what an answer reports; few do.
	Queries, Images, Milliseconds Count
	// GuardrailUnits are billed text units per guardrail policy.
	GuardrailUnits [GuardrailPolicies]int64
	// UnitsKnown is whether the answer reports units of a guardrail, be they none.
	UnitsKnown bool
	// Odd is whether a class was reported that is no count: text, a fraction, less
	// than nothing. What is known of the others is then not all.
	Odd bool
	// Embedding is whether the answer, of a family that is not known, is one.
	Embedding bool
	// ServiceTier is the tier that served, when the answer names it.
	ServiceTier string
	// Latency is the latency that served, "optimized" or standard, when the answer
	// names it.
	Latency string
	// InvokedModel is the model behind a prompt router, when the answer names it.
	InvokedModel string
	// StopReason is the model's own word for why it stopped.
	StopReason string
	// Intervened is whether a guardrail changed or blocked something, as far as the answer says so.
	Intervened bool
}

// The guardrail policies that are billed by text unit.
const (
	GuardrailContent = iota
	GuardrailTopic
	GuardrailWord
	GuardrailSensitive
	GuardrailSensitiveFree
	GuardrailGrounding
	GuardrailContentImage
	GuardrailAutomatedReasoning
	GuardrailPolicies // how many there are
)

// AtMost reports whether a stop reason says that the answer had as many tokens as it might, in
// the spelling of Converse and of the families' own bodies.
func AtMost(reason string) bool {
	return strings.EqualFold(reason, "max_tokens") || strings.EqualFold(reason, "length")
}

// Complete reports whether input and output are both known, and nothing is odd.
func (u *Usage) Complete() bool { return u.Input.Known && u.Output.Known && !u.Odd }

// ResponseUsage reads what a successful answer without a stream reports. For
// InvokeModel the headers come first and the body fills what they lack. What is
// reported nowhere stays unknown; operations that use no tokens, and classes
// that the family d never uses, are known zeros, and so is the output where the
// answer of an unknown family is an embedding. Of a guardrail both are, unless
// its units are missing or are not numbers of units. d may be nil.
func ResponseUsage(op Operation, d *Dialect, h Header, body []byte) Usage {
	u, _ := ReadAnswer(op, d, h, body)
	return u
}

// ReadAnswer is ResponseUsage, and says what keeps the body from being an answer of the
// operation, "" for nothing.
func ReadAnswer(op Operation, d *Dialect, h Header, body []byte) (u Usage, fault string) {
	var r usageReader
	switch op {
	case OpCountTokens, OpCountMessages, OpGetAsyncInvoke, OpListAsyncInvokes, OpStartAsyncInvoke, OpGetResponse,
		OpDeleteResponse, OpCancelResponse, OpCreateBatch, OpGetBatch, OpListBatches, OpStopBatch, OpRetrieve,
		OpRetrieveAndGenerate, OpRerank:
		r.read(checksTree, body) // nothing of it is counted
	default:
		r.read(answerTreeOf(op), body)
	}
	text := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(text) > 0 && d == nil && op == OpInvoke && !mustBeJSON(MediaType(h)):
	case len(text) == 0 || r.broken:
		fault = "not JSON, or not all of it"
	case text[0] != '{' && (d != nil || op != OpInvoke):
		fault = "not a JSON object"
	case (op == OpConverse || op == OpChat || op == OpResponse || op == OpMessages) && !r.message:
		fault = "a JSON object without an answer"
	}
	return r.answer(op, d, h), fault
}

// answer is what was read of an answer.
func (r *usageReader) answer(op Operation, d *Dialect, h Header) Usage {
	switch op {
	case OpCountTokens, OpCountMessages, OpGetAsyncInvoke, OpListAsyncInvokes, OpGetResponse, OpDeleteResponse,
		OpCancelResponse, OpGetBatch, OpListBatches, OpStopBatch, OpRetrieve, OpRerank:
		return Usage{Input: Known(0), Output: Known(0)}
	case OpApplyGuardrail, OpInvokeGuardrailChecks:
		if r.metered && r.odd == 0 {
			r.noTokens()
		}
		return r.usage()
	case OpStartAsyncInvoke, OpCreateBatch, OpRetrieveAndGenerate:
		return Usage{} // billed by image, second or token, of which this answer reports nothing
	}
	r.stopped = true
	if op == OpInvoke {
		r.readCounts(h)
	}
	r.readServed(h)
	u := r.usage()
	switch {
	case op == OpInvoke && d != nil:
		u.zeroUncounted(d)
		if d.images {
			u.Images = r.counts[gotImages]
		}
	case op == OpInvoke && r.vectors && u.Input.Known && u.Output.N == 0:
		u.Output, u.Embedding = Known(0), true // it is the provider who says so, and not the caller
	}
	return u
}

// zeroUncounted makes zeros of what the family never reports because it has none.
func (u *Usage) zeroUncounted(d *Dialect) {
	if d.output == uncounted && !u.Output.Known {
		u.Output = Known(0)
	}
	if d.input == uncounted && !u.Input.Known {
		u.Input = Known(0)
	}
}

// readServed reads the fields that name what served the call.
func (r *usageReader) readServed(h Header) {
	r.served(&r.tier, h.Get(headerTier), isDefaultTier)
	r.served(&r.latency, h.Get(headerLatency), isDefaultLatency)
}

// readCounts reads the fields in which InvokeModel reports usage, the same for
// every family.
func (r *usageReader) readCounts(h Header) {
	for _, f := range [...]struct {
		name string
		what role
	}{
		{"X-Amzn-Bedrock-Input-Token-Count", gotMetricsInput},
		{"X-Amzn-Bedrock-Output-Token-Count", gotMetricsOutput},
		{"X-Amzn-Bedrock-Cache-Read-Input-Token-Count", gotMetricsCacheRead},
		{"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", gotMetricsCacheWrite},
	} {
		if value := h.Get(f.name); value != "" {
			r.readNumber(f.what, wholeNumber([]byte(value)))
		}
	}
}

// maxDigits keeps sums of counts far from overflow.
const maxDigits = 15

// wholeNumber reads a JSON number that is a count: digits, with a fraction of
// zeros allowed (Bedrock writes 28.0 when a guardrail ran). Anything else, and
// what does not fit, is unknown.
func wholeNumber(b []byte) Count {
	whole, fraction, found := bytes.Cut(b, []byte("."))
	if found && (len(fraction) == 0 || len(bytes.Trim(fraction, "0")) > 0) || len(whole) > maxDigits {
		return Count{}
	}
	n, err := strconv.ParseUint(string(whole), 10, 63)
	return Count{int64(n), err == nil}
}

// StreamUsage reads the usage of a stream from a copy of its frames. Set Op
// before the first frame; the zero value reads nothing. A stream that ends
// before its usage was reported leaves it unknown.
type StreamUsage struct {
	Op Operation
	// Measure has Spoken counted.
	Measure bool
	// Spoken is an upper bound of the output tokens that passed, as far as they are
	// text: its bytes.
	Spoken    int64
	reader    usageReader
	exception string
	data      []byte // of the frame that was observed last
}

// Observe reads one frame and reports whether it is the last of interest: the one
// with the whole usage, or an exception.
func (s *StreamUsage) Observe(f Frame) (final bool) {
	s.data = s.data[:0]
	kind, _ := f.header(":message-type")
	switch string(kind) {
	case "exception":
		s.exception, _ = f.Header(":exception-type")
		return true
	case "error":
		s.exception, _ = f.Header(":error-code")
		return true
	}
	event, _ := f.header(":event-type")
	if s.Op.OnAgents() {
		if string(event) == "trace" {
			s.reader.read(agentTraceTree, f.Payload)
		}
		return false
	}
	switch string(event) {
	case "messageStop":
		s.reader.read(converseAnswerTree, f.Payload)
	case "metadata":
		s.reader.read(converseAnswerTree, f.Payload)
		s.reader.final = true
		return true
	case "chunk":
		s.data = AppendChunk(s.data, f)
		if s.Measure {
			s.Spoken += spokenBytes(s.data)
		}
		s.reader.read(invokeChunkTree, s.data)
		return s.reader.final
	case EventSSE:
		s.data = AppendEventData(s.data, f.Payload)
		return s.observe(s.data)
	}
	return false
}

// Data is what the frame says that was observed last, as Frame has it, until the next is observed.
func (s *StreamUsage) Data() []byte {
	if len(s.data) == 0 {
		return nil
	}
	return s.data
}

// observe reads the data of a server-sent event. The usage counts once the model has stopped: a running count may come
// before.
func (s *StreamUsage) observe(data []byte) (final bool) {
	r := &s.reader
	if string(data) == "[DONE]" {
		r.over = true
		return true
	}
	r.read(answerTreeOf(s.Op), data)
	return r.over || r.stopped && s.Op != OpResponseStream && r.counts[gotOutput].Known
}

// End is called when the stream ended properly, and reports whether it was whole. A
// stream of chunks without invocation metrics is, when a guardrail intervened:
// it blocked the request, so no model ran and the counts in the chunk are of the
// guardrail's own message, which nobody bills (AWS Bedrock pricing, guardrails).
func (s *StreamUsage) End() (whole bool) {
	if s.exception != "" || s.reader.final || s.reader.over || s.Op.OnAgents() {
		return true // no event of an agent says that it is the last one
	}
	if s.reader.intervened {
		s.reader.noTokens()
	}
	return s.reader.intervened
}

// ReadHeader reads what the head of the answer says of the tier and the latency.
// What frames say goes before it.
func (s *StreamUsage) ReadHeader(h Header) { s.reader.readServed(h) }

// Usage returns what the frames observed so far reported. The output of a stream
// of chunks is unknown until the model has stopped: what was reported before is a
// running count.
func (s *StreamUsage) Usage() Usage {
	u := s.reader.usage()
	r := &s.reader
	running := s.Op == OpInvokeStream || s.Op == OpMessagesStream // counts come before the end
	if running && !r.counts[gotMetricsOutput].Known && !r.stopped && !r.intervened {
		u.Output = Count{}
	}
	return u
}

// Exception returns the name of the exception that ended the stream, "" when
// none did.
func (s *StreamUsage) Exception() string { return s.exception }

var chunkTree = jsonscan.NewTree(rules{{Path: "bytes", Role: roleText}})

// Pieces are what a call is billed by beside tokens, as far as its body tells. The
// zero value is a call that is billed by tokens alone.
type Pieces struct {
	Queries      int64 // search units, or texts where each is billed
	Images       int64
	Milliseconds int64 // of video or sound
	// Bound is whether they are the most that there can be: how many they were the
	// answer tells, or nobody.
	Bound bool
}

// Fill puts the pieces into a usage that does not tell them, and reports whether all
// of them are then known.
func (p *Pieces) Fill(u *Usage) (known bool) {
	if p.Bound {
		return u.Images.Known || u.Milliseconds.Known
	}
	for _, class := range [...]struct {
		to *Count
		n  int64
	}{{&u.Queries, p.Queries}, {&u.Images, p.Images}, {&u.Milliseconds, p.Milliseconds}} {
		if !class.to.Known && class.n > 0 {
			*class.to = Known(class.n)
		}
	}
	return true
}

// What a body can ask for at most that does not say it in numbers (user guides of
// Amazon Nova and of TwelveLabs on Bedrock, Stability's API reference).
const (
	mostImages       = 10
	longestMade      = 120_000    // Nova Reel
	longestWatched   = 3_600_000  // Pegasus
	longestEmbedded  = 14_400_000 // Marengo, and Nova in a job
	longestImmediate = 30_000     // Nova's embeddings without a job
)

// Roles of what a body says of pieces.
const (
	askedDocument role = iota + 1
	askedImages
	askedSeconds
	askedKind // which inputs Marengo is to embed
)

var piecesTree = jsonscan.NewTree(join(
	each(askedDocument, "documents[]"),
	each(askedImages, "imageGenerationConfig.numberOfImages", "samples", "n"),
	each(askedSeconds, "modelInput.videoGenerationConfig.durationSeconds", "modelInput.duration"),
	each(askedKind, "inputType", "modelInput.inputType"),
))

// Pieces are what the call is billed by beside tokens when a model of dialect d
// gets it. body must be the one that f was read from; d may be nil.
func (f *Facts) Pieces(d *Dialect, body []byte) Pieces {
	job := f.Op == OpStartAsyncInvoke
	if d == nil || !job && !f.Op.IsInvoke() {
		return Pieces{}
	}
	switch d.Name {
	case "rerank":
		return Pieces{Queries: readPieces(body).units()}
	case "picture":
		if job {
			return Pieces{Milliseconds: readPieces(body).milliseconds, Bound: true}
		}
		return Pieces{Images: readPieces(body).images, Bound: true}
	case "titan-embed":
		return Pieces{Images: int64(f.Images)}
	case "nova-embed":
		switch {
		case job:
			return Pieces{Images: 1, Milliseconds: longestEmbedded, Bound: true}
		case f.Videos+f.Audios > 0:
			return Pieces{Images: int64(f.Images), Milliseconds: longestImmediate, Bound: true}
		}
		return Pieces{Images: int64(f.Images)}
	case "marengo":
		return readPieces(body).embedded()
	case "pegasus":
		return Pieces{Milliseconds: longestWatched, Bound: true}
	}
	return Pieces{}
}

// asked is what a body says of pieces.
type asked struct {
	documents            int64 // of rerank, long ones counted by their chunks
	images, milliseconds int64
	kind                 string
}

func readPieces(body []byte) asked {
	a := asked{images: 1, milliseconds: longestMade}
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(piecesTree, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		text := body[m.Start:m.End]
		switch m.Role {
		case askedDocument:
			if whole(m) {
				a.documents += max(1, (int64(len(text))+documentBytes-1)/documentBytes)
			}
		case askedImages:
			n := wholeNumber(text)
			if !n.Known || n.N > maxCountAsked {
				n = Known(mostImages)
			}
			a.images = max(a.images, n.N)
		case askedSeconds: // 6, or Luma's "5s"
			if n := wholeNumber(bytes.TrimSuffix(bytes.Trim(text, `"`), []byte("s"))); n.Known && n.N <= maxCountAsked {
				a.milliseconds = n.N * 1000
			}
		case askedKind:
			if m.Kind == jsonscan.String {
				a.kind = strings.ToLower(textOf(text, m.Shrink))
			}
		}
	}
	return a
}

// maxCountAsked bounds what a body is believed to ask for.
const maxCountAsked = 1000

// embedded is what one call of Marengo can be billed by.
func (a asked) embedded() Pieces {
	text, image := strings.Contains(a.kind, "text"), strings.Contains(a.kind, "image")
	if !text && !image {
		return Pieces{Milliseconds: longestEmbedded, Bound: true}
	}
	var p Pieces
	if text {
		p.Queries = 1
	}
	if image {
		p.Images = 1
	}
	return p
}

// A search unit of rerank is a query with up to so many documents, of which those
// that are longer than a chunk count once for each (Amazon Bedrock pricing,
// "Rerank": 100 documents, 512 tokens, which is about 2,048 bytes of text).
const (
	unitDocuments = 100
	documentBytes = 2048
)

// units are the search units that a rerank of the body is billed as, at least one.
// No answer of InvokeModel reports them.
func (a asked) units() int64 { return max(1, (a.documents+unitDocuments-1)/unitDocuments) }
