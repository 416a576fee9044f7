package wire

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Dialect is how one model family spells its InvokeModel body, as data.
type Dialect struct {
	Name string
	// ids are beginnings of the foundation ids that speak it.
	ids []string
	// capParent and capName are where an output cap belongs when the body has
	// none; capParent "" is the body itself, capName "" forbids output caps.
	capParent, capName string
	// promptCapName is used in place of capName when the body has a prompt
	// instead of messages.
	promptCapName string
	// ownDefault is the cap that the model applies by itself, 0 when it is the
	// model's maximum or not documented.
	ownDefault int64
	// output and input are what a call can use at all.
	output, input accounting
	// images is whether its answers are images, which are billed each.
	images bool
	tree   *jsonscan.Tree
}

// accounting is whether a family counts a class of tokens.
type accounting uint8

const (
	counted   accounting = iota // reported, unknown when missing
	uncounted                   // never used or never billed: a known zero
)

// dialects is every family of InvokeModel bodies. A longer id prefix wins.
// Sources: AWS Bedrock user guide "Inference request parameters and response
// fields", recorded traffic, and the adapters of LangChain and LiteLLM.
var dialects = []*Dialect{
	{
		Name: "anthropic", ids: []string{"anthropic."},
		capName: "max_tokens", promptCapName: "max_tokens_to_sample", tree: anthropicTree,
	},
	{Name: "nova", ids: []string{"amazon.nova-"}, capParent: "inferenceConfig", capName: "maxTokens", tree: novaTree},
	{Name: "nova-embed", ids: []string{"amazon.nova-2-multimodal-embeddings"}, output: uncounted, tree: embedTree},
	{
		Name: "titan-text", ids: []string{"amazon.titan-text-", "amazon.titan-tg1-"},
		capParent: "textGenerationConfig", capName: "maxTokenCount", ownDefault: 512, tree: titanTree,
	},
	{Name: "titan-embed", ids: []string{"amazon.titan-embed-"}, output: uncounted, tree: embedTree},
	{Name: "llama", ids: []string{"meta.llama"}, capName: "max_gen_len", ownDefault: 512, tree: llamaTree},
	{Name: "mistral", ids: []string{"mistral."}, capName: "max_tokens", tree: chatTree},
	{
		Name: "cohere-text", ids: []string{"cohere.command-text-", "cohere.command-light-"},
		capName: "max_tokens", tree: cohereTextTree,
	},
	{Name: "cohere-chat", ids: []string{"cohere.command-r"}, capName: "max_tokens", tree: cohereChatTree},
	{Name: "cohere-embed", ids: []string{"cohere.embed-"}, output: uncounted, tree: embedTree},
	{
		Name: "rerank", ids: []string{"cohere.rerank-", "amazon.rerank-"},
		output: uncounted, input: uncounted, tree: embedTree,
	},
	{Name: "jamba", ids: []string{"ai21.jamba-"}, capName: "max_tokens", ownDefault: 4096, tree: chatTree},
	{Name: "j2", ids: []string{"ai21.j2-"}, capName: "maxTokens", tree: j2Tree},
	{Name: "deepseek-r1", ids: []string{"deepseek.r1"}, capName: "max_tokens", tree: deepSeekR1Tree},
	{
		Name: "pegasus", ids: []string{"twelvelabs.pegasus-"},
		capName: "maxOutputTokens", ownDefault: 4096, input: uncounted, tree: pegasusTree,
	},
	{
		Name: "marengo", ids: []string{"twelvelabs.marengo-"},
		output: uncounted, input: uncounted, tree: embedTree,
	},
	{Name: "picture", ids: pictures, output: uncounted, input: uncounted, images: true, tree: pictureTree},
	{Name: "openai", ids: []string{"openai."}, capName: "max_completion_tokens", tree: openAITree},
	{
		Name: "openai-compatible", capName: "max_tokens", tree: openAITree,
		ids: []string{
			"deepseek.", "qwen.", "moonshot", "zai.", "minimax.", "writer.", "xai.", "google.gemma", "nvidia.",
		},
	},
}

// Bodies that are of no family: those of operations whose bodies are the same for all models, and the body of a model
// whose family is not known.
var (
	converseDialect = &Dialect{Name: "converse", capParent: "inferenceConfig", capName: "maxTokens", tree: converseTree}
	chatDialect     = &Dialect{Name: "chat-completions", capName: "max_completion_tokens", tree: openAITree}
	responseDialect = &Dialect{Name: "responses", capName: "max_output_tokens", tree: responseTree}
	messageDialect  = &Dialect{Name: "messages", capName: "max_tokens", tree: messageTree}
	unknownDialect  = &Dialect{tree: unknownTree}
)

