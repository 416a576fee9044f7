//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
)

// words make texts with what costs in JSON: quotes, line ends, and characters
// of two and three bytes.
const words = `the committee asked for a "short" summary of last year, with numbers
 that add up, naïve assumptions marked, Größen in metres, 価格 in yen and nothing else; please keep to what
 the report says about suppliers, currency, staff and the plan for autumn`

// writeBodies writes Converse bodies of about 2 KB, 40 KB and 1 MB, and those of
// 2 KB in the other dialects, the same in every run. It returns their files by name.
func writeBodies(dir string) (map[string]string, error) {
	out := map[string]string{}
	small := conversation{turns: 3, textBytes: 330, tools: 2}
	seed := func() *rand.Rand { return rand.New(rand.NewSource(1)) }
	for name, content := range map[string]map[string]any{
		"2k":             small.body(seed()),
		"chat":           chat(small.body(seed())),
		"chatstream":     with(chat(small.body(seed())), "stream", true),
		"invoke":         with(claude(small.body(seed())), "anthropic_version", "bedrock-2023-05-31"),
		"messages":       with(claude(small.body(seed())), "model", claudeModel),
		"messagesstream": with(with(claude(small.body(seed())), "model", claudeModel), "stream", true),
		"40k":            conversation{turns: 11, textBytes: 3000, tools: 6}.body(seed()),
		"1m":             conversation{turns: 41, textBytes: 24000, tools: 8}.body(seed()),
	} {
		body, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		out[name] = filepath.Join(dir, name+".json")
		if err := os.WriteFile(out[name], body, 0o600); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// conversation is the shape of a body.
type conversation struct{ turns, textBytes, tools int }

func (c conversation) body(r *rand.Rand) map[string]any {
	roles := []string{"user", "assistant"}
	var messages, tools []any
	for i := range c.turns {
		messages = append(messages, map[string]any{"role": roles[i%2], "content": text(r, c.textBytes)})
	}
	for i := range c.tools {
		schema := map[string]any{"type": "object", "required": []string{"q"}, "properties": map[string]any{
			"q": map[string]string{"type": "string"}, "limit": map[string]string{"type": "integer"},
		}}
		tools = append(tools, map[string]any{"toolSpec": map[string]any{
			"name": fmt.Sprintf("look_up_%d", i), "description": prose(r, 60),
			"inputSchema": map[string]any{"json": schema},
		}})
	}
	return map[string]any{
		"messages": messages, "system": text(r, c.textBytes/2), "toolConfig": map[string]any{"tools": tools},
		"inferenceConfig": map[string]any{
			"maxTokens": 4096, "temperature": 0.2, "topP": 0.9, "stopSequences": []string{"\n\nHuman:"},
		},
	}
}

// chat is a body of Converse as Chat Completions has it.
func chat(body map[string]any) map[string]any {
	words := func(v any) any { return v.([]any)[0].(map[string]any)["text"] }
	messages := []any{map[string]any{"role": "system", "content": words(body["system"])}}
	for _, m := range body["messages"].([]any) {
		turn := m.(map[string]any)
		messages = append(messages, map[string]any{"role": turn["role"], "content": words(turn["content"])})
	}
	var tools []any
	for _, t := range body["toolConfig"].(map[string]any)["tools"].([]any) {
		spec := t.(map[string]any)["toolSpec"].(map[string]any)
		tools = append(tools, map[string]any{"type": "function", "function": map[string]any{
			"name": spec["name"], "description": spec["description"],
			"parameters": spec["inputSchema"].(map[string]any)["json"],
		}})
	}
	limits := body["inferenceConfig"].(map[string]any)
	return map[string]any{
		"model": "auto", "messages": messages, "tools": tools, "max_tokens": limits["maxTokens"],
		"temperature": limits["temperature"], "stop": limits["stopSequences"],
	}
}

// claudeModel is one that no cascade of the rows asks for.
const claudeModel = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

// claude is a body of Converse as Anthropic's Messages have it.
func claude(body map[string]any) map[string]any {
	asked := chat(body)
	messages := asked["messages"].([]any)
	var tools []any
	for _, t := range asked["tools"].([]any) {
		f := t.(map[string]any)["function"].(map[string]any)
		tools = append(tools, map[string]any{
			"name": f["name"], "description": f["description"], "input_schema": f["parameters"],
		})
	}
	return map[string]any{
		"system": messages[0].(map[string]any)["content"], "messages": messages[1:], "tools": tools,
		"max_tokens": asked["max_tokens"], "temperature": asked["temperature"], "stop_sequences": asked["stop"],
	}
}

func with(body map[string]any, name string, value any) map[string]any {
	body[name] = value
	return body
}

// text is a list with one block of text.
func text(r *rand.Rand, bytes int) []any { return []any{map[string]any{"text": prose(r, bytes)}} }

func prose(r *rand.Rand, bytes int) string {
	list := strings.Split(words, " ")
	var b strings.Builder
	for b.Len() < bytes {
		b.WriteString(list[r.Intn(len(list))] + " ")
	}
	return b.String()
}
