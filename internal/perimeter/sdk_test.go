package perimeter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/schemas"
	smithy "github.com/aws/smithy-go"

	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const invokeTexts = "modelId=path guardrailIdentifier=header guardrailVersion accept contentType requestMetadata"

// texts is every text in every shape that a request of the runtime API can have. Those
// that name a resource of AWS have what checks them, and probes prove it. A text that a
// newer SDK brings is missing here until somebody has looked whether it names one.
var texts = map[string]string{
	"ConverseRequest":                           "modelId=path",
	"ConverseStreamRequest":                     "modelId=path",
	"InvokeModelRequest":                        invokeTexts,
	"InvokeModelWithResponseStreamRequest":      invokeTexts,
	"InvokeModelWithBidirectionalStreamRequest": "modelId=refused",
	"CountTokensRequest":                        "modelId=path",
	"ApplyGuardrailRequest":                     "guardrailIdentifier=path guardrailVersion",
	"StartAsyncInvokeRequest":                   "modelId=body clientRequestToken",
	"GetAsyncInvokeRequest":                     "invocationArn=owner",
	"ListAsyncInvokesRequest":                   "nextToken",
	"GuardrailConfiguration":                    "guardrailIdentifier=body guardrailVersion",
	"GuardrailStreamConfiguration":              "guardrailIdentifier=body guardrailVersion",
	"S3Location":                                "uri=body bucketOwner=body",
	"AsyncInvokeS3OutputDataConfig":             "s3Uri=body bucketOwner=body kmsKeyId=body",

	"AdditionalModelResponseFieldPaths": "member",
	"CitationGeneratedContent":          "text",
	"CitationSourceContent":             "text",
	"Citation":                          "source title",
	"ContentBlock":                      "text",
	"DocumentBlock":                     "context name",
	"DocumentContentBlock":              "text",
	"DocumentSource":                    "text",
	"ErrorBlock":                        "message",
	"GuardrailChecksContentBlock":       "text",
	"GuardrailConverseTextBlock":        "text",
	"GuardrailTextBlock":                "text",
	"JsonSchemaDefinition":              "description name schema",
	"NonEmptyStringList":                "member",
	"OutputConfig":                      "effort",
	"PromptVariableMap":                 "key",
	"PromptVariableValues":              "text",
	"ReasoningTextBlock":                "signature text",
	"RequestMetadata":                   "key value",
	"SearchResultBlock":                 "source title",
	"SearchResultContentBlock":          "text",
	"SpecificToolChoice":                "name",
	"SystemContentBlock":                "text",
	"SystemTool":                        "name",
	"Tag":                               "key value",
	"ToolReference":                     "name serverName type",
	"ToolResultBlock":                   "toolUseId type",
	"ToolResultContentBlock":            "text",
	"ToolSpecification":                 "description name",
	"ToolUseBlock":                      "name toolUseId",
	"WebLocation":                       "domain url",
}

var requests = []*smithy.Schema{
	schemas.ConverseRequest, schemas.ConverseStreamRequest, schemas.InvokeModelRequest,
	schemas.InvokeModelWithResponseStreamRequest, schemas.CountTokensRequest, schemas.ApplyGuardrailRequest,
	schemas.InvokeGuardrailChecksRequest, schemas.StartAsyncInvokeRequest, schemas.GetAsyncInvokeRequest,
	schemas.ListAsyncInvokesRequest, schemas.InvokeModelWithBidirectionalStreamRequest,
}

// sdkTexts are the texts of every shape that a request can have.
func sdkTexts() map[string][]string {
	all, seen := map[string][]string{}, map[string]bool{}
	var walk func(name string, s *smithy.Schema)
	walk = func(name string, s *smithy.Schema) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, m := range slices.Sorted(maps.Keys(s.Members())) {
			of := s.Members()[m]
			if of.Type() == smithy.ShapeTypeString {
				all[name] = append(all[name], m)
			}
			walk(of.TargetID().Name, of)
		}
	}
	for _, s := range requests {
		walk(s.ID().Name, s)
	}
	return all
}

// TestEveryTextIsLookedAt fails when a newer SDK has a text in a request that nobody has
// looked at, and when one that names a resource has no proof that it is checked. E7
func TestEveryTextIsLookedAt(t *testing.T) {
	all := sdkTexts()
	if len(all) < 20 {
		t.Fatalf("the walk finds only %d shapes with texts", len(all))
	}
	for _, shape := range slices.Sorted(maps.Keys(all)) {
		for _, m := range all[shape] {
			if !slices.ContainsFunc(strings.Fields(texts[shape]), func(known string) bool {
				name, _, _ := strings.Cut(known, "=")
				return name == m
			}) {
				t.Errorf("%s.%s is new: does it name a resource? See texts", shape, m)
			}
		}
	}
	for shape, members := range texts {
		for known := range strings.FieldsSeq(members) {
			name, how, names := strings.Cut(known, "=")
			if names && how == "body" && probes[shape+"."+name] == nil {
				t.Errorf("%s.%s names a resource, and nothing proves that it is checked", shape, name)
			}
		}
	}
}

const stranger, friend = "999999999999", "111122223333"

func arnOf(kind string) string { return "arn:aws:bedrock:us-east-1:%s:" + kind }

