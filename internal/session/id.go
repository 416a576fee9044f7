package session

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Header is where callers name their session.
const Header = "X-Sluice-Session"

// headers are where a session may be named, in the order in which they count: ours, then those that clients send by
// themselves (Claude Code, its LLM gateway documentation; Codex CLI, its client).
var headers = [...]string{Header, "X-Claude-Code-Session-Id", "Session_id", "Session-Id"}

// MetadataKey is the key of Bedrock's request metadata that names a session.
const MetadataKey = "session_id"

// MaxID is how long the name of a session may be, in bytes.
const MaxID = 256

// ID is how a request names its session. The zero value is not at all.
type ID struct {
	Text string
	From string // the header field, or the key of the request metadata
}

// Find is how a request names its session. metadata returns the value of a key of its request metadata, "" for none.
func Find(h wire.Header, metadata func(key string) string) ID {
	for _, name := range headers {
		if text := h.Get(name); text != "" {
			return ID{text, name}
		}
	}
	if text := metadata(MetadataKey); text != "" {
		return ID{text, MetadataKey}
	}
	return ID{}
}

// Check refuses a name that cannot be one.
func (id ID) Check() *wire.Error {
	if len(id.Text) > MaxID {
		return wire.Errorf(wire.KindValidation, "the session in %s is longer than %d bytes", id.From, MaxID)
	}
	if !visible(id.Text) {
		return wire.Errorf(wire.KindValidation, "the session in %s must have visible ASCII characters only", id.From)
	}
	return nil
}

// visible reports whether a text has nothing but visible ASCII characters.
func visible(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// longestLabel is how long a name may be that is shown as it is.
const longestLabel = 64

// Label is how the session is called in decisions: its name, or a hash of what is too long for that or cannot be read.
func (id ID) Label() string {
	if len(id.Text) > longestLabel || !visible(id.Text) {
		return id.Name()
	}
	return id.Text
}

// Name is a hash of the session's name, "" for none. It names the windows of its budget.
func (id ID) Name() string {
	if id.Text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id.Text))
	return hex.EncodeToString(sum[:12])
}
