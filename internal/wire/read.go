package wire

import (
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// What is added to the estimate of input tokens beside the text. They are high on
// purpose: an estimate is reserved in a budget before the call and corrected by
// the reported count after it.
const (
	// bytesPerToken is the usual rule of thumb for English text (Anthropic and
	// Amazon both give about four characters a token).
	bytesPerToken = 4
	// tokensPerImage is Anthropic's figure for an image at the largest size that
	// is not scaled down (docs, "Vision": width × height / 750, about 1,600).
	tokensPerImage = 1600
	// tokensPerDocument is the upper figure for one PDF page (Anthropic docs,
	// "PDF support": 1,500 to 3,000 tokens a page) ...
	tokensPerDocument = 3000
	// ... and binaryBytesPerToken adds for its size: a page of 60 KB counts
	// about as much again.
	binaryBytesPerToken = 32
	// tokensPerVideo is about 35 s at Nova's 288 tokens a second (Nova user
	// guide, "Video understanding").
	tokensPerVideo = 10_000
	// tokensPerAudio is a minute and a half of speech at about 50 tokens a second.
	tokensPerAudio = 5000
	// tokensPerTool and tokensForTools are the frame of one tool and the system
	// prompt that tool use adds (Anthropic docs, "Tool use": 346 tokens).
	tokensPerTool, tokensForTools = 12, 346
	// tokensPerTurn is the frame of one message.
	tokensPerTurn = 4
)

// reader is one pass over a body.
type reader struct {
	f    *Facts
	body []byte
	walk jsonscan.Walker

	speaker      bool // the current turn is the user's
	block        blockKind
	plain        bool // the current document is text in base64
	mediaBytes   int  // of the current document or block
	extra        int  // tokens beside text, for documents
	invokeInside int  // text bytes in the body that CountTokens wraps
}

type blockKind uint8

const (
	blockOther blockKind = iota
	blockDocument
)

// Read fills f from one pass over the body of a request for op in dialect d
// (nil: unknown). It refuses what is not well-formed and a repeated member of
// those that it reads, with a KindValidation error; f is then not to be used.
// It keeps nothing of body and allocates only for a model id in the body and for
// the places of more than a few texts.
func (f *Facts) Read(op Operation, d *Dialect, body []byte) *Error {
	*f = Facts{} // and not with the fields, which would be built on the stack first
	f.Op, f.Dialect, f.Stream, f.BodyBytes, f.Multiplier = op, d, op.Streams(), len(body), 1
	t := f.tree()
	if t == nil || len(body) == 0 && op.IsInvoke() {
		f.MayName = MayName(body)
		return nil // an empty InvokeModel body goes upstream as it came
	}
	r := reader{f: f, body: body}
	r.walk.Reset(t, body)
	r.walk.Watch(noted)
	for m := r.walk.Next(); m.Role != 0; m = r.walk.Next() {
		r.value(m)
	}
	return r.finish()
}

func (r *reader) finish() *Error {
	if err := r.walk.Err(); err != nil {
		return &Error{Kind: KindValidation, Message: "Malformed request body: " + err.Error() + ".", Cause: err}
	}
	if root := r.f.at.root; !root.Present() || root.null || root.other {
		return Errorf(KindValidation, "Malformed request body: it is not a JSON object.")
	}
	r.f.InputTokens = r.estimate()
	r.f.texts.coded = r.walk.Coded()
	r.f.note(r.walk.Met())
	return nil
}

func (r *reader) estimate() int {
	f := r.f
	n := (f.TextBytes+r.invokeInside+bytesPerToken-1)/bytesPerToken + r.extra +
		f.Images*tokensPerImage + f.Documents*tokensPerDocument + f.Videos*tokensPerVideo +
		f.Audios*tokensPerAudio + f.Tools*tokensPerTool + f.Turns*tokensPerTurn
	if f.Tools > 0 {
		n += tokensForTools
	}
	return n
}

// value adds one value to the facts.
func (r *reader) value(m jsonscan.Match) {
	switch m.Role {
	case roleText, roleSystem, rolePrompt:
		r.readText(m)
	case roleMessage, roleSpeaker, roleBlock, roleBlockType:
		r.readTurn(m)
	case roleImage, roleDocument, roleVideo, roleAudio, roleMediaFormat, roleMediaBytes:
		r.readMedia(m)
	case roleTool, roleToolList, roleCachePoint, roleSignature:
		r.count(m)
	case roleRoot, roleCapParent, roleCap, roleOtherCap, roleForeignCap, roleThinking, roleMultiplier, roleEffort:
		r.readCap(m)
	default:
		r.readSetting(m)
	}
}

func (r *reader) readText(m jsonscan.Match) {
	f := r.f
	if m.Kind == jsonscan.String {
		f.TextBytes += m.TextLen()
		f.texts.add(Span{m.Start, m.End})
	}
	switch m.Role {
	case rolePrompt:
		f.at.prompt = f.at.prompt || m.Kind == jsonscan.String
		if m.Kind == jsonscan.String && f.FirstUserHash == 0 {
			f.FirstUserHash = r.hash(m)
		}
	case roleSystem:
		if whole(m) && m.Kind != jsonscan.Null && m.End-m.Start > 2 { // not [] or ""
			f.System = true
			f.SystemHash = r.hash(m)
			f.SystemSpan = Span{m.Start, m.End}
		}
	}
}

func (r *reader) hash(m jsonscan.Match) uint64 { return xxhash.Sum64(r.body[m.Start:m.End]) }

func (r *reader) readTurn(m jsonscan.Match) {
	f := r.f
	switch {
	case m.Role == roleMessage && m.Kind == jsonscan.BeginObject:
		f.Turns++
		r.speaker = false
	case m.Role == roleMessage && m.Kind == jsonscan.EndObject:
		f.Messages.add(Span{m.Start, m.End})
		if r.speaker && f.FirstUserHash == 0 {
			f.FirstUserHash = r.hash(m)
		}
	case m.Role == roleSpeaker:
		r.speaker = r.is(m, "user") || r.is(m, "USER")
		f.Prefilled = r.is(m, "assistant")
	case m.Role == roleBlock:
		r.endBlock()
	case m.Role == roleBlockType:
		r.readBlockType(m)
	}
}

func (r *reader) readBlockType(m jsonscan.Match) {
	switch {
	case r.is(m, "image"), r.is(m, "image_url"), r.is(m, "input_image"):
		r.f.Images++
	case r.is(m, "document"), r.is(m, "file"), r.is(m, "input_file"):
		r.f.Documents++
		r.block = blockDocument
	case r.is(m, "video_url"):
		r.f.Videos++
	case r.is(m, "input_audio"):
		r.f.Audios++
	}
}

// endBlock ends a block or document, whose parts may be in any order.
func (r *reader) endBlock() {
	r.f.MediaBytes += r.mediaBytes
	if r.block == blockDocument {
		bytes := r.mediaBytes / 4 * 3
		if r.plain {
			r.extra += bytes / bytesPerToken
		} else {
			r.extra += bytes / binaryBytesPerToken
		}
	}
	r.block, r.plain, r.mediaBytes = blockOther, false, 0
}

func (r *reader) readMedia(m jsonscan.Match) {
	f := r.f
	switch m.Role {
	case roleMediaFormat:
		r.plain = r.is(m, "txt") || r.is(m, "md") || r.is(m, "csv") || r.is(m, "html") || r.is(m, "text/plain")
		return
	case roleMediaBytes:
		if m.Kind == jsonscan.String {
			r.mediaBytes += m.TextLen()
		}
		if f.Op == OpCountTokens && r.block == blockOther {
			r.invokeInside = m.TextLen() / 4 * 3
		}
		return
	case roleDocument:
		r.endBlock()
		if m.Kind == jsonscan.BeginObject {
			r.block = blockDocument
			f.Documents++
		}
		return
	}
	if whole(m) && m.Kind != jsonscan.Null {
		f.MediaBytes += m.End - m.Start
	}
	if !given(m) {
		return
	}
	switch m.Role {
	case roleImage:
		f.Images++
	case roleVideo:
		f.Videos++
	case roleAudio:
		f.Audios++
	}
}

// given reports whether m is a value other than null; a container counts once.
func given(m jsonscan.Match) bool {
	return m.Kind != jsonscan.Null && m.Kind != jsonscan.EndObject && m.Kind != jsonscan.EndArray
}

// whole reports whether m is a scalar or the end of a container, so that its
// span is the whole value.
func whole(m jsonscan.Match) bool {
	return m.Kind != jsonscan.BeginObject && m.Kind != jsonscan.BeginArray
}

func (r *reader) count(m jsonscan.Match) {
	if m.Role == roleToolList && m.Kind == jsonscan.EndArray {
		r.f.ToolList = Span{m.Start, m.End}
	}
	if !given(m) {
		return
	}
	switch m.Role {
	case roleTool:
		r.f.Tools++
	case roleCachePoint:
		r.f.CachePoints++
	case roleSignature:
		r.f.ReasoningHistory = true
	}
}

func (r *reader) readCap(m jsonscan.Match) {
	at := &r.f.at
	switch m.Role {
	case roleRoot:
		r.readObject(&at.root, m)
	case roleCapParent:
		r.readObject(&at.parent, m)
	case roleCap, roleOtherCap:
		r.addCap(m)
	case roleForeignCap:
		at.foreignCap = at.foreignCap || given(m)
	case roleThinking:
		if whole(m) {
			at.thinking = r.number(m)
			r.f.ThinkingTokens, r.f.ThinkingSpan = at.thinking.n, at.thinking.Span
		}
	case roleMultiplier:
		if !whole(m) {
			return
		}
		if n := r.number(m); !at.multiplier.given() || n.given() && !n.n.Known {
			at.multiplier = n
		}
		if n := r.number(m).n; n.Known {
			r.f.Multiplier = max(r.f.Multiplier, int(n.N))
		}
	case roleEffort:
		r.f.NoMaxTokens = r.f.NoMaxTokens || r.is(m, "high")
	}
}

func (r *reader) addCap(m jsonscan.Match) {
	at := &r.f.at
	if !whole(m) {
		return
	}
	c := r.number(m)
	c.other = m.Role == roleOtherCap
	if at.ncaps == maxCaps {
		at.tooManyCaps = at.tooManyCaps || !c.null
		return
	}
	at.caps[at.ncaps] = c
	at.ncaps++
	switch {
	case c.null:
		return
	case c.other:
		at.otherCap = max(at.otherCap, c.n.N)
		return
	}
	if !r.f.MaxTokensSpan.Present() {
		r.f.MaxTokensSpan = c.Span
	}
	if c.n.Known && c.n.N > r.f.MaxTokens.N {
		r.f.MaxTokens = c.n
	}
}

func (r *reader) readObject(o *object, m jsonscan.Match) {
	switch m.Kind {
	case jsonscan.BeginObject:
		o.empty = r.nextByte(m.End) == '}'
		o.Span = Span{m.Start, m.End}
	case jsonscan.EndObject:
		o.Span = Span{m.Start, m.End}
	case jsonscan.Null:
		o.Span, o.null = Span{m.Start, m.End}, true
	default:
		o.Span, o.other = Span{m.Start, m.End}, true
	}
}

// nextByte is the first byte from i on that is not white space, 0 at the end.
func (r *reader) nextByte(i int) byte {
	for ; i < len(r.body); i++ {
		switch c := r.body[i]; c {
		case ' ', '\n', '\r', '\t':
		default:
			return c
		}
	}
	return 0
}

// number reads a whole number from 1 to 2³¹-1; anything else is unknown.
func (r *reader) number(m jsonscan.Match) capValue {
	c := capValue{Span: Span{m.Start, m.End}, null: m.Kind == jsonscan.Null}
	if m.Kind != jsonscan.Number {
		return c
	}
	n, err := strconv.ParseUint(string(r.body[m.Start:m.End]), 10, 31)
	if err == nil && n > 0 {
		c.n = Known(int64(n))
	}
	return c
}

func (r *reader) readSetting(m jsonscan.Match) {
	f := r.f
	switch m.Role {
	case roleTier:
		f.TierNamed = true
		f.ServiceTier = joinWords(f.ServiceTier, r.word(m), isDefaultTier)
	case roleLatency:
		f.Latency = joinWords(f.Latency, r.word(m), isDefaultLatency)
	case roleCompaction:
		f.Compaction = f.Compaction || strings.HasPrefix(r.word(m), "compact")
	case roleModel:
		if m.Kind == jsonscan.String {
			f.BodyModel = Span{m.Start, m.End}
			f.BodyModelID = string(jsonscan.AppendString(nil, r.body[m.Start:m.End]))
		}
	case rolePrevious:
		if m.Kind == jsonscan.String {
			f.Previous = string(jsonscan.AppendString(nil, r.body[m.Start:m.End]))
		}
	case roleSchema:
		if whole(m) && m.Kind != jsonscan.Null {
			f.Schema = Span{m.Start, m.End}
		}
	case roleOutputType:
		f.JSONOutput = r.is(m, "json_object")
	case roleToolChoice:
		if whole(m) && m.Kind != jsonscan.Null {
			f.ToolChoice = Span{m.Start, m.End}
		}
	case roleMetadata:
		switch m.Kind {
		case jsonscan.BeginObject:
		case jsonscan.EndObject:
			f.Metadata = Span{m.Start, m.End}
		default:
			f.at.metadataOther = true
		}
	case roleUser:
		if m.Kind == jsonscan.String {
			f.UserSpan = Span{m.Start, m.End}
		}
	case roleGuardrail:
		if whole(m) && m.Kind != jsonscan.Null {
			f.Guardrail, f.Guarded = Span{m.Start, m.End}, true
		}
	}
}

// is reports whether m is the string want.
func (r *reader) is(m jsonscan.Match, want string) bool {
	if m.Kind != jsonscan.String || m.TextLen() != len(want) {
		return false
	}
	if m.Shrink == 0 {
		return string(r.body[m.Start+1:m.End-1]) == want
	}
	var buf [32]byte
	return string(jsonscan.AppendString(buf[:0], r.body[m.Start:m.End])) == want
}

// word returns a short string, without allocating when it is a known one.
func (r *reader) word(m jsonscan.Match) string {
	if m.Kind != jsonscan.String {
		return ""
	}
	return textOf(r.body[m.Start:m.End], m.Shrink)
}

// Fits reports whether the body that f was read from can be sent to a model of
// dialect d. Converse is the same for all; an InvokeModel body belongs to one
// dialect, and nothing is known to fit an unknown one.
func (f *Facts) Fits(d *Dialect) bool {
	return !f.Op.IsInvoke() || d != nil && f.Dialect == d
}
