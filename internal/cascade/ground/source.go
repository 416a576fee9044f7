// Package ground tells whether an answer stands on what its request supplied: search
// results, documents, tool results, texts in tags or under a heading.
//
// It reads numbers, dates, names, quotations, links and citations of the answer and
// looks for each in the texts of the request; and it compares an answer that says
// "not in the documents" with how much of the question stands in them. It knows no
// facts: what is true and not supplied counts as not supported. docs/groundedness.md
// says what is not looked at.
//
// The package is pure. Texts are scanned once, and nothing of a source is kept.
package ground

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Source is the texts of a request: what it supplies to answer from, and what it
// asks.
type Source struct {
	text     []byte // all texts, one after the other
	regions  []region
	question []byte // what is asked, in text
	pieces   int    // documents and results that are blocks of their own
	opaque   bool   // something was supplied that cannot be read: an image, a PDF
}

// region is a part of the texts.
type region struct {
	start, end int
	supplied   bool // to answer from
	user       bool // said by the user
}

// The roles of values in a request of any family. No two families give the same
// path different meanings.
const (
	inMessage uint8 = iota + 1
	inSpeaker
	inSaid     // text that somebody said, or the context of a block
	inSupplied // text to answer from
	inPiece    // an object that is one document or result
	inBytes    // a document in base64
	inOpaque   // what cannot be read
	inMedia    // the media type of a document
	inSystem
	inType // of a block of Claude's
)

var sourceTree = jsonscan.NewTree(rules())

func rules() []jsonscan.Rule {
	var all []jsonscan.Rule
	add := func(role uint8, paths ...string) {
		for _, path := range paths {
			all = append(all, jsonscan.Rule{Path: path, Role: role})
		}
	}
	add(inMessage, "messages[]", "chat_history[]")
	add(inSpeaker, "messages[].role", "chat_history[].role")
	add(inSaid, "messages[].content", "messages[].content[].text", "chat_history[].message", "prompt", "inputText",
		"message", "inputPrompt", "messages[].content[].guardContent.text.text")
	add(inSystem, "system", "system[].text", "preamble")
	add(inSupplied, "documents[].**", "tool_results[].**", "promptVariables.*.text")
	const block = "messages[].content[]"
	for _, at := range []string{block, block + ".toolResult.content[]"} { // Converse
		add(inPiece, at+".document", at+".searchResult")
		add(inSupplied, at+".document.name", at+".document.context", at+".document.source.text",
			at+".document.source.content[].text", at+".searchResult.title", at+".searchResult.source",
			at+".searchResult.content[].text")
		add(inBytes, at+".document.source.bytes")
		add(inOpaque, at+".image", at+".video", at+".document.source.s3Location")
	}
	add(inPiece, block+".toolResult")
	add(inType, block+".type", block+".content[].type")
	add(inSupplied, block+".toolResult.content[].text", block+".toolResult.content[].json.**")
	for _, at := range []string{block, block + ".content[]"} { // Claude
		add(inSupplied, at+".title", at+".context", at+".source.content", at+".source.content[].text", at+".content")
		add(inBytes, at+".source.data")
		add(inMedia, at+".source.media_type")
		add(inOpaque, at+".source.url", at+".source.file_id", at+".image_url")
	}
	add(inSupplied, block+".content[].text", block+".source", block+".content[].source")
	return all
}

// Read finds what a request supplies. It returns nil when it supplies nothing to
// answer from.
func Read(f *wire.Facts, body []byte) *Source {
	if !f.Op.Writes() {
		return nil
	}
	r := reader{body: body, s: Source{text: make([]byte, 0, f.TextBytes+f.TextBytes/8+64)}}
	r.w.AllowDuplicates = true
	r.w.Reset(sourceTree, body)
	for m := r.w.Next(); m.Role != 0; m = r.w.Next() {
		r.take(m)
	}
	if r.w.Err() != nil {
		return nil
	}
	return r.s.finish()
}

// reader gathers the texts of a body.
type reader struct {
	w       jsonscan.Walker
	body    []byte
	s       Source
	speaker []byte
	first   int  // region with which the message began
	media   bool // the block is text, as far as is known
}

func (r *reader) take(m jsonscan.Match) {
	switch m.Role {
	case inMessage:
		if m.Kind == jsonscan.EndObject {
			r.said()
			return
		}
		r.first, r.speaker, r.media = len(r.s.regions), nil, true
	case inSpeaker:
		r.speaker = r.body[m.Start:m.End]
	case inMedia:
		r.media = bytes.HasPrefix(r.body[m.Start:m.End], []byte(`"text/`))
		r.s.opaque = r.s.opaque || !r.media
	case inPiece:
		if m.Kind == jsonscan.BeginObject {
			r.s.pieces++
		}
	case inType:
		switch string(r.body[m.Start:m.End]) {
		case `"document"`, `"search_result"`, `"tool_result"`:
			r.s.pieces++
		}
	case inOpaque:
		r.s.opaque = true
	case inBytes:
		r.decode(r.body[m.Start:m.End])
	default:
		if m.Kind == jsonscan.String {
			r.add(m)
		}
	}
}

