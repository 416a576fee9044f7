package wire

import "github.com/sluice-gateway/sluice/internal/wire/jsonscan"

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
	all := []jsonscan.Rule{{Path: "", Role: roleRoot}}
	for _, p := range parts {
		all = append(all, p...)
	}
	return jsonscan.NewTree(all)
}

// Service model bedrock-runtime 2023-09-30: ConverseRequest.
var converseRules = join(
	rules{
		{Path: "messages[]", Role: roleMessage},
		{Path: "messages[].role", Role: roleSpeaker},
		{Path: "system", Role: roleSystem},
		{Path: "system[].text", Role: roleText},
		{Path: "system[].cachePoint", Role: roleCachePoint},
		{Path: "system[].guardContent.text.text", Role: roleText},
		{Path: "promptVariables.*.text", Role: roleText},
		{Path: "inferenceConfig", Role: roleCapParent},
		{Path: "inferenceConfig.maxTokens", Role: roleCap},
		{Path: "toolConfig.tools[].toolSpec", Role: roleTool},
		{Path: "toolConfig.tools[].toolSpec.**", Role: roleText},
		{Path: "toolConfig.tools[].systemTool", Role: roleTool},
		{Path: "toolConfig.tools[].cachePoint", Role: roleCachePoint},
		{Path: "guardrailConfig", Role: roleGuardrail},
		{Path: "requestMetadata", Role: roleMetadata},
		{Path: "performanceConfig.latency", Role: roleLatency},
		{Path: "serviceTier.type", Role: roleTier},
		{Path: "outputConfig.textFormat.structure.jsonSchema.schema", Role: roleSchema},
	},
	converseBlock.at("messages[].content[]"),
	additionalFields.at("additionalModelRequestFields"),
)

// Service model: ContentBlock.
var converseBlock = join(converseMedia, rules{
	{Path: "cachePoint", Role: roleCachePoint},
	{Path: "guardContent.text.text", Role: roleText},
	{Path: "guardContent.image", Role: roleImage},
	{Path: "toolUse.input.**", Role: roleText},
	{Path: "reasoningContent.reasoningText.text", Role: roleText},
	{Path: "reasoningContent.reasoningText.signature", Role: roleSignature},
	{Path: "reasoningContent.redactedContent", Role: roleSignature},
	{Path: "citationsContent.content[].text", Role: roleText},
}, converseMedia.at("toolResult.content[]"), rules{
	{Path: "toolResult.content[].json.**", Role: roleText},
})

// The members that ContentBlock and ToolResultContentBlock share.
var converseMedia = rules{
	{Path: "text", Role: roleText},
	{Path: "image", Role: roleImage},
	{Path: "document", Role: roleDocument},
	{Path: "document.format", Role: roleMediaFormat},
	{Path: "document.context", Role: roleText},
	{Path: "document.source.bytes", Role: roleMediaBytes},
	{Path: "document.source.text", Role: roleText},
	{Path: "document.source.content[].text", Role: roleText},
	{Path: "video", Role: roleVideo},
	{Path: "audio", Role: roleAudio},
	{Path: "searchResult.title", Role: roleText},
	{Path: "searchResult.content[].text", Role: roleText},
}

// additionalFields are members of additionalModelRequestFields that reach the
// model's own body and with it could ask for more output than the cap allows:
// every spelling of a cap, a multiplier or a thinking budget that any family
// knows.
var additionalFields = rules{
	{Path: "max_tokens", Role: roleForeignCap},
	{Path: "max_tokens_to_sample", Role: roleForeignCap},
	{Path: "max_completion_tokens", Role: roleForeignCap},
	{Path: "max_output_tokens", Role: roleForeignCap},
	{Path: "max_new_tokens", Role: roleForeignCap},
	{Path: "max_gen_len", Role: roleForeignCap},
	{Path: "maxTokens", Role: roleForeignCap},
	{Path: "maxTokenCount", Role: roleForeignCap},
	{Path: "inferenceConfig.maxTokens", Role: roleForeignCap},
	{Path: "inferenceConfig.max_new_tokens", Role: roleForeignCap},
	{Path: "textGenerationConfig.maxTokenCount", Role: roleForeignCap},
	{Path: "n", Role: roleMultiplier},
	{Path: "num_generations", Role: roleMultiplier},
	{Path: "numResults", Role: roleMultiplier},
	{Path: "thinking.budget_tokens", Role: roleThinking},
	{Path: "reasoning_config.budget_tokens", Role: roleThinking},
	{Path: "reasoningConfig.budgetTokens", Role: roleThinking},
	{Path: "reasoningConfig.maxReasoningEffort", Role: roleEffort},
	{Path: "inferenceConfig.reasoningConfig.maxReasoningEffort", Role: roleEffort},
	{Path: "output_format.schema", Role: roleSchema},
}

