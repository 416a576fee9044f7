package anthropic

import (
	"encoding/base64"
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// block is a kind of content block, and what becomes of it on the way to Converse.
type block struct {
	kind string
	how  caller.Treatment
	note string
	// user and assistant say in whose turns it may be.
	user, assistant bool
}

// blocks are the kinds of content blocks. What is not here is refused.
var blocks = []block{
	{"text", caller.Carried, "text; dropped when it has no words", true, true},
	{"image", caller.Carried, "image, from base64", true, false},
	{"document", caller.Carried, "document, from base64 or text", true, false},
	{"tool_use", caller.Carried, "toolUse", false, true},
	{"tool_result", caller.Carried, "toolResult, with what it has beside text", true, false},
	{"thinking", caller.Fitted, "dropped: only the family that made it can read it", false, true},
	{"redacted_thinking", caller.Fitted, "dropped: only the family that made it can read it", false, true},
	{"search_result", caller.Fitted, "text", true, false},
	{"server_tool_use", caller.Refused, "a server tool runs at Anthropic only", false, true},
	{"web_search_tool_result", caller.Refused, "a server tool runs at Anthropic only", true, true},
	{"web_fetch_tool_result", caller.Refused, "a server tool runs at Anthropic only", true, true},
	{"code_execution_tool_result", caller.Refused, "a server tool runs at Anthropic only", true, true},
	{"mcp_tool_use", caller.Refused, "MCP servers are called by Anthropic only", false, true},
	{"mcp_tool_result", caller.Refused, "MCP servers are called by Anthropic only", true, true},
	{"container_upload", caller.Refused, "files are not stored here", true, false},
	{"compaction", caller.Refused, "only Claude by InvokeModel has it", true, true},
}

func readMessages(t *translation, v jsontree.Value) {
	if !t.Is(v, caller.Array) {
		return
	}
	if v.Len() == 0 {
		t.failAt(v, "at least one message is required")
	}
	if f := t.from.Take(v.Len() * converse.TurnBytes); f != nil {
		t.Fail(f)
		return
	}
	t.b.Expect(v.Len())
	for m := range v.All() {
		if t.Failure != nil || !t.Is(m, caller.Object) {
			return
		}
		t.Only(m, "role", "content")
		role, ok := t.Need(m, "role", caller.Text)
		if !ok {
			return
		}
		content := m.Get("content")
		switch {
		case !content.Present():
			t.Fail(words.Missing(m.Path() + ".content"))
		case role.Is("user"):
			t.b.Turn(converse.User)
			t.content(content, false, false)
		case role.Is("assistant"):
			t.b.Turn(converse.Assistant)
			t.content(content, true, m.Last())
		case role.Is("system"):
			t.midway(content)
		default:
			t.failAt(role, "Input should be 'user' or 'assistant'")
		}
	}
}

// midway reads a system message in the middle of the conversation.
func (t *translation) midway(content jsontree.Value) {
	if content.IsText() {
		t.b.Midway(content.Raw())
		return
	}
	if !t.Is(content, caller.Array) {
		return
	}
	for part := range content.All() {
		words, ok := t.Need(part, "text", caller.Text)
		if !ok {
			return
		}
		t.Only(part, "type", "text", "cache_control", "citations")
		t.dropCitations(part)
		if c := part.Get("cache_control"); c.Present() {
			t.Drop(c)
		}
		t.b.Midway(words.Raw())
	}
}

// content reads what somebody says, and what stands beside the results of tools after it. last is whether the answer
// goes on from it.
func (t *translation) content(v jsontree.Value, assistant, last bool) {
	t.parts(v, assistant, last)
	for i := 0; i < len(t.media); i++ { // one may add another
		t.media[i]()
	}
	t.media = t.media[:0]
}

// parts reads blocks, those inside of others too.
func (t *translation) parts(v jsontree.Value, assistant, last bool) {
	if v.IsText() {
		t.say(v, assistant && last)
		return
	}
	if !t.Is(v, caller.Array) {
		return
	}
	for part := range v.All() {
		if t.Failure != nil || !t.Is(part, caller.Object) {
			return
		}
		kind, ok := t.Need(part, "type", caller.Text)
		if !ok {
			return
		}
		i := slices.IndexFunc(blocks, func(b block) bool { return b.kind == kind.Text() })
		switch {
		case i < 0:
			t.Refuse(part, "Input tag '"+kind.Text()+"' does not match any of the expected tags")
		case blocks[i].how == caller.Refused:
			t.Refuse(part, blocks[i].note)
		case assistant && !blocks[i].assistant, !assistant && !blocks[i].user:
			t.failAt(part, "a block of type '"+kind.Text()+"' is not permitted in this role")
		default:
			t.block(kind.Text(), part, assistant && last && part.Last())
			t.b.ReadCachePoint(&t.Reading, part, converse.InTurn)
		}
	}
}

// block reads a block of a kind that is carried. last is whether the answer goes on from it.
func (t *translation) block(kind string, v jsontree.Value, last bool) {
	switch kind {
	case "text":
		readText(t, v, last)
	case "image":
		readImage(t, v)
	case "document":
		readDocument(t, v)
	case "tool_use":
		readToolUse(t, v)
	case "tool_result":
		readToolResult(t, v)
	case "search_result":
		readSearchResult(t, v)
	default:
		readThought(t, v)
	}
}

func (t *translation) say(words jsontree.Value, last bool) {
	if last {
		t.b.Prefill(words.Raw())
		return
	}
	t.b.Text(words.Raw())
}

func readText(t *translation, v jsontree.Value, last bool) {
	words, ok := t.Need(v, "text", caller.Text)
	if !ok {
		return
	}
	t.Only(v, "type", "text", "cache_control", "citations")
	t.dropCitations(v)
	t.say(words, last)
}

// dropCitations drops what a text was taken from, for which Converse has no place in what is asked.
func (t *translation) dropCitations(v jsontree.Value) {
	if c := v.Get("citations"); c.Len() > 0 {
		t.Drop(c)
	}
}

// source is where an image or a document comes from: base64 data. It reports false when it has
// been refused.
func (t *translation) source(v jsontree.Value) (media string, data []byte, ok bool) {
	source, ok := t.Need(v, "source", caller.Object)
	if !ok {
		return "", nil, false
	}
	kind, ok := t.Need(source, "type", caller.Text)
	if !ok {
		return "", nil, false
	}
	t.Only(source, "type", "media_type", "data", "url", "file_id")
	if !kind.Is("base64") {
		t.Fail(unsupported(source.Path(),
			"a source of type '"+kind.Text()+"' is not fetched here: send the data as base64"))
		return "", nil, false
	}
	coded, ok := t.Need(source, "data", caller.Text)
	if !ok {
		return "", nil, false
	}
	if !converse.Base64(coded.Bytes()) {
		t.failAt(coded, "invalid base64 data")
		return "", nil, false
	}
	return source.Get("media_type").Text(), coded.Bytes(), true
}

func readImage(t *translation, v jsontree.Value) {
	_, data, ok := t.source(v)
	if !ok {
		return
	}
	t.Only(v, "type", "source", "cache_control")
	format := converse.ImageFormat(data)
	switch {
	case !t.b.Model.Pictures:
		t.Refuse(v, "this model takes no images")
	case format == "":
		t.failAt(v, "Could not process image: it is none of png, jpeg, gif and webp")
	case !t.b.Image(format, data):
		t.failAt(v, "a turn takes at most 20 images")
	}
}

func readDocument(t *translation, v jsontree.Value) {
	t.Only(v, "type", "source", "cache_control", "citations", "title", "context")
	if c := v.Get("citations"); c.Get("enabled").IsTrue() {
		t.Drop(c)
	}
	if words := v.Get("context"); words.Present() && t.Is(words, caller.Text) {
		t.b.Text(words.Raw())
	}
	source := v.Get("source")
	title := v.Get("title").Text()
	if words := v.Get("title"); words.IsText() && source.Get("type").Is("content") { // it becomes text, without a name
		t.b.Text(words.Raw())
	}
	switch source.Get("type").Text() {
	case "text":
		t.Only(source, "type", "media_type", "data")
		words, ok := t.Need(source, "data", caller.Text)
		if ok {
			t.document(v, "txt", title, base64.StdEncoding.AppendEncode(nil, words.Bytes()))
		}
		return
	case "content":
		t.Only(source, "type", "content")
		if parts := source.Get("content"); parts.Present() {
			t.parts(parts, false, false)
		}
		return
	}
	media, data, ok := t.source(v)
	if !ok {
		return
	}
	format := converse.DocumentFormat(media, title)
	if format == "" {
		t.failAt(v, "a document of this media type is not taken")
		return
	}
	t.document(v, format, title, data)
}

func (t *translation) document(v jsontree.Value, format, title string, data []byte) {
	switch {
	case len(data) == 0:
		t.failAt(v, "the document is empty")
	case !t.b.Model.Documents:
		t.Refuse(v, "this model takes no documents")
	case !t.b.Document(format, title, data):
		t.failAt(v, "a turn takes at most 5 documents")
	}
}

// readThought carries what a model thought to Claude, which has signed it.
func readThought(t *translation, v jsontree.Value) {
	words, signature, data := v.Get("thinking"), v.Get("signature"), v.Get("data")
	switch {
	case !t.b.Model.Claude():
		t.Drop(v)
	case data.IsText():
		t.b.Redacted(data.Raw())
	case words.IsText() && signature.IsText():
		t.b.Reasoning(words.Raw(), signature.Raw())
	default:
		t.failAt(v, "thinking and signature: Field required")
	}
}

func readSearchResult(t *translation, v jsontree.Value) {
	t.Only(v, "type", "source", "title", "content", "citations", "cache_control")
	if c := v.Get("citations"); c.Get("enabled").IsTrue() {
		t.Drop(c)
	}
	head := v.Get("title").Text() + "\n" + v.Get("source").Text()
	t.b.Text(quoted(head))
	if parts := v.Get("content"); parts.Present() {
		t.parts(parts, false, false)
	}
}