// add adds a text. Prompts and messages outside of lists are the user's.
func (r *reader) add(m jsonscan.Match) {
	start := len(r.s.text)
	r.s.text = append(jsonscan.AppendString(r.s.text, r.body[m.Start:m.End]), '\n')
	r.s.regions = append(r.s.regions, region{start, len(r.s.text), m.Role == inSupplied, m.Role == inSaid})
}

// decode adds a document in base64, when it is a text.
func (r *reader) decode(quoted []byte) {
	if len(quoted) < 2 || !r.media && r.speaker == nil {
		return
	}
	start := len(r.s.text)
	text, err := base64.StdEncoding.AppendDecode(r.s.text, quoted[1:len(quoted)-1])
	if err != nil { // Claude's plain text is no base64
		text = append(jsonscan.AppendString(r.s.text[:start], quoted), '\n')
	}
	added := text[start:]
	if !utf8.Valid(added) || bytes.IndexByte(added, 0) >= 0 || bytes.HasPrefix(added, []byte("%PDF")) {
		r.s.opaque = true
		r.s.text = r.s.text[:start]
		return
	}
	r.s.text = append(text, '\n')
	r.s.regions = append(r.s.regions, region{start, len(r.s.text), true, false})
}

// said ends a message: now its speaker is known.
func (r *reader) said() {
	tool := bytes.Equal(r.speaker, []byte(`"tool"`)) || bytes.Equal(r.speaker, []byte(`"function"`))
	user := bytes.EqualFold(r.speaker, []byte(`"user"`)) || len(r.speaker) == 0
	if tool {
		r.s.pieces++
	}
	for i := r.first; i < len(r.s.regions); i++ {
		at := &r.s.regions[i]
		at.supplied = at.supplied || tool
		at.user = at.user && user
	}
}

// finish finds what is supplied within texts, and the question. It returns nil when
// nothing is supplied.
func (s *Source) finish() *Source {
	said := s.regions
	s.regions = make([]region, 0, len(said)+4)
	for _, r := range said {
		if r.supplied {
			s.regions = append(s.regions, r)
			continue
		}
		s.divide(r)
	}
	supplied := s.opaque
	for _, r := range s.regions {
		supplied = supplied || r.supplied
	}
	if !supplied {
		return nil
	}
	s.ask()
	return s
}

// ask finds the question: the last text of the user that is not supplied, of it what
// stands behind a label, else the last line with a question mark, else all.
func (s *Source) ask() {
	for i := len(s.regions) - 1; i >= 0; i-- {
		r := s.regions[i]
		text := bytes.TrimSpace(s.text[r.start:r.end])
		if r.supplied || !r.user || len(text) == 0 || len(text) < 24 && labelOf(text) == labelQuestion {
			continue
		}
		s.question = questionIn(text)
		return
	}
}

// maxQuestion bounds what is taken for a question.
const maxQuestion = 600

func questionIn(text []byte) []byte {
	var last []byte
	for rest := text; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if labelOf(line) == labelQuestion {
			last = behindLabel(line, rest)
			continue
		}
		if bytes.ContainsAny(line, "?？؟") {
			last = line
		}
	}
	if last == nil {
		last = text
	}
	last = lastQuestion(bytes.TrimSpace(last))
	return last[:min(len(last), maxQuestion)]
}

// behindLabel is what a label such as "Question:" introduces, on its line or the
// next one.
func behindLabel(line, rest []byte) []byte {
	if i := bytes.IndexAny(line, ":："); i >= 0 {
		if text := bytes.TrimSpace(bytes.TrimLeft(line[i:], ":：* ")); len(text) > 0 {
			return text
		}
	}
	rest = bytes.TrimSpace(rest)
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		return rest[:i]
	}
	return rest
}

// lastQuestion is the last sentence of a line that asks.
func lastQuestion(line []byte) []byte {
	end := bytes.LastIndexAny(line, "?？؟")
	if end < 0 {
		return line
	}
	start := 0
	for _, stop := range []string{". ", "! ", "? ", "。", "！", "？"} {
		if i := bytes.LastIndex(line[:end], []byte(stop)); i >= 0 {
			start = max(start, i+len(stop))
		}
	}
	_, size := utf8.DecodeRune(line[end:])
	return line[start : end+size]
}
