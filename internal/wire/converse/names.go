package converse

import (
	"hash/fnv"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths of names (service model).
const (
	maxName = 64
	maxFile = 200
)

// names are those of the caller's that Converse takes only in another form.
type names struct {
	tools Renamed        // nil for none
	calls map[string]int // ids of calls in the whole conversation, to how often each was used
	files map[string]int // names of documents, to how often each was used
}

// Renamed are tools that are sent under other names than the caller's: what the caller calls them, by what is sent.
type Renamed map[string]string

// Original is what the caller calls a tool.
func (r Renamed) Original(sent string) string {
	if name, ok := r[sent]; ok {
		return name
	}
	return sent
}

// Renamed are the tools that are sent under other names than the caller's, nil for none.
func (n *names) Renamed() Renamed { return n.tools }

// name is how a tool is sent: its own name where Converse takes it.
func (n *names) name(name string) string {
	sent := fit(name, "_-")
	if sent != name {
		if n.tools == nil {
			n.tools = Renamed{}
		}
		n.tools[sent] = name
	}
	return sent
}

// id is how the id of a call is sent. Models tell calls apart by it, so one that was used in an earlier turn gets a
// number.
func (n *names) id(id string) string {
	if n.calls == nil {
		n.calls = map[string]int{}
	}
	sent := fit(id, "_-.:")
	n.calls[sent]++
	if times := n.calls[sent]; times > 1 {
		return fit(sent+"."+strconv.Itoa(times), "_-.:")
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
	h.Write([]byte(name))
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
func (n *names) file(name string) string {
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
		if last := len(out) - 1; last >= 0 && (c == ' ' || c == '-') && out[last] == c {
			continue
		}
		out = append(out, c)
	}
	made := strings.Trim(string(out[:min(len(out), maxFile-8)]), " -")
	if made == "" {
		made = "document"
	}
	if n.files == nil {
		n.files = map[string]int{}
	}
	n.files[made]++
	if times := n.files[made]; times > 1 {
		return n.file(made + " (" + strconv.Itoa(times) + ")")
	}
	return made
}
