package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

// typed decodes a Converse request into the SDK's types, sends it by the SDK's
// client and encodes the answer: what a service does that is written on the
// typed client.
type typed struct{ client *bedrockruntime.Client }

func newTyped(endpoint string, pool http.RoundTripper) *typed {
	return &typed{client: bedrockruntime.New(bedrockruntime.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), HTTPClient: &http.Client{Transport: pool},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDBENCH", "secret", ""),
	})}
}

// Shapes of the wire that the SDK does not decode by itself.
type (
	block struct {
		Text string `json:"text"`
	}
	message struct {
		Role    string  `json:"role"`
		Content []block `json:"content"`
	}
	request struct {
		Messages        []message `json:"messages"`
		System          []block   `json:"system"`
		InferenceConfig struct {
			MaxTokens     *int32   `json:"maxTokens"`
			Temperature   *float32 `json:"temperature"`
			TopP          *float32 `json:"topP"`
			StopSequences []string `json:"stopSequences"`
		} `json:"inferenceConfig"`
		ToolConfig struct {
			Tools []struct {
				ToolSpec struct {
					Name        string `json:"name"`
					Description string `json:"description"`
					InputSchema struct {
						JSON map[string]any `json:"json"`
					} `json:"inputSchema"`
				} `json:"toolSpec"`
			} `json:"tools"`
		} `json:"toolConfig"`
	}
	usage struct {
		InputTokens, OutputTokens, TotalTokens int32
	}
)

func (t *typed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body request
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	model, err := url.PathUnescape(strings.Split(r.URL.EscapedPath(), "/")[2])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := t.client.Converse(r.Context(), body.input(model))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out := map[string]any{"stopReason": answer.StopReason}
	if m, ok := answer.Output.(*types.ConverseOutputMemberMessage); ok {
		out["output"] = map[string]any{"message": encode(m.Value)}
	}
	if u := answer.Usage; u != nil {
		out["usage"] = usage{*u.InputTokens, *u.OutputTokens, *u.TotalTokens}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out) // a caller that is gone gets no answer
}

func (b *request) input(model string) *bedrockruntime.ConverseInput {
	c := b.InferenceConfig
	in := &bedrockruntime.ConverseInput{ModelId: &model, InferenceConfig: &types.InferenceConfiguration{
		MaxTokens: c.MaxTokens, Temperature: c.Temperature, TopP: c.TopP, StopSequences: c.StopSequences,
	}}
	for _, m := range b.Messages {
		out := types.Message{Role: types.ConversationRole(m.Role)}
		for _, c := range m.Content {
			out.Content = append(out.Content, &types.ContentBlockMemberText{Value: c.Text})
		}
		in.Messages = append(in.Messages, out)
	}
	for _, s := range b.System {
		in.System = append(in.System, &types.SystemContentBlockMemberText{Value: s.Text})
	}
	if len(b.ToolConfig.Tools) == 0 {
		return in
	}
	in.ToolConfig = &types.ToolConfiguration{}
	for _, t := range b.ToolConfig.Tools {
		schema := &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(t.ToolSpec.InputSchema.JSON)}
		in.ToolConfig.Tools = append(in.ToolConfig.Tools, &types.ToolMemberToolSpec{Value: types.ToolSpecification{
			Name: &t.ToolSpec.Name, Description: &t.ToolSpec.Description, InputSchema: schema,
		}})
	}
	return in
}

func encode(m types.Message) message {
	out := message{Role: string(m.Role)}
	for _, c := range m.Content {
		if text, ok := c.(*types.ContentBlockMemberText); ok {
			out.Content = append(out.Content, block{Text: text.Value})
		}
	}
	return out
}
