package converse

import (
	"hash/fnv"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Lengths of names (service model).
const (
	maxName = 64
	maxFile = 200
)

// Original is what the caller calls a tool that is sent under another name.
func (b *Builder) Original(sent string) string {
	if name, ok := b.names[sent]; ok {
		return name
	}
	return sent
}

// Renamed are the tools that are sent under other names than the caller's, nil for none.
func (b *Builder) Renamed() map[string]string { return b.names }

// name is how a tool is sent: its own name where Converse takes it.
func (b *Builder) name(name string) string {
	sent := fit(name, "_-")
	if sent != name {
		if b.names == nil {
			b.names = map[string]string{}
		}
		b.names[sent] = name
	}
	return sent
}

// id is how the id of a call is sent. Models tell calls apart by it, so one that was used in an earlier turn gets a
// number.
func (b *Builder) id(id string) string {
	if b.calls == nil {
		b.calls = map[string]int{}
	}
	sent := fit(id, "_-.:")
	b.calls[sent]++
	if n := b.calls[sent]; n > 1 {
		return fit(sent+"."+strconv.Itoa(n), "_-.:")
	}
	return sent
}

// fit is a name of letters, digits and some marks, of at most 64 bytes: the name itself where it is one, else one that
// is the same for the same name and differs for others.
func fit(name, marks string) string {
	good := name != "" && len(name) <= maxName
	for i := 0; good && i < len(name); i++ {
		good = plain(name[i], marks)
	}
	if good {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(name)) //nolint:errcheck // it never fails
	out := make([]byte, 0, maxName)
	for i := 0; i < len(name) && len(out) < maxName-9; i++ {
		c := name[i]
		if !plain(c, marks) {
			c = '_'
		}
		out = append(out, c)
	}
	return string(strconv.AppendUint(append(out, '_'), uint64(h.Sum32()), 16))
}

func plain(c byte, marks string) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(marks, c) >= 0
}

// file is the name of a document as Converse takes it: letters, digits, single spaces, hyphens, brackets; and no other
// document of the request has it. What it is called is for the model to read, so it stays as near as it can.
func (b *Builder) file(name string) string {
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		name = name[:dot]
	}
	out := make([]byte, 0, len(name))
	for _, r := range name {
		c := byte('-')
		if r < utf8.RuneSelf && (plain(byte(r), "-()[]")) {
			c = byte(r)
		} else if unicode.IsSpace(r) {
			c = ' '
		}
		if n := len(out); n > 0 && (c == ' ' || c == '-') && out[n-1] == c {
			continue
		}
		out = append(out, c)
	}
	made := strings.Trim(string(out[:min(len(out), maxFile-8)]), " -")
	if made == "" {
		made = "document"
	}
	if b.files == nil {
		b.files = map[string]int{}
	}
	b.files[made]++
	if n := b.files[made]; n > 1 {
		return b.file(made + " (" + strconv.Itoa(n) + ")")
	}
	return made
}

func appendQuoted(dst, text []byte) []byte { return wire.AppendJSONString(dst, string(text)) }
