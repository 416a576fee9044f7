package anthropic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// versionMember is what InvokeModel wants first of all.
const versionMember = `{"anthropic_version":"bedrock-2023-05-31"`

// invokeFields are the members of Messages that InvokeModel does not take as they are. Every
// other one is carried, also one that nobody here has heard of: Bedrock's own words about it are
// the ones that clients know.
var invokeFields = map[string]caller.Treatment{
	"model":              caller.Consumed,
	"stream":             caller.Consumed,
	"anthropic_version":  caller.Consumed,
	"anthropic_beta":     caller.Consumed,
	"output_format":      caller.Fitted, // the former name of output_config.format
	"context_management": caller.Fitted,
	"service_tier":       caller.Consumed, // Bedrock has one tier for these
	"cache_control":      caller.Dropped,  // of the whole request; Bedrock has cache points only
	"speed":              caller.Dropped,
	"inference_geo":      caller.Refused,
	"container":          caller.Refused,
	"mcp_servers":        caller.Refused,
	"fallbacks":          caller.Refused,
}

// betas are the beta features that Bedrock does not take by the name that Anthropic's API has for
// them: "" is one that it does not have, or has built in. Others are relayed, known or not. The list
// was compared with what Bedrock relays on 2026-11-28.
var betas = map[string]string{
	"advanced-tool-use-2025-11-20":           "tool-search-tool-2025-10-19",
	"claude-code-20250219":                   "",
	"code-execution-2025-05-22":              "",
	"code-execution-2025-08-25":              "",
	"fast-mode-2026-02-01":                   "",
	"files-api-2025-04-14":                   "",
	"interleaved-thinking-2025-05-14":        "",
	"mcp-client-2025-04-04":                  "",
	"mcp-client-2025-11-20":                  "",
	"message-batches-2024-09-24":             "",
	"oauth-2025-04-20":                       "",
	"output-128k-2025-02-19":                 "output-128k-2025-02-19",
	"prompt-caching-2024-07-31":              "",
	"prompt-caching-scope-2026-01-05":        "",
	"skills-2025-10-02":                      "",
	"structured-outputs-2025-11-13":          "",
	"token-counting-2024-11-01":              "",
	"token-efficient-tools-2025-02-19":       "",
	"token-efficient-tools-2026-03-28":       "",
	"web-fetch-2025-09-10":                   "",
	"web-search-2025-03-05":                  "",
	"extended-cache-ttl-2025-04-11":          "",
	"fine-grained-tool-streaming-2025-05-14": "fine-grained-tool-streaming-2025-05-14",
}

// invoke makes the body of InvokeModel: the caller's, without what the path says, with the
// version and the betas.
func (b *body) invoke(r *caller.Request, n *caller.Native) *caller.Failure {
	relayed, failure := b.betas(r, n)
	if failure != nil {
		return failure
	}
	cuts, failure := b.cuts()
	if failure != nil {
		return failure
	}
	if len(cuts) > 0 {
		if r.Policy == caller.PolicyRefuse {
			return unsupported("cache_control.scope", "Bedrock's caches are of an account")
		}
		n.Dropped = append(n.Dropped, "cache_control.scope")
	}
	if failure = r.Take(len(b.Raw)); failure != nil {
		return failure
	}
	out := make([]byte, 0, len(b.Raw)+128)
	out = append(out, versionMember...)
	for i, beta := range relayed {
		out = append(out, [...]string{`,"anthropic_beta":[`, `,`}[min(i, 1)]...)
		out = wire.AppendJSONString(out, beta)
	}
	if len(relayed) > 0 {
		out = append(out, ']')
	}
	for i := range b.Members {
		if out, failure = b.appendMember(out, &b.Members[i], cuts, r.Policy, n); failure != nil {
			return failure
		}
	}
	n.Body = append(out, '}')
	return nil
}

// appendMember appends what becomes of a member.
func (b *body) appendMember(out []byte, m *caller.Member, cuts []cut, policy caller.Policy, n *caller.Native) (
	[]byte, *caller.Failure,
) {
	switch how := invokeFields[m.Name]; {
	case how == caller.Consumed:
		return out, nil
	case how == caller.Fitted:
		return b.fit(out, m, policy, n)
	case how == caller.Dropped && policy != caller.PolicyRefuse, how == caller.Refused && policy == caller.PolicyDrop:
		n.Dropped = append(n.Dropped, m.Name)
		return out, nil
	case how == caller.Dropped, how == caller.Refused:
		return nil, unsupported(m.Name, "Bedrock does not take it")
	}
	return b.appendCut(append(out, ','), m.Start, m.End, cuts), nil
}

// fit appends a member in the way that Bedrock takes it.
func (b *body) fit(out []byte, m *caller.Member, policy caller.Policy, n *caller.Native) ([]byte, *caller.Failure) {
	if m.Name == "context_management" {
		return b.edits(append(out, ','), m, policy, n)
	}
	if b.Find("output_config") != nil {
		return nil, caller.Invalid(m.Name, m.Name+": put the format into output_config.format")
	}
	out = append(append(out, `,"output_config":{"format":`...), b.Text(m)...)
	return append(out, '}'), nil
}

// maxBetas is how many betas a request may ask for: there are not half as many.
const maxBetas = 100

