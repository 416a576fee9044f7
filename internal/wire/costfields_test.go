package wire_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/schemas"
	smithy "github.com/aws/smithy-go"
	smithytraits "github.com/aws/smithy-go/traits"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// costFields is every member of every shape that a request of the runtime API can
// have, by what it does to the cost of the call: $ decides the price, > how much
// may be written, < is read by the model and is part of the input. The others
// change nothing. A member that a new SDK brings is missing here until somebody
// has decided what it is; if it costs, Read, ReadHeader or Limit has to know it
// and costProbes proves that.
var costFields = map[string]string{
	"AdditionalModelResponseFieldPaths": "member",
	"ApplyGuardrailRequest":             "$content $guardrailIdentifier guardrailVersion outputScope source",
	"AsyncInvokeOutputDataConfig":       "s3OutputDataConfig",
	"AsyncInvokeS3OutputDataConfig":     "bucketOwner kmsKeyId s3Uri",
	"AsyncInvokeStatus":                 "COMPLETED FAILED IN_PROGRESS",
	"AudioBlock":                        "error format source",
	"AudioFormat":                       "AAC FLAC M4A MKA MKV MP3 MP4 MPEG MPGA OGG OPUS PCM WAV WEBM X_AAC",
	"AudioSource":                       "bytes s3Location",
	"BidirectionalInputPayloadPart":     "bytes",
	"CachePointBlock":                   "$ttl type",
	"CachePointType":                    "DEFAULT",
	"CacheTTL":                          "$FIVE_MINUTES $ONE_HOUR",
	"Citation":                          "location source sourceContent title",
	"CitationGeneratedContent":          "text",
	"CitationGeneratedContentList":      "member",
	"CitationLocation":                  "documentChar documentChunk documentPage searchResultLocation web",
	"CitationSourceContent":             "text",
	"CitationSourceContentList":         "member",
	"Citations":                         "member",
	"CitationsConfig":                   "enabled",
	"CitationsContentBlock":             "citations content",
	"ContentBlock": "<audio $cachePoint <citationsContent <document <guardContent <image <reasoningContent " +
		"<searchResult <text toolAddition toolRemoval <toolResult <toolUse <video",
	"ContentBlocks":    "member",
	"ConversationRole": "ASSISTANT SYSTEM USER",
	"ConverseRequest": "$additionalModelRequestFields additionalModelResponseFieldPaths $guardrailConfig " +
		">inferenceConfig <messages $modelId >outputConfig $performanceConfig <promptVariables " +
		"requestMetadata $serviceTier <system <toolConfig",
	"ConverseStreamRequest": "$additionalModelRequestFields additionalModelResponseFieldPaths $guardrailConfig " +
		">inferenceConfig <messages $modelId >outputConfig $performanceConfig <promptVariables " +
		"requestMetadata $serviceTier <system <toolConfig",
	"ConverseTokensRequest":                               "additionalModelRequestFields messages system toolConfig",
	"CountTokensInput":                                    "converse invokeModel",
	"CountTokensRequest":                                  "input modelId",
	"DocumentBlock":                                       "citations context format name source",
	"DocumentCharLocation":                                "documentIndex end start",
	"DocumentChunkLocation":                               "documentIndex end start",
	"DocumentContentBlock":                                "text",
	"DocumentContentBlocks":                               "member",
	"DocumentFormat":                                      "CSV DOC DOCX HTML MD PDF TXT XLS XLSX",
	"DocumentPageLocation":                                "documentIndex end start",
	"DocumentSource":                                      "bytes content s3Location text",
	"ErrorBlock":                                          "message",
	"GetAsyncInvokeRequest":                               "invocationArn",
	"GuardrailChecksConfig":                               "contentFilter promptAttack sensitiveInformation",
	"GuardrailChecksContentBlock":                         "text",
	"GuardrailChecksContentBlockList":                     "member",
	"GuardrailChecksContentFilterCategory":                "HATE INSULTS MISCONDUCT SEXUAL VIOLENCE",
	"GuardrailChecksContentFilterCategoryConfig":          "category",
	"GuardrailChecksContentFilterCategoryConfigList":      "member",
	"GuardrailChecksContentFilterConfig":                  "categories",
	"GuardrailChecksMessage":                              "content role",
	"GuardrailChecksMessageList":                          "member",
	"GuardrailChecksPromptAttackCategory":                 "JAILBREAK PROMPT_INJECTION PROMPT_LEAKAGE",
	"GuardrailChecksPromptAttackCategoryConfig":           "category",
	"GuardrailChecksPromptAttackCategoryConfigList":       "member",
	"GuardrailChecksPromptAttackConfig":                   "categories",
	"GuardrailChecksRole":                                 "ASSISTANT SYSTEM USER",
	"GuardrailChecksSensitiveInformationConfig":           "entities",
	"GuardrailChecksSensitiveInformationEntityConfig":     "type",
	"GuardrailChecksSensitiveInformationEntityConfigList": "member",
	"GuardrailChecksSensitiveInformationEntityType": "" +
		"ADDRESS AGE AWS_ACCESS_KEY AWS_SECRET_KEY CA_HEALTH_NUMBER CA_SOCIAL_INSURANCE_NUMBER " +
		"CREDIT_DEBIT_CARD_CVV CREDIT_DEBIT_CARD_EXPIRY CREDIT_DEBIT_CARD_NUMBER DRIVER_ID EMAIL " +
		"INTERNATIONAL_BANK_ACCOUNT_NUMBER IP_ADDRESS LICENSE_PLATE MAC_ADDRESS NAME PASSWORD PHONE " +
		"PIN SWIFT_CODE UK_NATIONAL_HEALTH_SERVICE_NUMBER UK_NATIONAL_INSURANCE_NUMBER " +
		"UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER URL USERNAME US_BANK_ACCOUNT_NUMBER " +
		"US_BANK_ROUTING_NUMBER US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER US_PASSPORT_NUMBER " +
		"US_SOCIAL_SECURITY_NUMBER VEHICLE_IDENTIFICATION_NUMBER",
	"GuardrailConfiguration":                "$guardrailIdentifier guardrailVersion trace",
	"GuardrailContentBlock":                 "image text",
	"GuardrailContentBlockList":             "member",
	"GuardrailContentQualifier":             "GROUNDING_SOURCE GUARD_CONTENT QUERY",
	"GuardrailContentQualifierList":         "member",
	"GuardrailContentSource":                "INPUT OUTPUT",
	"GuardrailConverseContentBlock":         "image text",
	"GuardrailConverseContentQualifier":     "GROUNDING_SOURCE GUARD_CONTENT QUERY",
	"GuardrailConverseContentQualifierList": "member",
	"GuardrailConverseImageBlock":           "format source",
	"GuardrailConverseImageFormat":          "JPEG PNG",
	"GuardrailConverseImageSource":          "bytes",
	"GuardrailConverseTextBlock":            "qualifiers text",
	"GuardrailImageBlock":                   "format source",
	"GuardrailImageFormat":                  "JPEG PNG",
	"GuardrailImageSource":                  "bytes",
	"GuardrailOutputScope":                  "FULL INTERVENTIONS",
	"GuardrailStreamConfiguration":          "$guardrailIdentifier guardrailVersion streamProcessingMode trace",
	"GuardrailStreamProcessingMode":         "ASYNC SYNC",
	"GuardrailTextBlock":                    "qualifiers text",
	"GuardrailTrace":                        "DISABLED ENABLED ENABLED_FULL",
	"ImageBlock":                            "error format source",
	"ImageFormat":                           "GIF JPEG PNG WEBP",
	"ImageSource":                           "bytes s3Location",
	"InferenceConfiguration":                ">maxTokens stopSequences temperature topP",
	"InvokeGuardrailChecksRequest":          "$checks <messages",
	"InvokeModelRequest": "accept $body contentType $guardrailIdentifier guardrailVersion $modelId " +
		"$performanceConfigLatency requestMetadata $serviceTier trace",
	"InvokeModelTokensRequest":                  "body",
	"InvokeModelWithBidirectionalStreamInput":   "chunk",
	"InvokeModelWithBidirectionalStreamRequest": "$body $modelId",
	"InvokeModelWithResponseStreamRequest": "accept $body contentType $guardrailIdentifier guardrailVersion $modelId " +
		"$performanceConfigLatency requestMetadata $serviceTier trace",
	"JsonSchemaDefinition":      "description name schema",
	"ListAsyncInvokesRequest":   "maxResults nextToken sortBy sortOrder statusEquals submitTimeAfter submitTimeBefore",
	"Message":                   "content role",
	"Messages":                  "member",
	"NonEmptyStringList":        "member",
	"OutputConfig":              ">effort <textFormat",
	"OutputFormat":              "structure type",
	"OutputFormatStructure":     "jsonSchema",
	"OutputFormatType":          "JSON_SCHEMA",
	"PerformanceConfigLatency":  "$OPTIMIZED $STANDARD",
	"PerformanceConfiguration":  "$latency",
	"PromptVariableMap":         "key value",
	"PromptVariableValues":      "text",
	"ReasoningContentBlock":     "reasoningText redactedContent",
	"ReasoningTextBlock":        "signature text",
	"RequestMetadata":           "key value",
	"S3Location":                "bucketOwner uri",
	"SearchResultBlock":         "citations content source title",
	"SearchResultContentBlock":  "text",
	"SearchResultContentBlocks": "member",
	"SearchResultLocation":      "end searchResultIndex start",
	"ServiceTier":               "$type",
	"ServiceTierType":           "$DEFAULT $FLEX $PRIORITY $RESERVED",
	"SortAsyncInvocationBy":     "SUBMISSION_TIME",
	"SortOrder":                 "ASCENDING DESCENDING",
	"SpecificToolChoice":        "name",
	"StartAsyncInvokeRequest":   "clientRequestToken $modelId <modelInput outputDataConfig tags",
	"SystemContentBlock":        "$cachePoint <guardContent <text",
	"SystemContentBlocks":       "member",
	"SystemTool":                "name",
	"Tag":                       "key value",
	"TagList":                   "member",
	"Tool":                      "$cachePoint $systemTool <toolSpec",
	"ToolAdditionBlock":         "tool",
	"ToolChoice":                "any auto tool",
	"ToolConfiguration":         "toolChoice tools",
	"ToolInputSchema":           "json",
	"ToolReference":             "name serverName type",
	"ToolRemovalBlock":          "tool",
	"ToolResultBlock":           "content status toolUseId type",
	"ToolResultContentBlock":    "<document <image <json <searchResult <text <video",
	"ToolResultContentBlocks":   "member",
	"ToolResultStatus":          "ERROR SUCCESS",
	"ToolSpecification":         "description inputSchema name strict",
	"ToolUseBlock":              "input name toolUseId type",
	"ToolUseType":               "SERVER_TOOL_USE",
	"Tools":                     "member",
	"Trace":                     "DISABLED ENABLED ENABLED_FULL",
	"VideoBlock":                "format source",
	"VideoFormat":               "FLV MKV MOV MP4 MPEG MPG THREE_GP WEBM WMV",
	"VideoSource":               "bytes s3Location",
	"WebLocation":               "domain url",
}