// InvokeModel bodies of Claude: Anthropic Messages API, and the older text API.
var anthropicRules = join(
	rules{
		{Path: "messages[]", Role: roleMessage},
		{Path: "messages[].role", Role: roleSpeaker},
		{Path: "messages[].content", Role: roleText},
		{Path: "system", Role: roleSystem},
		{Path: "system[].text", Role: roleText},
		{Path: "system[].cache_control", Role: roleCachePoint},
		{Path: "prompt", Role: rolePrompt},
		{Path: "tools[]", Role: roleTool},
		{Path: "tools[].**", Role: roleText},
		{Path: "tools[].cache_control", Role: roleCachePoint},
		{Path: "max_tokens", Role: roleCap},
		{Path: "max_tokens_to_sample", Role: roleCap},
		{Path: "thinking.budget_tokens", Role: roleThinking},
		{Path: "output_format.schema", Role: roleSchema},
		{Path: "output_config.format.schema", Role: roleSchema},
	},
	anthropicBlock.at("messages[].content[]"),
	rules{{Path: "messages[].content[].content", Role: roleText}},
	anthropicBlock.at("messages[].content[].content[]"),
)

var anthropicBlock = rules{
	{Path: "", Role: roleBlock},
	{Path: "type", Role: roleBlockType},
	{Path: "text", Role: roleText},
	{Path: "thinking", Role: roleText},
	{Path: "signature", Role: roleSignature},
	{Path: "data", Role: roleSignature},
	{Path: "input.**", Role: roleText},
	{Path: "title", Role: roleText},
	{Path: "context", Role: roleText},
	{Path: "cache_control", Role: roleCachePoint},
	{Path: "source.media_type", Role: roleMediaFormat},
	{Path: "source.data", Role: roleMediaBytes},
	{Path: "source.content", Role: roleText},
	{Path: "source.content[].text", Role: roleText},
}

// InvokeModel bodies of Nova, schema messages-v1: Converse in another coat.
var novaRules = join(
	rules{
		{Path: "messages[]", Role: roleMessage},
		{Path: "messages[].role", Role: roleSpeaker},
		{Path: "system", Role: roleSystem},
		{Path: "system[].text", Role: roleText},
		{Path: "system[].cachePoint", Role: roleCachePoint},
		{Path: "toolConfig.tools[].toolSpec", Role: roleTool},
		{Path: "toolConfig.tools[].toolSpec.**", Role: roleText},
		{Path: "toolConfig.tools[].systemTool", Role: roleTool},
		{Path: "inferenceConfig", Role: roleCapParent},
		{Path: "inferenceConfig.maxTokens", Role: roleCap},
		{Path: "inferenceConfig.max_new_tokens", Role: roleCap},
		{Path: "inferenceConfig.reasoningConfig.maxReasoningEffort", Role: roleEffort},
		{Path: "reasoningConfig.maxReasoningEffort", Role: roleEffort},
	},
	converseBlock.at("messages[].content[]"),
)

var titanRules = rules{
	{Path: "inputText", Role: rolePrompt},
	{Path: "textGenerationConfig", Role: roleCapParent},
	{Path: "textGenerationConfig.maxTokenCount", Role: roleCap},
}

// promptRules serve every family whose body is one prompt and flat parameters.
var promptRules = rules{
	{Path: "prompt", Role: rolePrompt},
	{Path: "images[]", Role: roleImage},
}

var cohereChatRules = rules{
	{Path: "message", Role: rolePrompt},
	{Path: "preamble", Role: roleSystem},
	{Path: "chat_history[]", Role: roleMessage},
	{Path: "chat_history[].role", Role: roleSpeaker},
	{Path: "chat_history[].message", Role: roleText},
	{Path: "documents[].**", Role: roleText},
	{Path: "tools[]", Role: roleTool},
	{Path: "tools[].**", Role: roleText},
	{Path: "tool_results[].**", Role: roleText},
}

// openAIRules serve the families that took over OpenAI's chat completions.
var openAIRules = rules{
	{Path: "messages[]", Role: roleMessage},
	{Path: "messages[].role", Role: roleSpeaker},
	{Path: "messages[].content", Role: roleText},
	{Path: "messages[].content[]", Role: roleBlock},
	{Path: "messages[].content[].type", Role: roleBlockType},
	{Path: "messages[].content[].text", Role: roleText},
	{Path: "messages[].content[].file.file_data", Role: roleMediaBytes},
	{Path: "messages[].tool_calls[].function.arguments", Role: roleText},
	{Path: "prompt", Role: rolePrompt},
	{Path: "tools[]", Role: roleTool},
	{Path: "tools[].**", Role: roleText},
	{Path: "n", Role: roleMultiplier},
	{Path: "model", Role: roleModel},
	{Path: "service_tier", Role: roleTier},
	{Path: "response_format.json_schema.schema", Role: roleSchema},
}

