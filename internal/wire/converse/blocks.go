package converse

import (
	"bytes"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Bounds of one message (service model, Message).
const (
	MaxImages    = 20
	MaxDocuments = 5
	maxPoints    = 4 // cache points of a request
)

// Text adds words to the turn: a JSON string. It reports false for one without words, which Converse refuses.
func (b *Builder) Text(text []byte) bool {
	if Blank(text) {
		return false
	}
	t := b.turn()
	t.blocks, t.texts = appendText(appendComma(t.blocks), text), true
	return true
}

// Prefill ends the conversation with words of the assistant that the answer goes on from: a JSON string, whose white
// space at the end Converse refuses.
func (b *Builder) Prefill(text []byte) bool {
	trimmed := bytes.TrimRight(jsonscan.AppendString(nil, text), " \t\r\n")
	return b.Text(wire.AppendJSONString(nil, string(trimmed)))
}

func appendText(dst, text []byte) []byte {
	return append(append(append(dst, `{"text":`...), text...), '}')
}

// Image adds a picture to the turn: png, jpeg, gif or webp, in base64. It reports false when the turn has as many as
// it may.
func (b *Builder) Image(format string, data []byte) bool {
	t := b.turn()
	if t.images++; t.images > MaxImages {
		return false
	}
	t.blocks = appendImage(appendComma(t.blocks), format, data)
	return true
}

func appendImage(dst []byte, format string, data []byte) []byte {
	dst = append(append(dst, `{"image":{"format":"`...), format...)
	return append(append(append(dst, `","source":{"bytes":"`...), data...), `"}}}`...)
}

// Document adds a document to the turn, in base64. It reports false when the turn has as many as it may.
func (b *Builder) Document(format, name string, data []byte) bool {
	t := b.turn()
	if t.documents++; t.documents > MaxDocuments {
		return false
	}
	dst := append(append(appendComma(t.blocks), `{"document":{"format":"`...), format...)
	dst = append(append(dst, `","name":"`...), b.file(name)...)
	t.blocks = append(append(append(dst, `","source":{"bytes":"`...), data...), `"}}}`...)
	return true
}

// Reasoning adds what a model thought before, with the signature that it gave.
func (b *Builder) Reasoning(text, signature []byte) {
	t := b.turn()
	dst := append(append(appendComma(t.blocks), `{"reasoningContent":{"reasoningText":{"text":`...), text...)
	if len(signature) > 0 {
		dst = append(append(dst, `,"signature":`...), signature...)
	}
	t.blocks = append(dst, `}}}`...)
}

// Redacted adds what a model thought before and does not show: a JSON string in base64.
func (b *Builder) Redacted(data []byte) {
	t := b.turn()
	dst := append(appendComma(t.blocks), `{"reasoningContent":{"redactedContent":`...)
	t.blocks = append(append(dst, data...), `}}`...)
}

// CachePoint marks all before it as worth keeping, for an hour when long. It reports false when the model or the
// request cannot have one more.
func (b *Builder) CachePoint(at Place, long bool) bool {
	if !b.Model.CachePoints || b.points == maxPoints || long && !b.Model.LongCache {
		return false
	}
	point := `{"cachePoint":{"type":"default"}}`
	if long {
		point = `{"cachePoint":{"type":"default","ttl":"1h"}}`
	}
	dst, behind := &b.tools, false
	switch at {
	case InSystem:
		dst = &b.system
	case InTurn:
		t := b.turn()
		dst, behind = &t.blocks, len(t.results) > 0 && b.Model.Family != "nova" // which takes none behind a result
	case InTools:
	}
	if len(*dst) == 0 && !behind {
		return false
	}
	b.points++
	*dst = append(appendComma(*dst), point...)
	return true
}

// ReadCachePoint reads the cache_control of a part of a request in any dialect, which Converse has behind the part.
func (b *Builder) ReadCachePoint(in *caller.Reading, part jsontree.Value, at Place) {
	control := part.Get("cache_control")
	if !control.Present() || !in.Is(control, caller.Object) {
		return
	}
	in.Only(control, "type", "ttl", "scope")
	if scope := control.Get("scope"); scope.Present() {
		in.Drop(scope) // Bedrock's caches are of an account
	}
	ttl := control.Get("ttl")
	if ttl.Present() && !ttl.Is("5m") && !ttl.Is("1h") {
		in.Drop(ttl)
	}
	if !b.CachePoint(at, ttl.Is("1h")) {
		in.Drop(control)
	}
}

// Place is where a cache point may be.
type Place uint8

// The places.
const (
	InTools Place = iota
	InSystem
	InTurn
)

// Blank reports whether a JSON string has no words in it.
func Blank(text []byte) bool {
	if len(text) < 2 {
		return true
	}
	for i := 1; i < len(text)-1; i++ {
		switch text[i] {
		case ' ', '\t', '\n', '\r':
		case '\\':
			if i++; text[i] != 'n' && text[i] != 't' && text[i] != 'r' {
				return false
			}
		default:
			return false
		}
	}
	return true
}
