package openai

import (
	"bytes"
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// roles are who may speak in a Chat Completions request.
var roles = map[string]func(r *request, m jsontree.Value){
	"system":    readInstruction,
	"developer": readInstruction,
	"user":      readUserTurn,
	"assistant": readAssistant,
	"tool":      readResult,
}

func readMessages(r *request, v jsontree.Value) {
	if v.Len() == 0 {
		r.fail(v, codeValue, "Invalid 'messages': empty array. Expected an array with minimum length 1.")
	}
	r.expect(v)
	for m := range v.All() {
		if r.Failure != nil || !r.Is(m, caller.Object) {
			return
		}
		role, ok := r.Need(m, "role", caller.Text)
		if !ok {
			return
		}
		read := roles[role.Text()]
		if read == nil {
			r.fail(role, codeValue, "Invalid value: '"+role.Text()+"'. Supported values are: 'system', 'developer', 'user', "+
				"'assistant' and 'tool'.")
			return
		}
		r.last = m.Last()
		read(r, m)
		r.lastRole = role.Text()
	}
}

// expect makes room for the turns of a conversation.
func (r *request) expect(v jsontree.Value) {
	if f := r.from.Take(v.Len() * converse.TurnBytes); f != nil {
		r.Fail(f)
		return
	}
	r.b.Expect(v.Len())
}

// speaker reads who said it, which Converse has no place for.
func (r *request) speaker(m jsontree.Value) {
	if name := m.Get("name"); name.Present() && r.Is(name, caller.Text) {
		r.Drop(name)
	}
}

// userMembers are what a message of anybody else than the assistant may have. Those of Responses have a type.
var userMembers = []string{"role", "content", "name", "cache_control", "type", "id", "status"}

// readInstruction reads a system or developer message. Those at the beginning are the system prompt.
func readInstruction(r *request, m jsontree.Value) {
	r.Only(m, userMembers...)
	r.speaker(m)
	content, ok := r.Need(m, "content", caller.Text|caller.Array)
	if !ok {
		return
	}
	say, at := r.b.System, converse.InSystem
	if r.b.Begun() {
		say, at = r.b.Midway, converse.InTurn
	}
	r.eachText(content, func(v jsontree.Value) { say(v.Raw()) }, at)
	r.b.ReadCachePoint(&r.Reading, m, at)
}

// eachText reads content that can only be words.
func (r *request) eachText(content jsontree.Value, say func(v jsontree.Value), at converse.Place) {
	if content.IsText() {
		say(content)
		return
	}
	for part := range content.All() {
		if !r.Is(part, caller.Object) {
			return
		}
		kind, ok := r.Need(part, "type", caller.Text)
		if !ok {
			return
		}
		if !isText(kind) {
			r.fail(kind, codeValue, "Invalid value: '"+kind.Text()+"'. Only text can be here.")
			return
		}
		if words, ok := readWords(r, part); ok {
			say(words)
			r.b.ReadCachePoint(&r.Reading, part, at)
		}
	}
}

func readUserTurn(r *request, m jsontree.Value) {
	r.Only(m, userMembers...)
	r.speaker(m)
	content, ok := r.Need(m, "content", caller.Text|caller.Array)
	if !ok {
		return
	}
	r.b.Turn(converse.User)
	r.userContent(content)
	r.b.ReadCachePoint(&r.Reading, m, converse.InTurn)
}

// parts are what a user may say, in Chat Completions and in Responses.
var parts = map[string]func(r *request, p jsontree.Value){
	"text":        readText,
	"input_text":  readText,
	"output_text": readText,
	"image_url":   readImageURL,
	"input_image": readInputImage,
	"file":        readFilePart,
	"input_file":  readFile,
	"input_audio": func(r *request, p jsontree.Value) { r.Refuse(p, "No model behind Converse hears.") },
}

func (r *request) userContent(content jsontree.Value) {
	if content.IsText() {
		r.b.Text(content.Raw())
		return
	}
	for part := range content.All() {
		if r.Failure != nil || !r.Is(part, caller.Object) {
			return
		}
		kind, ok := r.Need(part, "type", caller.Text)
		if !ok {
			return
		}
		read := parts[kind.Text()]
		if read == nil {
			r.fail(kind, codeValue, "Invalid value: '"+kind.Text()+"'. Supported are text, images and files.")
			return
		}
		read(r, part)
		r.b.ReadCachePoint(&r.Reading, part, converse.InTurn)
	}
}

func readText(r *request, p jsontree.Value) {
	if words, ok := readWords(r, p); ok {
		r.b.Text(words.Raw())
	}
}

// readWords reads a part that is text.
func readWords(r *request, p jsontree.Value) (words jsontree.Value, ok bool) {
	r.Only(p, "type", "text", "cache_control", "annotations", "logprobs", "id")
	r.leave(p, leftBeside...)
	return r.Need(p, "text", caller.Text)
}

// leftBeside are the leftovers beside a text.
var leftBeside = []string{"annotations", "logprobs"}

// leave drops members that Converse has no place for, where they say something.
func (r *request) leave(v jsontree.Value, names ...string) {
	for _, name := range names {
		if m := v.Get(name); m.Len() > 0 || len(m.Bytes()) > 0 {
			r.Drop(m)
		}
	}
}

// leftovers are members of answers that clients send back and that have no place in Converse. Those of other gateways
// are among them.
var leftovers = []string{
	"annotations", "audio", "reasoning", "reasoning_content", "thinking_blocks", "provider_specific_fields", "parsed",
	"logprobs",
}

// assistantMembers are what a message of the assistant may have.
var assistantMembers = append([]string{
	"role", "content", "name", "refusal", "tool_calls", "function_call", "cache_control", "reasoning_details",
	"id", "status",
}, leftovers...)

func readAssistant(r *request, m jsontree.Value) {
	r.Only(m, assistantMembers...)
	r.speaker(m)
	r.leave(m, leftovers...)
	if f := m.Get("function_call"); f.Present() {
		r.Refuse(f, "Use tool_calls.")
	}
	r.b.Turn(converse.Assistant)
	reasoned := readReasoningDetails(r, m.Get("reasoning_details"))
	content := m.Get("content")
	if content.Present() && r.Is(content, caller.Text|caller.Array) {
		r.eachAnswer(content)
	}
	if refusal := m.Get("refusal"); refusal.Present() && r.Is(refusal, caller.Text) {
		r.b.Text(refusal.Raw())
	}
	calls := m.Get("tool_calls")
	r.unsigned = calls.Len() > 0 && !reasoned
	if calls.Present() && r.Is(calls, caller.Array) {
		for c := range calls.All() {
			readCall(r, c)
		}
	}
	r.b.ReadCachePoint(&r.Reading, m, converse.InTurn)
}

// eachAnswer reads what the assistant said.
func (r *request) eachAnswer(content jsontree.Value) {
	if content.IsText() {
		r.say(content)
		return
	}
	for part := range content.All() {
		if !r.Is(part, caller.Object) {
			return
		}
		words := part.Get("text")
		if part.Get("type").Is("refusal") {
			words = part.Get("refusal")
		}
		r.Only(part, "type", "text", "refusal", "cache_control", "annotations", "logprobs", "id")
		r.leave(part, leftBeside...)
		if !words.Present() || !r.Is(words, caller.Text) {
			r.fail(part, codeValue, "Invalid value: '"+part.Path()+"' has no words. An assistant says text or a refusal.")
			return
		}
		r.say(words)
		r.b.ReadCachePoint(&r.Reading, part, converse.InTurn)
	}
}

// say adds words of the assistant. The answer goes on from the last ones.
func (r *request) say(words jsontree.Value) {
	if r.last {
		r.b.Prefill(words.Raw())
		return
	}
	r.b.Text(words.Raw())
}

// readReasoningDetails puts signed reasoning back where it was, for the model that made it.
func readReasoningDetails(r *request, v jsontree.Value) (reasoned bool) {
	for d := range v.All() {
		words, signature, data := d.Get("text"), d.Get("signature"), d.Get("data")
		if r.foundation == "" || !d.Get("format").Is(r.foundation) {
			r.Drop(v)
			return reasoned
		}
		switch {
		case data.IsText():
			r.b.Redacted(data.Raw())
			reasoned = true
		case signature.IsText() && words.IsText():
			r.b.Reasoning(words.Raw(), signature.Raw())
			reasoned = true
		}
	}
	return reasoned
}

func readCall(r *request, c jsontree.Value) {
	if !r.Is(c, caller.Object) {
		return
	}
	r.Only(c, "id", "type", "function", "index", "extra_content")
	if kind := c.Get("type"); kind.Present() && !kind.Is("function") {
		r.Refuse(kind, "Only functions can be called.")
		return
	}
	id, ok := r.Need(c, "id", caller.Text)
	if !ok {
		return
	}
	f, ok := r.Need(c, "function", caller.Object)
	if !ok {
		return
	}
	name, ok := r.Need(f, "name", caller.Text)
	if !ok {
		return
	}
	r.Only(f, "name", "arguments", "parsed_arguments")
	if input, ok := r.arguments(f.Get("arguments")); ok {
		r.b.Call(id.Text(), name.Text(), input)
	}
}

// arguments are those of a call: a JSON object in a string, or nothing.
func (r *request) arguments(v jsontree.Value) ([]byte, bool) {
	if !v.Present() {
		return []byte("{}"), true
	}
	if !r.Is(v, caller.Text) {
		return nil, false
	}
	input := v.Bytes()
	if len(bytes.TrimSpace(input)) == 0 {
		return []byte("{}"), true
	}
	d := jsontree.Doc{AllowDuplicates: true} // a model wrote them
	if f := r.from.Reserve(&d, input); f != nil {
		r.Fail(f)
		return nil, false
	}
	parsed, err := d.Parse(input)
	if err != nil || !parsed.IsObject() {
		r.fail(v, codeValue, "Invalid value: '"+v.Path()+"' must be a JSON object in a string.")
		return nil, false
	}
	return slices.Clip(parsed.Raw()), true
}

func readResult(r *request, m jsontree.Value) {
	r.Only(m, "role", "content", "tool_call_id", "name", "cache_control", "is_error")
	id, ok := r.Need(m, "tool_call_id", caller.Text)
	if !ok {
		return
	}
	content, ok := r.Need(m, "content", caller.Text|caller.Array)
	if !ok {
		return
	}
	r.result(id, content, m.Get("is_error").IsTrue())
	r.b.ReadCachePoint(&r.Reading, m, converse.InTurn)
}

// result reads the result of a call, in Chat Completions and in Responses.
func (r *request) result(id, content jsontree.Value, failed bool) {
	r.b.Turn(converse.User)
	var blocks []byte
	say := func(v jsontree.Value) { blocks = appendResult(blocks, v) }
	if content.IsText() || !hasMedia(content) {
		r.eachText(content, say, converse.InTurn)
	} else {
		blocks = mixedResult(r, content)
	}
	if r.Failure == nil && !r.b.Result(id.Text(), blocks, failed) {
		r.fail(id, codeValue, "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "+
			"'tool_calls', and no call before it has the id '"+id.Text()+"'.")
	}
}

// isText reports whether a part of this type is words, as Chat Completions or Responses calls it.
func isText(kind jsontree.Value) bool {
	return kind.Is("text") || kind.Is("input_text") || kind.Is("output_text")
}

func hasMedia(content jsontree.Value) bool {
	for p := range content.All() {
		if !isText(p.Get("type")) {
			return true
		}
	}
	return false
}

// mixedResult reads a result with pictures or files, which stand beside it in the same turn.
func mixedResult(r *request, content jsontree.Value) []byte {
	var blocks []byte
	for p := range content.All() {
		if isText(p.Get("type")) {
			if words, ok := readWords(r, p); ok {
				blocks = appendResult(blocks, words)
			}
			continue
		}
		read := parts[p.Get("type").Text()]
		if read == nil {
			r.fail(p, codeValue, "Invalid value: '"+p.Path()+"' is of no known type.")
			return nil
		}
		read(r, p)
	}
	if len(blocks) == 0 {
		blocks = append(blocks, `{"text":"See below."}`...)
	}
	return blocks
}

// appendResult adds what a tool returned. Converse refuses a text without words.
func appendResult(dst []byte, v jsontree.Value) []byte {
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	said := v.Raw()
	if converse.Blank(said) {
		said = []byte(`"(no output)"`)
	}
	return append(append(append(dst, `{"text":`...), said...), '}')
}

func readImageURL(r *request, p jsontree.Value) {
	r.Only(p, "type", "image_url", "cache_control")
	image, ok := r.Need(p, "image_url", caller.Object|caller.Text)
	if !ok {
		return
	}
	if image.IsText() {
		r.image(image)
		return
	}
	r.Only(image, "url", "detail")
	r.detail(image)
	if url, ok := r.Need(image, "url", caller.Text); ok {
		r.image(url)
	}
}

func (r *request) detail(v jsontree.Value) {
	if d := v.Get("detail"); d.Present() && r.Is(d, caller.Text) && !d.Is("auto") {
		r.Drop(d)
	}
}

func (r *request) image(url jsontree.Value) {
	_, data, ok := converse.DataURL(url.Bytes())
	if !ok {
		r.fail(url, codeValue, "Invalid value: '"+url.Path()+"' must be a data: URL in base64. The gateway does not fetch "+
			"from other addresses.")
		return
	}
	if !r.b.Model.Pictures {
		r.Refuse(url, "The model does not read pictures.")
		return
	}
	format := converse.ImageFormat(data)
	if format == "" {
		r.fail(url, "invalid_image_format", "You uploaded an unsupported image. Please make sure your image is a valid PNG, "+
			"JPEG, GIF or WebP.")
		return
	}
	if !r.b.Image(format, data) {
		r.fail(url, codeValue, "Invalid value: a message has at most 20 images.")
	}
}

// readFilePart reads a file of Chat Completions.
func readFilePart(r *request, p jsontree.Value) {
	r.Only(p, "type", "file", "cache_control")
	if f, ok := r.Need(p, "file", caller.Object); ok {
		r.Only(f, "file_data", "filename", "file_id")
		r.file(f)
	}
}

// readFile reads a file of Responses.
func readFile(r *request, p jsontree.Value) {
	r.Only(p, "type", "file_data", "filename", "file_id", "file_url", "detail", "cache_control")
	r.detail(p)
	r.file(p)
}

// file reads a file's members: file_data and filename.
func (r *request) file(f jsontree.Value) {
	for _, elsewhere := range []string{"file_id", "file_url"} {
		if v := f.Get(elsewhere); v.Present() {
			r.fail(v, codeUnsupported, "Unsupported parameter: '"+v.Path()+"'. Send the file itself, as file_data.")
			return
		}
	}
	data, ok := r.Need(f, "file_data", caller.Text)
	if !ok {
		return
	}
	name := f.Get("filename")
	if name.Present() && !r.Is(name, caller.Text) {
		return
	}
	media, content, ok := converse.DataURL(data.Bytes())
	if !ok {
		content, ok = data.Bytes(), converse.Base64(data.Bytes())
	}
	if !ok {
		r.fail(data, codeValue, "Invalid value: '"+data.Path()+"' must be a data: URL in base64.")
		return
	}
	if !r.b.Model.Documents {
		r.Refuse(data, "The model does not read documents.")
		return
	}
	format := converse.DocumentFormat(media, name.Text())
	if format == "" {
		r.fail(data, codeValue, "Invalid value: '"+data.Path()+"' is of a type that no model reads. Supported are pdf, csv, "+
			"doc, docx, xls, xlsx, html, txt and md.")
		return
	}
	if !r.b.Document(format, name.Text(), content) {
		r.fail(data, codeValue, "Invalid value: a message has at most 5 documents.")
	}
}