// betas are those that Bedrock relays of the ones that the caller asks for, in its header and in
// its body.
func (b *body) betas(r *caller.Request, n *caller.Native) (relayed []string, failure *caller.Failure) {
	var asked []string
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "anthropic-beta") {
			asked = append(asked, strings.Split(f.Value, ",")...)
		}
	}
	if m := b.Find("anthropic_beta"); m != nil {
		own, ok := stringList(b.Text(m))
		if !ok {
			return nil, caller.Invalid("anthropic_beta", "anthropic_beta: Input should be a list of strings")
		}
		asked = append(asked, own...)
	}
	if len(asked) > maxBetas {
		return nil, caller.Invalid("anthropic_beta", "anthropic_beta: there are too many")
	}
	for _, beta := range asked {
		beta = strings.TrimSpace(beta)
		name, known := betas[beta]
		switch {
		case !known:
			name = beta
		case name == "":
			n.Dropped = append(n.Dropped, "anthropic-beta:"+beta)
		}
		if name != "" && !slices.Contains(relayed, name) {
			relayed = append(relayed, name)
		}
	}
	return relayed, nil
}

// stringList reads an array of strings, or null.
func stringList(raw []byte) (list []string, ok bool) {
	var s jsonscan.Scanner
	s.Reset(raw)
	t := s.Next()
	if t.Kind == jsonscan.Null {
		return nil, true
	}
	if t.Kind != jsonscan.BeginArray {
		return nil, false
	}
	for t = s.Next(); t.Kind == jsonscan.String; t = s.Next() {
		list = append(list, string(jsonscan.AppendString(nil, raw[t.Start:t.End])))
	}
	return list, t.Kind == jsonscan.EndArray
}

// cut is a part of the body that is left out.
type cut struct{ start, end int }

// appendCut appends a part of the body without what is cut out of it.
func (b *body) appendCut(out []byte, start, end int, cuts []cut) []byte {
	for _, c := range cuts {
		if c.start >= start && c.end <= end {
			out = append(out, b.Raw[start:c.start]...)
			start = c.end
		}
	}
	return append(out, b.Raw[start:end]...)
}

// The roles of what is looked at inside of a body for InvokeModel.
const (
	roleScope  uint8 = iota + 1 // of a cache point
	roleTool                    // the type of a tool
	roleSource                  // the type of where an image or a document comes from
)

// insides finds what Bedrock does not take in places that the members do not show.
var insides = jsonscan.NewTree(insideRules())

// insideTexts are what a body has somewhere that has any of it.
var insideTexts = jsonscan.NewBeginnings(append([]string{`scope"`, `url"`, `file"`}, serverTools...))

func insideRules() (rules []jsonscan.Rule) {
	blocks := []string{"system[]", "messages[].content[]", "messages[].content[].content[]", "tools[]"}
	for _, at := range blocks {
		rules = append(rules, jsonscan.Rule{Path: at + ".cache_control.scope", Role: roleScope})
	}
	rules = append(rules, jsonscan.Rule{Path: "tools[].type", Role: roleTool})
	for _, at := range blocks[1:3] {
		rules = append(rules, jsonscan.Rule{Path: at + ".source.type", Role: roleSource})
	}
	return rules
}

// cuts looks into the body for what Bedrock does not take: what is cut out of it, and what is
// refused.
func (b *body) cuts() (cuts []cut, failure *caller.Failure) {
	if b.Met == 0 {
		return nil, nil
	}
	var w jsonscan.Walker
	w.AllowDuplicates = true // the line refuses those that matter
	w.Reset(insides, b.Raw)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Kind != jsonscan.String {
			continue
		}
		word := string(jsonscan.AppendString(nil, b.Raw[m.Start:m.End]))
		switch m.Role {
		case roleScope:
			if c, ok := b.around(m.Start, m.End); ok {
				cuts = append(cuts, c)
			}
		case roleTool:
			if serverTool(word) {
				return nil, unsupported("tools", "the server tool "+strconv.Quote(word)+" runs at Anthropic only")
			}
		case roleSource:
			if word == "url" || word == "file" {
				return nil, unsupported("source", "a source of type "+strconv.Quote(word)+
					" is not fetched here: send the data as base64")
			}
		}
	}
	return cuts, nil
}

// around is the member whose value is at a place, with the comma that leaves with it.
func (b *body) around(start, end int) (cut, bool) {
	key := strings.LastIndex(string(b.Raw[max(0, start-64):start]), `"scope"`)
	if key < 0 {
		return cut{}, false
	}
	c := cut{max(0, start-64) + key, end}
	before := c.start
	for before > 0 && space(b.Raw[before-1]) {
		before--
	}
	if before > 0 && b.Raw[before-1] == ',' {
		c.start = before - 1
		return c, true
	}
	for c.end < len(b.Raw) && space(b.Raw[c.end]) {
		c.end++
	}
	if c.end < len(b.Raw) && b.Raw[c.end] == ',' {
		c.end++
	}
	return c, true
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// serverTools are tools that Anthropic runs, by the beginnings of their types. Bedrock has none of
// them.
var serverTools = []string{
	"web_search_", "web_fetch_", "code_execution_", "advisor_", "mcp_toolset",
}

func serverTool(kind string) bool {
	return slices.ContainsFunc(serverTools, func(p string) bool { return strings.HasPrefix(kind, p) })
}
