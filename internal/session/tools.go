package session

import (
	"hash/maphash"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// part is the role of a tool's name and of its arguments.
const part = 1

// toolTree is where messages have calls of tools: in Converse, Anthropic's Messages, Chat Completions, and Responses.
var toolTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "content[].toolUse.name", Role: part}, {Path: "content[].toolUse.input", Role: part},
	{Path: "content[].name", Role: part}, {Path: "content[].input", Role: part},
	{Path: "tool_calls[].function.name", Role: part}, {Path: "tool_calls[].function.arguments", Role: part},
	{Path: "name", Role: part}, {Path: "arguments", Role: part},
})

// seed is that of all hashes: they do not leave the process.
var seed = maphash.MakeSeed()

// recent is how many of the last messages are looked at.
const recent = 8

// LastCalls is a hash of the tools that the last message with calls asks for, and of their arguments; 0 when none of
// the last messages has any. body must be the one that f was read from.
func LastCalls(f *wire.Facts, body []byte) uint64 {
	if f.Tools == 0 || f.Turns == 0 {
		return 0
	}
	var last [recent]wire.Span
	n := 0
	for s := range f.Messages.All {
		last[n%recent] = s
		n++
	}
	for i := range min(n, recent) {
		s := last[(n-1-i)%recent]
		if sum := callsIn(body[s.Start:s.End]); sum != 0 {
			return sum
		}
	}
	return 0
}

// callsIn is the hash of what one message asks of tools, 0 for nothing.
func callsIn(message []byte) uint64 {
	var (
		w    jsonscan.Walker
		hash maphash.Hash
		any  bool
	)
	hash.SetSeed(seed)
	w.AllowDuplicates = true
	w.Reset(toolTree, message)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Kind == jsonscan.BeginObject || m.Kind == jsonscan.BeginArray {
			continue // it comes again, whole
		}
		any = true
		hash.Write(message[m.Start:m.End])
		hash.WriteByte(0)
	}
	if !any {
		return 0
	}
	return hash.Sum64() | 1
}
