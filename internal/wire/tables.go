package wire

import (
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// role is what a value in a request body means to the reader.
type role = uint8

// The roles, from 1 because role 0 is no match.
const (
	roleRoot role = iota + 1
	roleText
	roleSystem    // the system prompt, a string or blocks
	rolePrompt    // the only user text of a body without messages
	roleMessage   // one turn
	roleSpeaker   // whose turn it is
	roleBlock     // a content block whose type decides what it is
	roleBlockType // its type
	roleImage
	roleDocument
	roleVideo
	roleAudio
	roleMediaFormat // of a document
	roleMediaBytes  // base64
	roleTool
	roleCachePoint
	roleSignature // signed or redacted reasoning
	roleCap       // an output cap
	roleCapParent // the object where a cap belongs
	roleForeignCap
	roleThinking
	roleMultiplier
	roleEffort
	roleTier
	roleLatency
	roleModel
	roleSchema
	roleMetadata
	roleGuardrail
)

type rules []jsonscan.Rule

// each gives every one of the paths the role.
func each(r role, paths ...string) rules {
	out := make(rules, len(paths))
	for i, path := range paths {
		out[i] = jsonscan.Rule{Path: path, Role: r}
	}
	return out
}

func join(parts ...rules) rules { return slices.Concat(parts...) }

// at returns the rules below a path.
func (r rules) at(path string) rules {
	out := make(rules, len(r))
	for i, rule := range r {
		switch {
		case rule.Path == "":
			rule.Path = path
		case path != "" && rule.Path[0] != '[':
			rule.Path = path + "." + rule.Path
		default:
			rule.Path = path + rule.Path
		}
		out[i] = rule
	}
	return out
}

func tree(parts ...rules) *jsonscan.Tree {
	return jsonscan.NewTree(join(each(roleRoot, ""), join(parts...)))
}

// turns are the rules of a list of messages, each of which names its speaker.
func turns(list string) rules {
	return join(each(roleMessage, list), each(roleSpeaker, list+".role"))
}

// caps are the members that one family takes as its output cap. Only those that
// it is known to obey are listed: another family's member must not pass for a
// cap, or a caller could ask for everything beside a small number that is ignored.
func caps(names ...string) rules { return each(roleCap, names...) }

// Service model bedrock-runtime 2023-09-30: ConverseRequest.
var converseRules = join(
	converseTurns,
	each(roleText, "system[].guardContent.text.text", "promptVariables.*.text"),
	each(roleCachePoint, "toolConfig.tools[].cachePoint"),
	each(roleGuardrail, "guardrailConfig"),
	each(roleMetadata, "requestMetadata"),
	each(roleLatency, "performanceConfig.latency"),
	each(roleTier, "serviceTier.type"),
	each(roleSchema, "outputConfig.textFormat.structure.jsonSchema.schema"),
	additionalFields.at("additionalModelRequestFields"),
)

// converseTurns are the members that Converse and Nova's own body share.
var converseTurns = join(
	turns("messages[]"),
	each(roleSystem, "system"),
	each(roleText, "system[].text", "toolConfig.tools[].toolSpec.**"),
	each(roleCachePoint, "system[].cachePoint"),
	each(roleTool, "toolConfig.tools[].toolSpec", "toolConfig.tools[].systemTool"),
	each(roleCapParent, "inferenceConfig"),
	caps("inferenceConfig.maxTokens"),
	converseBlock.at("messages[].content[]"),
)

// Service model: ContentBlock.
var converseBlock = join(
	converseMedia,
	converseMedia.at("toolResult.content[]"),
	each(roleCachePoint, "cachePoint"),
	each(roleImage, "guardContent.image"),
	each(roleText, "guardContent.text.text", "toolUse.input.**", "reasoningContent.reasoningText.text",
		"citationsContent.content[].text", "toolResult.content[].json.**"),
	each(roleSignature, "reasoningContent.reasoningText.signature", "reasoningContent.redactedContent"),
)

// The members that ContentBlock and ToolResultContentBlock share.
var converseMedia = join(
	each(roleText, "text", "document.context", "document.source.text", "document.source.content[].text",
		"searchResult.title", "searchResult.content[].text"),
	each(roleImage, "image"),
	each(roleDocument, "document"),
	each(roleMediaFormat, "document.format"),
	each(roleMediaBytes, "document.source.bytes"),
	each(roleVideo, "video"),
	each(roleAudio, "audio"),
)

// additionalFields are members of additionalModelRequestFields that reach the
// model's own body and with it could ask for more output than the cap allows:
// every spelling of a cap, a multiplier or a thinking budget that any family
// knows.
var additionalFields = join(
	each(roleForeignCap, "max_tokens", "max_tokens_to_sample", "max_completion_tokens", "max_output_tokens",
		"max_new_tokens", "max_gen_len", "maxTokens", "maxTokenCount", "inferenceConfig.maxTokens",
		"inferenceConfig.max_new_tokens", "textGenerationConfig.maxTokenCount"),
	each(roleMultiplier, everyMultiplier...),
	each(roleThinking, "thinking.budget_tokens", "reasoning_config.budget_tokens", "reasoningConfig.budgetTokens"),
	each(roleEffort, everyEffort...),
	each(roleSchema, "output_format.schema"),
)

// Every spelling of the number of completions and of the reasoning effort.
var (
	everyMultiplier = []string{"n", "num_generations", "numResults"}
	everyEffort     = []string{
		"reasoningConfig.maxReasoningEffort", "inferenceConfig.reasoningConfig.maxReasoningEffort",
	}
)

// InvokeModel bodies of Claude: Anthropic Messages API, and the older text API.
var anthropicRules = join(
	turns("messages[]"),
	each(roleSystem, "system"),
	each(rolePrompt, "prompt"),
	each(roleText, "messages[].content", "messages[].content[].content", "system[].text", "tools[].**"),
	each(roleTool, "tools[]"),
	each(roleCachePoint, "system[].cache_control", "tools[].cache_control"),
	caps("max_tokens", "max_tokens_to_sample"),
	each(roleThinking, "thinking.budget_tokens"),
	each(roleSchema, "output_format.schema", "output_config.format.schema"),
	anthropicBlock.at("messages[].content[]"),
	anthropicBlock.at("messages[].content[].content[]"),
)

var anthropicBlock = join(
	each(roleBlock, ""),
	each(roleBlockType, "type"),
	each(roleText, "text", "thinking", "input.**", "title", "context", "source.content", "source.content[].text"),
	each(roleSignature, "signature", "data"),
	each(roleCachePoint, "cache_control"),
	each(roleMediaFormat, "source.media_type"),
	each(roleMediaBytes, "source.data"),
)

// InvokeModel bodies of Nova, schema messages-v1: close to Converse.
var novaRules = join(
	converseTurns,
	caps("inferenceConfig.max_new_tokens"),
	each(roleEffort, everyEffort...),
)

var titanRules = join(
	each(rolePrompt, "inputText"),
	each(roleCapParent, "textGenerationConfig"),
	caps("textGenerationConfig.maxTokenCount"),
)

// promptRules serve every family whose body is one prompt and flat parameters.
var promptRules = join(each(rolePrompt, "prompt"), each(roleImage, "images[]"))

var cohereChatRules = join(
	each(rolePrompt, "message"),
	each(roleSystem, "preamble"),
	turns("chat_history[]"),
	each(roleText, "chat_history[].message", "documents[].**", "tools[].**", "tool_results[].**"),
	each(roleTool, "tools[]"),
)

// openAIRules serve the families that speak OpenAI's chat completions.
var openAIRules = join(
	turns("messages[]"),
	each(roleText, "messages[].content", "messages[].content[].text", "messages[].tool_calls[].function.arguments",
		"tools[].**"),
	each(roleBlock, "messages[].content[]"),
	each(roleBlockType, "messages[].content[].type"),
	each(roleMediaBytes, "messages[].content[].file.file_data"),
	each(rolePrompt, "prompt"),
	each(roleTool, "tools[]"),
	each(roleMultiplier, "n"),
	each(roleModel, "model"),
	each(roleTier, "service_tier"),
	each(roleSchema, "response_format.json_schema.schema"),
)

// embedRules serve the families that answer with vectors or scores.
var embedRules = join(
	each(rolePrompt, "inputText", "query"),
	each(roleText, "texts[]", "inputs[].content[].text", "documents.**", "singleEmbeddingParams.text.value"),
	each(roleImage, "inputImage", "images[]", "inputs[].content[].image_url", "singleEmbeddingParams.image"),
	each(roleVideo, "singleEmbeddingParams.video"),
	each(roleAudio, "singleEmbeddingParams.audio"),
)

var (
	converseTree   = tree(converseRules)
	anthropicTree  = tree(anthropicRules)
	novaTree       = tree(novaRules)
	titanTree      = tree(titanRules)
	llamaTree      = tree(promptRules, caps("max_gen_len"))
	cohereTextTree = tree(promptRules, caps("max_tokens"), each(roleMultiplier, "num_generations"))
	j2Tree         = tree(promptRules, caps("maxTokens"), each(roleMultiplier, "numResults"))
	deepSeekR1Tree = tree(promptRules, caps("max_tokens"))
	cohereChatTree = tree(cohereChatRules, caps("max_tokens"))
	chatTree       = tree(openAIRules, caps("max_tokens"))
	openAITree     = tree(openAIRules, caps("max_completion_tokens", "max_tokens"))
	embedTree      = tree(embedRules)

	// unknownTree reads a family that is not known: any string is text, and every
	// spelling of a cap counts.
	unknownTree = tree(
		turns("messages[]"),
		each(roleText, "**"),
		each(roleSystem, "system"),
		each(roleTool, "tools[]"),
		caps("max_tokens", "max_tokens_to_sample", "max_completion_tokens", "max_new_tokens", "max_gen_len", "maxTokens",
			"inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens", "textGenerationConfig.maxTokenCount",
			"parameters.max_new_tokens"),
		each(roleMultiplier, everyMultiplier...),
	)
)

// otherTrees are what to read in the bodies that have neither Converse's form nor
// that of a family.
var otherTrees = map[Operation]*jsonscan.Tree{
	OpCountTokens:           tree(converseRules.at("input.converse"), each(roleMediaBytes, "input.invokeModel.body")),
	OpApplyGuardrail:        tree(each(roleText, "content[].text.text"), each(roleImage, "content[].image")),
	OpInvokeGuardrailChecks: tree(each(roleText, "messages[].**")),
	OpStartAsyncInvoke:      tree(each(roleModel, "modelId"), each(roleText, "modelInput.**")),
}