// costProbes show for each member that decides a price or the length of an answer,
// wherever AWS reads it, that the facts of the request have it.
var costProbes = map[string][]costProbe{
	"ConverseRequest.modelId": {{skip: "the path; see router.Priced"}},
	"ConverseRequest.additionalModelRequestFields": {
		{body: `{"additionalModelRequestFields":{"service_tier":"flex"}}`, has: tier("flex")},
		{body: `{"additionalModelRequestFields":{"speed":"fast"}}`, has: tier("fast")},
		{body: `{"additionalModelRequestFields":{"n":3}}`, has: threefold},
		{body: `{"additionalModelRequestFields":{"candidate_count":3}}`, has: threefold},
		{body: `{"additionalModelRequestFields":{"parameters":{"num_return_sequences":3}}}`, has: threefold},
		{body: `{"additionalModelRequestFields":{"thinking":{"budget_tokens":2000}}}`,
			has: func(f *wire.Facts) bool { return f.ThinkingTokens.N == 2000 }},
		{body: `{"additionalModelRequestFields":{"context_management":{"edits":[{"type":"compact_20260112"}]}}}`,
			has: func(f *wire.Facts) bool { return f.Compaction }},
		{body: `{"additionalModelRequestFields":{"max_tokens":9000}}`, has: refused},
	},
	"ConverseRequest.guardrailConfig":            {{body: guarded, has: isGuarded}},
	"GuardrailConfiguration.guardrailIdentifier": {{body: guarded, has: isGuarded}},
	"ConverseRequest.performanceConfig":          {{body: optimized, has: isOptimized}},
	"PerformanceConfiguration.latency":           {{body: optimized, has: isOptimized}},
	"PerformanceConfigLatency.OPTIMIZED":         {{body: optimized, has: isOptimized}},
	"PerformanceConfigLatency.STANDARD": {
		{body: `{"performanceConfig":{"latency":"standard"}}`,
			has: isStandard},
	},
	"ConverseRequest.serviceTier": {
		{body: `{"serviceTier":{"type":"priority"}}`,
			has: tier("priority")},
	},
	"ServiceTier.type": {
		{body: `{"serviceTier":{"type":"RESERVED"}}`,
			has: tier("reserved")},
	},
	"ServiceTierType.DEFAULT": {
		{body: `{"serviceTier":{"type":"default"}}`,
			has: tier("default")},
	},
	"ServiceTierType.FLEX": {
		{body: `{"serviceTier":{"type":"flex"}}`,
			has: tier("flex")},
	},
	"ServiceTierType.PRIORITY": {
		{body: `{"serviceTier":{"type":"priority"}}`,
			has: tier("priority")},
	},
	"ServiceTierType.RESERVED": {
		{body: `{"serviceTier":{"type":"reserved"}}`,
			has: tier("reserved")},
	},
	"ConverseRequest.inferenceConfig": {
		{body: `{"inferenceConfig":{"maxTokens":77}}`,
			has: asks(77)},
	},
	"InferenceConfiguration.maxTokens": {
		{body: `{"inferenceConfig":{"maxTokens":77}}`,
			has: asks(77)},
	},
	"ConverseRequest.outputConfig": {{skip: "effort is spent under maxTokens"}},
	"OutputConfig.effort":          {{skip: "effort is spent under maxTokens"}},
	"CachePointBlock.ttl": {
		{skip: "a hold takes the dearest cache; usage names the lifetimes"},
	},
	"CacheTTL.FIVE_MINUTES": {{skip: "as CachePointBlock.ttl"}},
	"CacheTTL.ONE_HOUR":     {{skip: "as CachePointBlock.ttl"}},
	"ContentBlock.cachePoint": {
		{body: `{"messages":[{"role":"user","content":[{"cachePoint":{"type":"default"}}]}]}`,
			has: cached},
	},
	"SystemContentBlock.cachePoint": {
		{body: `{"system":[{"cachePoint":{"type":"default"}}]}`,
			has: cached},
	},
	"Tool.cachePoint": {
		{body: `{"toolConfig":{"tools":[{"cachePoint":{"type":"default"}}]}}`,
			has: cached},
	},
	"Tool.systemTool": {
		{body: `{"toolConfig":{"tools":[{"systemTool":{"name":"x"}}]}}`,
			has: func(f *wire.Facts) bool { return f.Tools == 1 }},
	},
	"InvokeModelRequest.modelId": {{skip: "the path; see router.Priced"}},
	"InvokeModelRequest.body":    {{skip: "TestEveryCapIsEnforced, TestPieces, the gateway's TestCapsWalk"}},
	"InvokeModelRequest.guardrailIdentifier": {
		{header: "X-Amzn-Bedrock-GuardrailIdentifier: g",
			has: isGuarded},
	},
	"InvokeModelRequest.performanceConfigLatency": {
		{header: "x-amzn-bedrock-performanceconfig-latency: optimized",
			has: isOptimized},
	},
	"InvokeModelRequest.serviceTier": {
		{header: "X-Amzn-Bedrock-Service-Tier: priority",
			has: tier("priority")},
		{header: "x-amzn-bedrock-SERVICE-tier: PRIORITY",
			has: tier("priority")},
		{header: "X-Amzn-Bedrock-Service-Tier: anything",
			has: tier("anything")},
	},
	"InvokeModelWithBidirectionalStreamRequest.body":    {{skip: "the operation is refused"}},
	"InvokeModelWithBidirectionalStreamRequest.modelId": {{skip: "the operation is refused"}},
	"StartAsyncInvokeRequest.modelId":                   {{skip: "TestPieces; no job is without one: policy sees it"}},
	"ApplyGuardrailRequest.content":                     {{skip: "held by the bytes of the body"}},
	"ApplyGuardrailRequest.guardrailIdentifier":         {{skip: "every policy with a price is held"}},
	"InvokeGuardrailChecksRequest.checks":               {{skip: "every policy with a price is held"}},
}

