package main

import (
	"encoding/json"
	"slices"
)

// capNames are how the families call the most output tokens.
func capNames() []string {
	return []string{"maxTokens", "max_tokens", "max_new_tokens", "max_gen_len", "maxTokenCount", "max_completion_tokens",
		"max_tokens_to_sample"}
}

// capOf finds the largest output cap anywhere in a body.
func capOf(body []byte) (most int64, found bool) {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return 0, false
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if n, ok := inner.(float64); ok && slices.Contains(capNames(), name) {
					most, found = max(most, int64(n)), true
				}
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(v)
	return most, found
}
