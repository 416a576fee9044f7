// Package clients has what the programs below this folder need of whoever runs them, in every language: the answers
// that they wait for, and their environment.
package clients

import (
	"os"
	"slices"
)

// Hello is the text of each answer that a program gets.
const Hello = "Hello from the stand-in."

// Script makes the stand-in answer as they expect, errors too.
const Script = `rules:
  - {match: {model: does-not-exist}, error: {status: 400, type: ValidationException, message: "The provided model identifier is invalid."}}
  - {match: {model: "*micro*"}, error: {status: 429, type: ThrottlingException, message: "Too many requests, please wait before trying again."}}
  - {match: {model: "*opus*"}, error: {status: 429, type: ThrottlingException, message: "Too many requests, please wait before trying again."}}
  - {answer: {text: "` + Hello + `", input_tokens: 11, output_tokens: 7}}
`

// Env is the environment of a client of the gateway at a URL. Several clients may append to the same one at once: it
// has no room, so that each append makes a copy.
func Env(url string, extra ...string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"AWS_ENDPOINT_URL_BEDROCK_RUNTIME=" + url, "ANTHROPIC_BEDROCK_BASE_URL=" + url, "AI_SDK_LOG_WARNINGS=false",
	}
	return slices.Clip(append(env, extra...))
}

// Claude names the models of the programs that know Anthropic's alone.
func Claude() []string {
	return []string{"MODEL=anthropic.claude-3-5-haiku-20241022-v1:0",
		"THROTTLED_MODEL=anthropic.claude-3-opus-20240229-v1:0"}
}