const (
	guarded   = `{"guardrailConfig":{"guardrailIdentifier":"g","guardrailVersion":"1"}}`
	optimized = `{"performanceConfig":{"latency":"optimized"}}`
)

// costProbe is a request, or why none can show anything.
type costProbe struct {
	body, header string
	has          func(*wire.Facts) bool
	skip         string
}

func tier(want string) func(*wire.Facts) bool {
	return func(f *wire.Facts) bool { return f.ServiceTier == want }
}

func asks(n int64) func(*wire.Facts) bool {
	return func(f *wire.Facts) bool { return f.MaxTokens.N == n }
}

func threefold(f *wire.Facts) bool   { return f.Multiplier == 3 }
func isGuarded(f *wire.Facts) bool   { return f.Guarded }
func isOptimized(f *wire.Facts) bool { return f.Latency == "optimized" }
func isStandard(f *wire.Facts) bool  { return f.Latency == "standard" }
func cached(f *wire.Facts) bool      { return f.CachePoints == 1 }
func refused(f *wire.Facts) bool {
	_, err := f.LimitOf(wire.Cap{Max: 1000})
	return err != nil
}

// TestCostFieldsAreComplete fails when the SDK gains a member that nobody has
// decided about, and when one that costs has no proof that it is read.
func TestCostFieldsAreComplete(t *testing.T) {
	all := sdkMembers()
	for shape, members := range all {
		known := strings.Fields(strings.NewReplacer("$", "", ">", "", "<", "").Replace(costFields[shape]))
		for _, m := range members {
			if !slices.Contains(known, m) {
				t.Errorf("%s.%s is new: what does it do to the cost of a call? See costFields", shape, m)
			}
		}
	}
	for shape, members := range costFields {
		for m := range strings.FieldsSeq(members) {
			name := strings.TrimLeft(m, "$><")
			if !slices.Contains(all[shape], name) {
				t.Errorf("%s.%s is no member of the SDK any more", shape, name)
			}
			of := strings.Replace(strings.Replace(shape, "ConverseStream", "Converse", 1), "WithResponseStream", "", 1)
			of = strings.Replace(of, "GuardrailStream", "Guardrail", 1) + "." + name
			if (m[0] == '$' || m[0] == '>') && costProbes[of] == nil {
				t.Errorf("%s costs, and nothing proves that it is read", of)
			}
		}
	}
}

