package dialect

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// strays are the paths of clients that have a wrong base URL: one without /v1 for OpenAI's SDKs, or the path that AWS's
// own hosts have. One that ends in a slash stands for all below it.
var strays = []string{
	"/chat/completions", "/responses", "/embeddings", "/models", "/messages", "/messages/", "/openai/v1/",
	"/anthropic/v1/",
}

// astray reports whether a path is one of them.
func astray(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return slices.ContainsFunc(strays, func(s string) bool {
		return path == s || strings.HasSuffix(s, "/") && strings.HasPrefix(path, s)
	})
}

// stray is the exchange of such a request, which says what is wrong.
type stray struct{}

// Native refuses the request.
func (stray) Native(*caller.Request) (*caller.Native, *caller.Failure) {
	return nil, &caller.Failure{Class: caller.ClassNotFound, Code: "unknown_url", Message: "There is no such path: the " +
		"base URL is not right. It is the gateway's address, with /v1 for OpenAI's SDKs, and without for Anthropic's."}
}

// Answer is not asked for.
func (stray) Answer(*caller.Answer) ([]byte, *caller.Failure) {
	panic("BUG: a stray request has no answer")
}

// Stream is not asked for.
func (stray) Stream(*caller.Answer) caller.Stream { panic("BUG: a stray request has no answer") }