// forms are the dialects of operations whose bodies are the same for all models.
var forms = [len(operations)]*Dialect{
	OpConverse: converseDialect, OpConverseStream: converseDialect, OpChat: chatDialect, OpChatStream: chatDialect,
	OpResponse: responseDialect, OpResponseStream: responseDialect, OpMessages: messageDialect,
	OpMessagesStream: messageDialect,
}

// pictures are families under the prefixes above, and others, that make pictures
// or video. Their bodies have no tokens to cap, and their answers none to bill.
var pictures = []string{
	"amazon.nova-canvas", "amazon.nova-reel", "amazon.titan-image-", "stability.", "luma.",
}

// otherTasks are families under the prefixes above whose bodies are not known.
var otherTasks = []string{"amazon.nova-sonic", "amazon.nova-2-sonic"}

// DialectOf returns the dialect of a foundation id, nil when it is not known.
func DialectOf(foundation string) *Dialect {
	for _, id := range otherTasks {
		if strings.HasPrefix(foundation, id) {
			return nil
		}
	}
	var best *Dialect
	longest := 0
	for _, d := range dialects {
		for _, id := range d.ids {
			if len(id) > longest && strings.HasPrefix(foundation, id) {
				best, longest = d, len(id)
			}
		}
	}
	return best
}

// Embeds reports whether the family makes vectors of text, billed by its tokens.
func (d *Dialect) Embeds() bool { return d != nil && d.tree == embedTree && d.input == counted }

// CountsInput reports whether the family bills tokens of input. d may be nil.
func (d *Dialect) CountsInput() bool { return d == nil || d.input == counted }

// DialectNamed returns the dialect called name, nil when there is none.
func DialectNamed(name string) *Dialect {
	for _, d := range dialects {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// sniffs lists the members at the top of a body that reveal its family. The first
// row wins whose members are all there. An Anthropic body has no shared row: on Bedrock it names its version.
var sniffs = []struct{ members, dialects string }{
	{"anthropic_version", "anthropic"},
	{"max_tokens_to_sample", "anthropic"},
	{"schemaVersion messages", "nova"},
	{"inferenceConfig messages", "nova"},
	{"singleEmbeddingParams", "nova-embed"},
	{"textGenerationConfig", "titan-text"},
	{"inputImage", "titan-embed"},
	{"inputText embeddingConfig", "titan-embed"},
	{"inputText embeddingTypes", "titan-embed"},
	{"inputText dimensions", "titan-embed"},
	{"inputText normalize", "titan-embed"},
	{"inputText", "titan-text"},
	{"max_gen_len", "llama"},
	{"prompt num_generations", "cohere-text"},
	{"prompt return_likelihoods", "cohere-text"},
	{"prompt maxTokens", "j2"},
	{"input_type", "cohere-embed"},
	{"query documents", "rerank"},
	{"message", "cohere-chat"},
	{"messages", "openai-compatible openai nova mistral jamba"},
	{"prompt", "deepseek-r1 llama mistral cohere-text j2"},
}

// shape is a row of sniffs. mask has a bit for the role of each member.
type shape struct {
	mask     uint32
	dialects []*Dialect
}

var sniffTree, shapes = compileSniffs()

func compileSniffs() (*jsonscan.Tree, []shape) {
	var members rules
	roles := make(map[string]role)
	compiled := make([]shape, len(sniffs))
	for i, row := range sniffs {
		for member := range strings.FieldsSeq(row.members) {
			if roles[member] == 0 {
				roles[member] = role(len(roles) + 1)
				members = append(members, jsonscan.Rule{Path: member, Role: roles[member]})
			}
			compiled[i].mask |= 1 << roles[member]
		}
		for name := range strings.FieldsSeq(row.dialects) {
			compiled[i].dialects = append(compiled[i].dialects, DialectNamed(name))
		}
	}
	return jsonscan.NewTree(members), compiled
}

// SniffDialect guesses for which of these families a body is written, from its
// shape: nil when for none of them, or when the body is not JSON. It is a hint for
// routing alone. How a body is read is decided by the model that gets it.
func SniffDialect(body []byte, among ...*Dialect) *Dialect {
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(sniffTree, body)
	seen := uint32(0)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		seen |= 1 << m.Role
	}
	if w.Err() != nil {
		return nil
	}
	for _, s := range shapes {
		if seen&s.mask != s.mask {
			continue
		}
		for _, d := range among {
			if slices.Contains(s.dialects, d) {
				return d
			}
		}
		return nil
	}
	return nil
}
