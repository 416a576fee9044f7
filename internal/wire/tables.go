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
	roleToolList
	roleCachePoint
	roleSignature  // signed or redacted reasoning
	roleCap        // an output cap that the family obeys
	roleOtherCap   // an output cap that another family obeys
	roleCapParent  // the object where a cap belongs
	roleForeignCap // an output cap beside Converse's own
	roleThinking
	roleMultiplier
	roleEffort
	roleCompaction
	roleTier
	roleLatency
	roleModel
	roleSchema
	roleMetadata
	roleGuardrail
	roleUser // whom the request is for
	roleToolChoice
	roleOutputType // of structured output without a schema
	rolePrevious   // the response before
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

// everyCap is every member that any family obeys as its output cap.
var everyCap = []string{
	"max_tokens", "max_tokens_to_sample", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_gen_len",
	"max_length", "maxTokens", "maxTokenCount", "maxOutputTokens", "maxNewTokens", "num_predict", "n_predict",
	"inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens", "inferenceConfig.max_tokens",
	"textGenerationConfig.maxTokenCount",
	"parameters.max_new_tokens", "parameters.max_tokens", "parameters.max_length",
	"generationConfig.maxOutputTokens", "generation_config.max_output_tokens", "generation_config.max_new_tokens",
	"options.num_predict", "sampling_params.max_tokens", "sampling_params.max_new_tokens",
}

// ofFamily are the rules that the InvokeModel bodies of all families that write
// text share, whatever AWS documents of them: what asks for more output, and what
// changes its price. own are the caps that the family obeys.
func ofFamily(own ...string) rules {
	others := slices.DeleteFunc(slices.Clone(everyCap), func(name string) bool { return slices.Contains(own, name) })
	return join(caps(own...), each(roleOtherCap, others...), each(roleMultiplier, everyMultiplier...),
		each(roleTier, "service_tier", "serviceTier", "serviceTier.type"), each(roleLatency, "performanceConfig.latency"))
}

// compaction is where a body asks Claude to sum up its context before it answers.
const compaction = "context_management.edits[].type"

// Service model bedrock-runtime 2023-09-30: ConverseRequest.
var converseRules = join(
	converseTurns,
	caps("inferenceConfig.maxTokens"),
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
	each(roleToolList, "toolConfig.tools"),
	each(roleToolChoice, "toolConfig.toolChoice"),
	each(roleCapParent, "inferenceConfig"),
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
	each(roleForeignCap, everyCap...),
	each(roleMultiplier, everyMultiplier...),
	each(roleThinking, everyThinking...),
	each(roleEffort, everyEffort...),
	each(roleCompaction, compaction),
	each(roleTier, "service_tier", "speed"),
	each(roleSchema, "output_format.schema"),
	each(roleCachePoint, "cache_control"),
)

// Every spelling of the number of completions, of the thinking budget and of the
// reasoning effort.
var (
	everyMultiplier = []string{
		"n", "num_generations", "numResults", "num_return_sequences", "best_of", "candidate_count", "candidateCount",
		"parameters.n", "parameters.best_of", "parameters.num_return_sequences", "sampling_params.n",
		"sampling_params.best_of", "generationConfig.candidateCount", "generation_config.candidate_count",
	}
	everyThinking = []string{
		"thinking.budget_tokens", "reasoning_config.budget_tokens", "reasoningConfig.budgetTokens",
	}
	everyEffort = []string{
		"reasoningConfig.maxReasoningEffort", "inferenceConfig.reasoningConfig.maxReasoningEffort",
	}
)

// InvokeModel bodies of Claude: Anthropic Messages API, and the older text API.
var anthropicRules = join(
	turns("messages[]"),
	each(roleSystem, "system"),
	each(rolePrompt, "prompt"),
	each(roleText, "messages[].content", "messages[].content[].content", "system[].text", "tools[].**"),
	each(roleTool, "tools[]"), each(roleToolList, "tools"), each(roleToolChoice, "tool_choice"),
	each(roleCachePoint, "cache_control", "system[].cache_control", "tools[].cache_control"),
	ofFamily("max_tokens", "max_tokens_to_sample"),
	each(roleThinking, "thinking.budget_tokens"),
	each(roleCompaction, compaction),
	each(roleTier, "speed"), // "fast" has a price of its own
	each(roleUser, "metadata.user_id"),
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
	ofFamily("inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens"),
	each(roleEffort, everyEffort...),
)

var titanRules = join(
	each(rolePrompt, "inputText"),
	each(roleCapParent, "textGenerationConfig"),
	ofFamily("textGenerationConfig.maxTokenCount"),
)

// promptRules serve every family whose body is one prompt and flat parameters.
var promptRules = join(each(rolePrompt, "prompt"), each(roleImage, "images[]"))