// probes are bodies that name a resource of the account that is put in, by the member.
var probes = map[string][]string{
	"StartAsyncInvokeRequest.modelId": {
		`{"modelId":"` + arnOf("custom-model/x") + `","modelInput":{}}`,
	},
	"GuardrailConfiguration.guardrailIdentifier": {
		`{"guardrailConfig":{"guardrailIdentifier":"` + arnOf("guardrail/g") + `","guardrailVersion":"1"}}`,
		`{"guardrailConfig":{"guardrailIdentifier":"g","guardrailIdentifier":"` + arnOf("guardrail/g") + `"}}`,
		`{"guardrail\u0043onfig":{"guardr\u0061ilIdentifier":"` + arnOf("guardrail\\/g") + `"}}`,
		`{"input":{"converse":{"guardrailConfig":{"guardrailIdentifier":"` + arnOf("guardrail/g") + `"}}}}`,
		`{"amazon-bedrock-guardrailConfig":{"guardrailIdentifier":"` + arnOf("guardrail-profile/g") + `"}}`,
	},
	"GuardrailStreamConfiguration.guardrailIdentifier": {
		`{"guardrailConfig":{"streamProcessingMode":"async","guardrailIdentifier":"` + arnOf("guardrail/g") + `"}}`,
	},
	"S3Location.uri":         {s3Body("image")},
	"S3Location.bucketOwner": owners(),
	"AsyncInvokeS3OutputDataConfig.s3Uri": {
		`{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://b/p","bucketOwner":"%s"}}}`,
	},
	"AsyncInvokeS3OutputDataConfig.bucketOwner": {
		`{"outputDataConfig":{"s3OutputDataConfig":{"bucketOwner":"%s","s3Uri":"s3://b/p"}}}`,
		`{"outputDataConfig":{"\u00733OutputDataConfig":{"bucket\u004fwner":"%s","s3Uri":"s3://b/p"}}}`,
	},
	// Of the control plane, whose model this module does not have: what CreateModelInvocationJob names.
	"CreateModelInvocationJobRequest": {
		`{"modelId":"` + arnOf("custom-model/x") + `"}`,
		`{"inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://b/p","s3BucketOwner":"%s"}}}`,
		`{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://b/p","s3BucketOwner":"%s"}}}`,
		`{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://b/p",` +
			`"s3EncryptionKeyId":"arn:aws:kms:us-east-1:%s:key/k"}}}`,
		`{"roleArn":"arn:aws:iam::%s:role/r"}`,
		`{"roleArn":"arn:aws:iam::%s:role\/r"}`,
	},
	"AsyncInvokeS3OutputDataConfig.kmsKeyId": {
		`{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://b/p","kmsKeyId":"arn:aws:kms:us-east-1:%s:key/k"}}}`,
		`{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://b/p","kmsKeyId":"arn:aws:kms:us-east-1:%s:alias/a"}}}`,
	},
}

func s3Body(kind string) string {
	return `{"messages":[{"role":"user","content":[{"` + kind + `":{"format":"png","source":{"s3Location":` +
		`{"uri":"s3://b/k","bucketOwner":"%s"}}}}]}]}`
}

// owners are bodies with the owner of a bucket wherever one can be: in Converse, in tool
// results, in the bodies of families, in asynchronous jobs, in what tokens are counted of.
func owners() []string {
	at := `{"s3Location":{"uri":"s3://b/k","bucketOwner":"%s"}}`
	all := []string{
		`{"messages":[{"content":[{"toolResult":{"toolUseId":"t","content":[{"video":{"source":` + at + `}}]}}]}]}`,
		`{"inputPrompt":"x","mediaSource":` + at + `}`,
		`{"inputType":"video","video":{"mediaSource":` + at + `}}`,
		`{"singleEmbeddingParams":{"video":{"source":` + at + `}}}`,
		`{"modelId":"m","modelInput":{"mediaSource":` + at + `}}`,
		`{"modelId":"m","modelInput":{"videoGenerationConfig":{},"textToVideoParams":{"images":[{"source":` + at + `}]}}}`,
		`{"input":{"converse":{"messages":[{"content":[{"image":{"source":` + at + `}}]}]}}}`,
		`{"whatever":[[{"source":` + at + `}]]}`,
		`{"a":{"s3Location":{"bucketOwner":"` + friend + `","bucketOwner":"%s"}}}`,
	}
	for _, kind := range []string{"image", "document", "video", "audio"} {
		all = append(all, s3Body(kind))
	}
	return all
}

// TestBodies: every probe is refused with a stranger's account, with the setting named,
// and passes with one that is allowed.
func TestBodies(t *testing.T) {
	p := &Perimeter{accounts: set([]string{friend}), listed: true, kinds: ownKinds()}
	p.roles = map[string]glob.List{"": glob.CompileList([]string{"*"})}
	for name, bodies := range probes {
		for _, body := range bodies {
			for account, want := range map[string]int{friend: 200, stranger: 403} {
				text := fmt.Sprintf(body, account)
				err := check(t, p, text)
				if got := status(err); got != want || want == 403 && !strings.Contains(err.Message, "allowed_accounts") {
					t.Errorf("%s: %s: %d %v", name, text, got, err)
				}
			}
		}
	}
}

// check is what a perimeter says of a body, read as the line does.
func check(t *testing.T, p *Perimeter, text string) *wire.Error {
	t.Helper()
	if !wire.MayName([]byte(text)) {
		return nil
	}
	return p.Body(t.Context(), &Signer{}, "us-east-1", []byte(text))
}

func status(err *wire.Error) int {
	if err == nil {
		return 200
	}
	return err.Status()
}
