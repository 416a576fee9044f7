package estimate

import "github.com/sluice-gateway/sluice/internal/wire"

// What the bound adds beside the bytes of a body.
const (
	// boundPerTurn and boundPerTool are the frames that chat templates put around
	// a message and a tool.
	boundPerTurn, boundPerTool = 32, 64
	// boundForFrame covers what templates add once: a default system prompt, a date,
	// the turn of the answer.
	boundForFrame = 1024
	// boundForVector is the same of a model that makes embeddings and has no template: its marks of begin and end.
	boundForVector = 16
	// boundForTools covers what tools add once, more with Anthropic than elsewhere:
	// a system prompt (159 to 530 tokens) and the tools whose definitions it has
	// itself, each of which a request can have once: bash 245, text editor 700,
	// computer use 735 and a prompt of 499 (docs "Tool use" and of each tool).
	boundForTools = 3072
)

// perImage is the most that one image takes, by the dialect of the model.
var perImage = map[string]int64{
	// A token is 28 × 28 pixels, and larger images are made smaller: to 1,568
	// tokens, from Opus 4.7 on to 4,784 (docs "Vision").
	"anthropic": 4784,
	// Four tiles of 1,601 in Llama 3.2 (MllamaVisionConfig); sixteen of 144 and one
	// of the whole in Llama 4.
	"llama": 4 * 1601,
	// Pixtral: 1,024 × 1,024 pixels in squares of 16, and the ends of 64 lines.
	"mistral": 4096 + 64,
	// Qwen-VL: 16,384 and two marks (qwen_vl_utils). No other model of this dialect
	// takes images.
	"openai-compatible": 16384 + 2,
}

// perImageElsewhere is for Nova and for what nobody knows. Nova states no
// maximum of tokens: images of up to 8,000 × 8,000 pixels keep their size, and
// the densest line of its table of examples has a token for 506 pixels (Amazon
// Nova user guide, "Image understanding").
const perImageElsewhere = 8000 * 8000 / 500

// Model is what bounds the input of a model.
type Model struct {
	Context int64  // tokens; 0: not known
	Dialect string // of its InvokeModel body; "": not known
}

// Bound is a number of input tokens that the request cannot exceed, and whether
// that is proven. A token of text is at least a byte; an image has a documented
// maximum; nothing is larger than the model's context. Documents, videos and
// audio have no maximum of their own, and a body in an unknown dialect may hold
// anything: only the context bounds them.
func Bound(f *wire.Facts, m Model) (tokens int64, proven bool) {
	n := int64(f.BodyBytes-f.MediaBytes) + int64(f.Images)*imageIn(f, m) +
		int64(f.Turns)*boundPerTurn + int64(f.Tools)*boundPerTool + frame(f.DialectName())
	if f.Tools > 0 {
		n += boundForTools
	}
	bounded := f.DialectName() != "" && f.Documents+f.Videos+f.Audios == 0
	switch {
	case bounded && m.Context > 0:
		return min(n, m.Context), true
	case bounded:
		return n, true
	case m.Context > 0:
		return m.Context, true
	}
	return n + int64(f.InputTokens), false
}

// frame is what a dialect's model adds once.
func frame(dialect string) int64 {
	switch dialect {
	case "titan-embed", "nova-embed", "cohere-embed":
		return boundForVector
	}
	return boundForFrame
}

// imageIn is the most that one image of the request takes. A body that only one
// family has is the dialect of a model that is not listed.
func imageIn(f *wire.Facts, m Model) int64 {
	dialect := m.Dialect
	if dialect == "" {
		dialect = f.DialectName()
	}
	if n, known := perImage[dialect]; known {
		return n
	}
	return perImageElsewhere
}
