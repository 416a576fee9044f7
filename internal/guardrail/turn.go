package guardrail

import (
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// The roles of what is read of a body.
const (
	inMessage uint8 = iota + 1
	inSpeaker
	inBlock
	inText
	inImage
	inFormat
	inBytes
	inOther // of a block, and read by no guardrail
	inGuarded
)

// tree has what a guardrail reads of a body of Converse, and what it reads nothing of: calls and
// results of tools, reasoning, and points of caches.
var tree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "messages[]", Role: inMessage},
	{Path: "messages[].role", Role: inSpeaker},
	{Path: "messages[].content[]", Role: inBlock},
	{Path: "messages[].content[].text", Role: inText},
	{Path: "messages[].content[].image", Role: inImage},
	{Path: "messages[].content[].image.format", Role: inFormat},
	{Path: "messages[].content[].image.source.bytes", Role: inBytes},
	{Path: "messages[].content[].toolResult", Role: inOther},
	{Path: "messages[].content[].toolUse", Role: inOther},
	{Path: "messages[].content[].reasoningContent", Role: inOther},
	{Path: "messages[].content[].cachePoint", Role: inOther},
	{Path: "messages[].content[].guardContent", Role: inGuarded},
	{Path: "system[].guardContent", Role: inGuarded},
})

// Turn is the last thing that a user said in a conversation. The zero value has no part that can
// be told apart.
type Turn struct {
	// Splices put its blocks into guardContent. Each replaces one byte of the body.
	Splices []wire.Splice
	// Bytes is how long its texts are in the body, with escapes.
	Bytes int64
}

// Of finds the last turn in which a user said something. It is zero where that is all of the
// conversation, where the body says itself what is guarded, and where the turn has what
// guardContent has no room for: a document, or a picture that is neither PNG nor JPEG, or
// not in the body.
func Of(f *wire.Facts, body []byte) Turn {
	if !f.Op.IsConverse() || !f.Guardrail.Present() {
		return Turn{}
	}
	var r reader
	var w jsonscan.Walker
	w.Reset(tree, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		r.take(m, body)
	}
	if w.Err() != nil || r.guarded || r.foreign || r.said < 2 || len(r.turn.Splices) == 0 {
		return Turn{}
	}
	return r.turn
}

// reader follows a body, and keeps of it the last message of a user that says something.
type reader struct {
	turn    Turn
	foreign bool // that turn has what cannot be guarded by itself
	guarded bool // the body says what is guarded
	said    int  // messages with a text or a picture

	message struct {
		Turn
		user, says, foreign bool
	}
	block block
}

// block is one of a message.
type block struct {
	role    uint8 // of what it has
	mixed   bool  // more than that
	start   int
	png     bool // or JPEG
	inBytes bool
	bytes   int64
}

func (r *reader) take(m jsonscan.Match, body []byte) {
	switch m.Role {
	case inMessage:
		r.messageEdge(m)
	case inSpeaker:
		r.message.user = string(jsonscan.Text(body, m.Token)) == "user"
	case inBlock:
		r.blockEdge(m)
	case inFormat:
		format := string(jsonscan.Text(body, m.Token))
		r.block.png = format == "png" || format == "jpeg"
	case inBytes:
		r.block.inBytes = m.Kind == jsonscan.String
	case inGuarded:
		r.guarded = true
	default:
		r.has(m)
	}
}

// has takes in a member of a block.
func (r *reader) has(m jsonscan.Match) {
	if m.Kind == jsonscan.EndObject || m.Kind == jsonscan.EndArray {
		return
	}
	r.block.mixed = r.block.mixed || r.block.role != 0 || m.Role == inText && m.Kind != jsonscan.String
	r.block.role = m.Role
	if m.Role == inText {
		r.block.bytes = int64(m.End - m.Start)
	}
}

func (r *reader) messageEdge(m jsonscan.Match) {
	if m.Kind != jsonscan.EndObject {
		r.message.Turn, r.message.user, r.message.says, r.message.foreign = Turn{}, false, false, false
		return
	}
	if r.message.says {
		r.said++
		if r.message.user {
			r.turn, r.foreign = r.message.Turn, r.message.foreign
		}
	}
}

func (r *reader) blockEdge(m jsonscan.Match) {
	if m.Kind != jsonscan.EndObject {
		r.block = block{start: m.Start}
		return
	}
	b := &r.block
	open := ""
	switch {
	case b.mixed:
	case b.role == inOther:
		return
	case b.role == inText:
		open = `{"guardContent":{"text":{`
	case b.role == inImage && b.png && b.inBytes:
		open = `{"guardContent":{`
	}
	r.message.says = true
	if open == "" {
		r.message.foreign = true
		return
	}
	shut := "}}"
	if b.role == inText {
		shut = "}}}"
	}
	r.message.Bytes += b.bytes
	r.message.Splices = append(r.message.Splices,
		wire.Splice{Start: b.start, End: b.start + 1, Text: []byte(open)},
		wire.Splice{Start: m.End - 1, End: m.End, Text: []byte(shut)})
}