// embedRules serve the families that answer with vectors or scores.
var embedRules = rules{
	{Path: "inputText", Role: rolePrompt},
	{Path: "inputImage", Role: roleImage},
	{Path: "texts[]", Role: roleText},
	{Path: "images[]", Role: roleImage},
	{Path: "inputs[].content[].text", Role: roleText},
	{Path: "inputs[].content[].image_url", Role: roleImage},
	{Path: "query", Role: rolePrompt},
	{Path: "documents.**", Role: roleText},
	{Path: "singleEmbeddingParams.text.value", Role: roleText},
	{Path: "singleEmbeddingParams.image", Role: roleImage},
	{Path: "singleEmbeddingParams.video", Role: roleVideo},
	{Path: "singleEmbeddingParams.audio", Role: roleAudio},
}

// caps are the members that one family takes as its output cap. Only those that
// it is known to obey are listed: another family's member must not pass for a
// cap, or a caller could ask for everything beside a small number nobody reads.
func caps(names ...string) rules { return each(roleCap, names) }

// times are the members that ask for several answers.
func times(names ...string) rules { return each(roleMultiplier, names) }

func each(r role, names []string) rules {
	out := make(rules, len(names))
	for i, name := range names {
		out[i] = jsonscan.Rule{Path: name, Role: r}
	}
	return out
}

func join(parts ...rules) rules {
	var all rules
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var (
	converseTree   = tree(converseRules)
	anthropicTree  = tree(anthropicRules)
	novaTree       = tree(novaRules)
	titanTree      = tree(titanRules)
	llamaTree      = tree(promptRules, caps("max_gen_len"))
	cohereTextTree = tree(promptRules, caps("max_tokens"), times("num_generations"))
	j2Tree         = tree(promptRules, caps("maxTokens"), times("numResults"))
	deepSeekR1Tree = tree(promptRules, caps("max_tokens"))
	cohereChatTree = tree(cohereChatRules, caps("max_tokens"))
	chatTree       = tree(openAIRules, caps("max_tokens"))
	openAITree     = tree(openAIRules, caps("max_completion_tokens", "max_tokens"))
	embedTree      = tree(embedRules)

	// unknownTree reads a family that nobody knows: any string is text, and
	// every spelling of a cap is seen, so that a cap that stands there holds.
	unknownTree = tree(rules{
		{Path: "**", Role: roleText},
		{Path: "messages[]", Role: roleMessage},
		{Path: "messages[].role", Role: roleSpeaker},
		{Path: "system", Role: roleSystem},
		{Path: "tools[]", Role: roleTool},
		{Path: "max_tokens", Role: roleCap},
		{Path: "max_tokens_to_sample", Role: roleCap},
		{Path: "max_completion_tokens", Role: roleCap},
		{Path: "max_new_tokens", Role: roleCap},
		{Path: "max_gen_len", Role: roleCap},
		{Path: "maxTokens", Role: roleCap},
		{Path: "inferenceConfig.maxTokens", Role: roleCap},
		{Path: "inferenceConfig.max_new_tokens", Role: roleCap},
		{Path: "textGenerationConfig.maxTokenCount", Role: roleCap},
		{Path: "parameters.max_new_tokens", Role: roleCap},
		{Path: "n", Role: roleMultiplier},
		{Path: "num_generations", Role: roleMultiplier},
		{Path: "numResults", Role: roleMultiplier},
	})

	countTokensTree = tree(converseRules.at("input.converse"),
		rules{{Path: "input.invokeModel.body", Role: roleMediaBytes}})
	applyGuardrailTree = tree(rules{
		{Path: "content[].text.text", Role: roleText},
		{Path: "content[].image", Role: roleImage},
	})
	guardrailChecksTree = tree(rules{{Path: "messages[].**", Role: roleText}})
	asyncTree           = tree(rules{
		{Path: "modelId", Role: roleModel},
		{Path: "modelInput.**", Role: roleText},
	})
)

// treeOf returns what to read in a body of op, nil when nothing.
func treeOf(op Operation, d *Dialect) *jsonscan.Tree {
	switch op {
	case OpConverse, OpConverseStream:
		return converseTree
	case OpInvoke, OpInvokeStream:
		if d == nil {
			return unknownTree
		}
		return d.tree
	case OpCountTokens:
		return countTokensTree
	case OpApplyGuardrail:
		return applyGuardrailTree
	case OpInvokeGuardrailChecks:
		return guardrailChecksTree
	case OpStartAsyncInvoke:
		return asyncTree
	}
	return nil
}