var cohereChatRules = join(
	each(rolePrompt, "message"),
	each(roleSystem, "preamble"),
	turns("chat_history[]"),
	each(roleText, "chat_history[].message", "documents[].**", "tools[].**", "tool_results[].**"),
	each(roleTool, "tools[]"), each(roleToolList, "tools"), each(roleToolChoice, "tool_choice"),
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
	each(roleTool, "tools[]"), each(roleToolList, "tools"), each(roleToolChoice, "tool_choice"),
	each(roleModel, "model"),
	each(roleUser, "user"),
	each(roleSchema, "response_format.json_schema.schema"),
	each(roleOutputType, "response_format.type"),
)

// responseRules serve OpenAI's Responses.
var responseRules = join(
	turns("input[]"),
	each(roleSystem, "instructions"),
	each(rolePrompt, "input"),
	each(roleText, "input[].content", "input[].content[].text", "input[].content[].refusal", "input[].arguments",
		"input[].input", "input[].output", "input[].output[].text", "input[].summary[].text", "prompt.variables.**",
		"tools[].**"),
	each(roleSignature, "input[].encrypted_content"),
	each(roleBlock, "input[].content[]", "input[].output[]"),
	each(roleBlockType, "input[].content[].type", "input[].output[].type"),
	each(roleMediaBytes, "input[].content[].file_data", "input[].output[].file_data"),
	each(roleTool, "tools[]"), each(roleToolList, "tools"), each(roleToolChoice, "tool_choice"),
	each(roleModel, "model"),
	each(roleUser, "user"),
	each(roleSchema, "text.format.schema"),
	each(roleOutputType, "text.format.type"),
	each(rolePrevious, "previous_response_id"),
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
	messageTree    = tree(anthropicRules, each(roleModel, "model")) // of Anthropic's own path
	novaTree       = tree(novaRules)
	titanTree      = tree(titanRules)
	llamaTree      = tree(promptRules, ofFamily("max_gen_len"))
	cohereTextTree = tree(promptRules, ofFamily("max_tokens"))
	j2Tree         = tree(promptRules, ofFamily("maxTokens"))
	deepSeekR1Tree = tree(promptRules, ofFamily("max_tokens"))
	cohereChatTree = tree(cohereChatRules, ofFamily("max_tokens"))
	chatTree       = tree(openAIRules, ofFamily("max_tokens"))
	openAITree     = tree(openAIRules, ofFamily("max_completion_tokens", "max_tokens"))
	responseTree   = tree(responseRules, ofFamily("max_output_tokens"))
	pegasusTree    = tree(each(rolePrompt, "inputPrompt"), each(roleVideo, "mediaSource"), ofFamily("maxOutputTokens"))
	embedTree      = tree(embedRules)
	pictureTree    = tree(each(roleText, "**"))

	// unknownTree reads a family that is not known: any string is text, and every
	// spelling of a cap counts.
	unknownTree = tree(
		turns("messages[]"),
		each(roleText, "**"),
		each(roleSystem, "system"),
		each(roleTool, "tools[]"), each(roleToolList, "tools"), each(roleToolChoice, "tool_choice"),
		ofFamily(everyCap...),
		each(roleThinking, everyThinking...),
		each(roleEffort, everyEffort...),
		each(roleCompaction, compaction),
	)
)

// otherTrees are what to read in the bodies that have neither Converse's form nor
// that of a family.
var otherTrees = map[Operation]*jsonscan.Tree{
	OpCountMessages:         messageTree,
	OpCountTokens:           tree(converseRules.at("input.converse"), each(roleMediaBytes, "input.invokeModel.body")),
	OpApplyGuardrail:        tree(each(roleText, "content[].text.text"), each(roleImage, "content[].image")),
	OpInvokeGuardrailChecks: tree(each(roleText, "messages[].**")),
	OpStartAsyncInvoke:      tree(each(roleModel, "modelId"), each(roleText, "modelInput.**")),
	OpCreateBatch:           tree(each(roleModel, "modelId")),

	OpRetrieve: tree(each(roleText, "retrievalQuery.text"),
		each(roleModel, "retrievalConfiguration.vectorSearchConfiguration."+reranking)),
	OpRetrieveAndGenerate:       generateTree,
	OpRetrieveAndGenerateStream: generateTree,
	OpRerank: tree(each(roleText, "queries[].textQuery.text", "sources[].inlineDocumentSource.**"),
		each(roleDocument, "sources[]"), each(roleModel, reranking)),
	OpInvokeAgent: tree(each(roleText, "inputText")),
}

// reranking is where a body of bedrock-agent-runtime names the model that ranks, and generateTree has where it names
// the one that writes (service model).
const reranking = "rerankingConfiguration.bedrockRerankingConfiguration.modelConfiguration.modelArn"

var generateTree = tree(each(roleText, "input.text"), each(roleModel,
	"retrieveAndGenerateConfiguration.knowledgeBaseConfiguration.modelArn",
	"retrieveAndGenerateConfiguration.externalSourcesConfiguration.modelArn"))
