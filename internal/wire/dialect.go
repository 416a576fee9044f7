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
	tree          *jsonscan.Tree
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
	{Name: "anthropic", ids: []string{"anthropic."}, capName: "max_tokens", promptCapName: "max_tokens_to_sample", tree: anthropicTree},
	{Name: "nova", ids: []string{"amazon.nova-"}, capParent: "inferenceConfig", capName: "maxTokens", tree: novaTree},
	{Name: "nova-embed", ids: []string{"amazon.nova-2-multimodal-embeddings"}, output: uncounted, tree: embedTree},
	{Name: "titan-text", ids: []string{"amazon.titan-text-", "amazon.titan-tg1-"}, capParent: "textGenerationConfig", capName: "maxTokenCount", ownDefault: 512, tree: titanTree},
	{Name: "titan-embed", ids: []string{"amazon.titan-embed-"}, output: uncounted, tree: embedTree},
	{Name: "llama", ids: []string{"meta.llama"}, capName: "max_gen_len", ownDefault: 512, tree: llamaTree},
	{Name: "mistral", ids: []string{"mistral."}, capName: "max_tokens", tree: chatTree},
	{Name: "cohere-text", ids: []string{"cohere.command-text-", "cohere.command-light-"}, capName: "max_tokens", tree: cohereTextTree},
	{Name: "cohere-chat", ids: []string{"cohere.command-r"}, capName: "max_tokens", tree: cohereChatTree},
	{Name: "cohere-embed", ids: []string{"cohere.embed-"}, output: uncounted, tree: embedTree},
	{Name: "rerank", ids: []string{"cohere.rerank-", "amazon.rerank-"}, output: uncounted, input: uncounted, tree: embedTree},
	{Name: "jamba", ids: []string{"ai21.jamba-"}, capName: "max_tokens", ownDefault: 4096, tree: chatTree},
	{Name: "j2", ids: []string{"ai21.j2-"}, capName: "maxTokens", tree: j2Tree},
	{Name: "deepseek-r1", ids: []string{"deepseek.r1"}, capName: "max_tokens", tree: deepSeekR1Tree},
	{Name: "openai", ids: []string{"openai."}, capName: "max_completion_tokens", tree: openAITree},
	{Name: "openai-compatible", ids: []string{"deepseek.", "qwen.", "moonshot", "zai.", "minimax.", "writer.", "xai.", "google.gemma", "nvidia."}, capName: "max_tokens", tree: openAITree},
}

// otherTasks are families under the prefixes above that make pictures, sound or
// video; their bodies have no tokens to cap.
var otherTasks = []string{"amazon.nova-canvas", "amazon.nova-reel", "amazon.nova-sonic", "amazon.nova-2-sonic"}

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

// DialectNamed returns the dialect called name, nil when there is none.
func DialectNamed(name string) *Dialect {
	for _, d := range dialects {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// trait is a member at the top of a body that gives its family away.
type trait = uint8

// The traits, from 1 because role 0 is no match.
const (
	traitAnthropicVersion trait = iota + 1
	traitMaxTokensToSample
	traitSchemaVersion
	traitInferenceConfig
	traitMessages
	traitSingleEmbedding
	traitTextGeneration
	traitInputText
	traitInputImage
	traitEmbeddingKind
	traitMaxGenLen
	traitPrompt
	traitNumGenerations
	traitMaxTokensCamel
	traitTexts
	traitInputType
	traitQuery
	traitDocuments
	traitMessage
)

var sniffTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "anthropic_version", Role: traitAnthropicVersion},
	{Path: "max_tokens_to_sample", Role: traitMaxTokensToSample},
	{Path: "schemaVersion", Role: traitSchemaVersion},
	{Path: "inferenceConfig", Role: traitInferenceConfig},
	{Path: "messages", Role: traitMessages},
	{Path: "singleEmbeddingParams", Role: traitSingleEmbedding},
	{Path: "textGenerationConfig", Role: traitTextGeneration},
	{Path: "inputText", Role: traitInputText},
	{Path: "inputImage", Role: traitInputImage},
	{Path: "embeddingConfig", Role: traitEmbeddingKind},
	{Path: "embeddingTypes", Role: traitEmbeddingKind},
	{Path: "dimensions", Role: traitEmbeddingKind},
	{Path: "normalize", Role: traitEmbeddingKind},
	{Path: "max_gen_len", Role: traitMaxGenLen},
	{Path: "prompt", Role: traitPrompt},
	{Path: "num_generations", Role: traitNumGenerations},
	{Path: "return_likelihoods", Role: traitNumGenerations},
	{Path: "maxTokens", Role: traitMaxTokensCamel},
	{Path: "texts", Role: traitTexts},
	{Path: "input_type", Role: traitInputType},
	{Path: "query", Role: traitQuery},
	{Path: "documents", Role: traitDocuments},
	{Path: "message", Role: traitMessage},
})

// sniffs says which traits make which family; the first row that fits wins.
var sniffs = []struct {
	all     []trait
	dialect string
}{
	{[]trait{traitAnthropicVersion}, "anthropic"},
	{[]trait{traitMaxTokensToSample}, "anthropic"},
	{[]trait{traitSchemaVersion, traitMessages}, "nova"},
	{[]trait{traitInferenceConfig, traitMessages}, "nova"},
	{[]trait{traitSingleEmbedding}, "nova-embed"},
	{[]trait{traitTextGeneration}, "titan-text"},
	{[]trait{traitInputImage}, "titan-embed"},
	{[]trait{traitInputText, traitEmbeddingKind}, "titan-embed"},
	{[]trait{traitInputText}, "titan-text"},
	{[]trait{traitMaxGenLen}, "llama"},
	{[]trait{traitPrompt, traitNumGenerations}, "cohere-text"},
	{[]trait{traitPrompt, traitMaxTokensCamel}, "j2"},
	{[]trait{traitInputType}, "cohere-embed"},
	{[]trait{traitQuery, traitDocuments}, "rerank"},
	{[]trait{traitMessage}, "cohere-chat"},
}

// shared are shapes that several families have, the likeliest first. An
// Anthropic body is not among them: on Bedrock it names its version.
var shared = []struct {
	trait    trait
	dialects []string
}{
	{traitMessages, []string{"openai-compatible", "openai", "nova", "mistral", "jamba"}},
	{traitPrompt, []string{"deepseek-r1", "llama", "mistral", "cohere-text", "j2"}},
}

// SniffDialect guesses the family from the shape of a body, for ids that hide
// it (aliases, application profiles, provisioned and imported models). A shape
// that several families share is taken for the first of among that has it, else
// for the likeliest. It returns nil when nothing fits or the body is not JSON.
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
	for _, row := range sniffs {
		mask := uint32(0)
		for _, t := range row.all {
			mask |= 1 << t
		}
		if seen&mask == mask {
			return DialectNamed(row.dialect)
		}
	}
	return sniffShared(seen, among)
}

func sniffShared(seen uint32, among []*Dialect) *Dialect {
	for _, shape := range shared {
		if seen&(1<<shape.trait) == 0 {
			continue
		}
		for _, d := range among {
			if d != nil && slices.Contains(shape.dialects, d.Name) {
				return d
			}
		}
		return DialectNamed(shape.dialects[0])
	}
	return nil
}