func TestCostFieldsAreRead(t *testing.T) {
	for name, probes := range costProbes {
		for _, p := range probes {
			if p.skip != "" {
				continue
			}
			op, body := wire.OpConverse, p.body
			if p.header != "" {
				op, body = wire.OpInvoke, `{}`
			}
			f := read(t, op, "", body)
			if p.header != "" {
				field, value, _ := strings.Cut(p.header, ": ")
				f.ReadHeader(wire.Header{{Name: field, Value: value}})
			}
			if !p.has(f) {
				t.Errorf("%s: %s%s is not read", name, p.body, p.header)
			}
		}
	}
}

// TestCostHeadersAreComplete knows every header field that the SDK binds a member
// of a request to.
func TestCostHeadersAreComplete(t *testing.T) {
	known := []string{
		"Content-Type", "Accept", "X-Amzn-Bedrock-Accept", "X-Amzn-Bedrock-Trace", "X-Amzn-Bedrock-Request-Metadata",
		"X-Amzn-Bedrock-GuardrailVersion", // change nothing
		"X-Amzn-Bedrock-GuardrailIdentifier", "X-Amzn-Bedrock-PerformanceConfig-Latency", "X-Amzn-Bedrock-Service-Tier",
	}
	for _, s := range requests {
		for name, m := range s.Members() {
			if h, ok := smithy.SchemaTrait[*smithytraits.HTTPHeader](m); ok && !slices.Contains(known, h.Name) {
				t.Errorf("%s.%s: the header %s is new: what does it do to the cost of a call?", s.ID().Name, name, h.Name)
			}
		}
	}
}

