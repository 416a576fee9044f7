// Package converse is Converse as the dialects of callers need it. It makes the body of a request from a conversation
// in another dialect, by the rules that Converse has for turns, tools, documents and names, and it reads answers and
// streams. Texts, schemas and media pass as the bytes that they are.
package converse

import "strconv"

// Role is who speaks.
type Role uint8

// The roles.
const (
	User Role = iota
	Assistant
	System // in the middle of a conversation; not all models take it
)

var roles = [...]string{User: "user", Assistant: "assistant", System: "system"}

// Builder takes a conversation in its order and makes a body of it.
type Builder struct {
	Settings
	system []byte // blocks
	tools  []byte // of toolConfig
	turns  []turn
	names
	called   set // tools that the conversation has used, as they are sent
	declared set
	points   int // cache points
}

// turn is one message. Results of tools come before what else a user says.
type turn struct {
	role            Role
	results, blocks []byte
	documents       int
	images          int
	texts           bool
	// calls of tools that have no result yet: the ids as they are sent, by the caller's.
	calls map[string][]string
}

// set is texts, each once, in their order.
type set struct {
	list []string
	has  map[string]bool
}

func (s *set) add(text string) {
	if s.has == nil {
		s.has = map[string]bool{}
	}
	if !s.has[text] {
		s.has[text] = true
		s.list = append(s.list, text)
	}
}

// Members are members of an object, or values of an array, joined by commas.
type Members []byte

// Add adds a member with a value in JSON.
func (m *Members) Add(name string, value []byte) {
	*m = appendComma(*m)
	*m = append(strconv.AppendQuote(*m, name), ':')
	*m = append(*m, value...)
}

func appendComma(dst []byte) []byte {
	if len(dst) > 0 {
		return append(dst, ',')
	}
	return dst
}

// System adds a system prompt: a JSON string. It reports false for one without words, which Converse refuses.
func (b *Builder) System(text []byte) bool {
	if Blank(text) {
		return false
	}
	b.system = appendText(appendComma(b.system), text)
	return true
}

// Midway adds an instruction in the middle of a conversation: a JSON string. Where the model has no such turns, it is a
// user's, in its place, because a longer system prompt would change what is cached. Between a call and its result there
// is no place for one, so it comes behind the result then.
func (b *Builder) Midway(text []byte) bool {
	role := User
	if b.Model.SystemTurns && !b.waits() {
		role = System
	}
	b.Turn(role)
	return b.Text(text)
}

// waits reports whether a call has no result yet.
func (b *Builder) waits() bool {
	for _, t := range b.turns[max(0, len(b.turns)-2):] {
		if len(t.calls) > 0 {
			return true
		}
	}
	return false
}

// Instruct makes a user's turn of the system prompt, for a request that is nothing else, which Converse refuses. It
// reports false when there is none either.
func (b *Builder) Instruct() bool {
	if len(b.system) == 0 {
		return false
	}
	b.turns = append(b.turns, turn{role: User, blocks: b.system, texts: true})
	b.system = nil
	return true
}

// Begun reports whether somebody has spoken.
func (b *Builder) Begun() bool { return len(b.turns) > 0 }

// TurnBytes is how much memory a Builder takes for each turn, beside what is said.
const TurnBytes = 128

// Expect makes room for so many turns.
func (b *Builder) Expect(turns int) { b.turns = make([]turn, 0, turns) }

// Turn begins a turn, or goes on with the last one when it has the same role.
func (b *Builder) Turn(role Role) {
	if n := len(b.turns); n == 0 || b.turns[n-1].role != role {
		b.turns = append(b.turns, turn{role: role})
	}
}

func (b *Builder) turn() *turn { return &b.turns[len(b.turns)-1] }

// Prefilled reports whether the assistant has spoken last, so that the answer would go on from there.
func (b *Builder) Prefilled() bool {
	b.drop()
	return len(b.turns) > 0 && b.turn().role == Assistant
}

// drop removes turns without content, which Converse refuses, and joins those that meet.
func (b *Builder) drop() {
	kept := b.turns[:0]
	for _, t := range b.turns {
		if len(t.blocks)+len(t.results) == 0 {
			continue
		}
		if n := len(kept); n > 0 && kept[n-1].role == t.role {
			last := &kept[n-1]
			last.results = appendAll(last.results, t.results)
			last.blocks = appendAll(last.blocks, t.blocks)
			last.documents, last.texts = last.documents+t.documents, last.texts || t.texts
			continue
		}
		kept = append(kept, t)
	}
	b.turns = kept
}

func appendAll(dst, blocks []byte) []byte {
	if len(blocks) == 0 {
		return dst
	}
	return append(appendComma(dst), blocks...)
}

// Append appends the body.
func (b *Builder) Append(dst []byte) []byte {
	b.drop()
	if b.MaxTokens > 0 {
		b.Inference.Add("maxTokens", strconv.AppendInt(nil, b.MaxTokens, 10))
	}
	if b.Thinking {
		b.Rest.Add("additionalModelResponseFieldPaths", []byte(`["`+thinkingPath+`"]`))
	}
	dst = append(dst, `{"messages":[`...)
	for i := range b.turns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = b.turns[i].append(dst)
	}
	dst = append(dst, ']')
	dst = appendMember(dst, `,"system":[`, b.system, `]`)
	dst = appendMember(dst, `,"inferenceConfig":{`, b.Inference, `}`)
	dst = b.appendTools(dst)
	dst = appendMember(dst, `,"additionalModelRequestFields":{`, b.Extra, `}`)
	dst = appendMember(dst, `,"requestMetadata":{`, b.Metadata, `}`)
	dst = appendMember(dst, `,`, b.Rest, ``)
	return append(dst, '}')
}

func appendMember(dst []byte, open string, content []byte, end string) []byte {
	if len(content) == 0 {
		return dst
	}
	return append(append(append(dst, open...), content...), end...)
}

func (t *turn) append(dst []byte) []byte {
	dst = append(append(dst, `{"role":"`...), roles[t.role]...)
	dst = append(dst, `","content":[`...)
	start := len(dst)
	dst = append(dst, t.results...)
	if len(t.blocks) > 0 {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, t.blocks...)
	}
	if t.documents > 0 && !t.texts { // a message with a document has to have words too
		dst = append(dst, `,{"text":"See the document."}`...)
	}
	return append(dst, `]}`...)
}