// TestEveryOperationIsWalked knows every operation of the SDK's client.
func TestEveryOperationIsWalked(t *testing.T) {
	client := reflect.TypeFor[*bedrockruntime.Client]()
	for i := range client.NumMethod() {
		name := client.Method(i).Name
		walked := slices.ContainsFunc(requests, func(s *smithy.Schema) bool { return s.ID().Name == name+"Request" })
		if _, known := wire.OperationOf(name); name != "Options" && (!walked || !known) {
			t.Errorf("the operation %s is new", name)
		}
	}
}

// requests are the inputs of all operations of the SDK.
var requests = []*smithy.Schema{
	schemas.ConverseRequest, schemas.ConverseStreamRequest, schemas.InvokeModelRequest,
	schemas.InvokeModelWithResponseStreamRequest, schemas.CountTokensRequest, schemas.ApplyGuardrailRequest,
	schemas.InvokeGuardrailChecksRequest, schemas.StartAsyncInvokeRequest, schemas.GetAsyncInvokeRequest,
	schemas.ListAsyncInvokesRequest, schemas.InvokeModelWithBidirectionalStreamRequest,
}

// sdkMembers are the members of every shape that a request can have.
func sdkMembers() map[string][]string {
	all := make(map[string][]string)
	var walk func(name string, s *smithy.Schema)
	walk = func(name string, s *smithy.Schema) {
		if _, seen := all[name]; seen || len(s.Members()) == 0 {
			return
		}
		all[name] = slices.Sorted(maps.Keys(s.Members()))
		for _, m := range s.Members() {
			walk(m.TargetID().Name, m)
		}
	}
	for _, s := range requests {
		walk(s.ID().Name, s)
	}
	return all
}
