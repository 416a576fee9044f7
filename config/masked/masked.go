// Package masked hides what is secret in a line of a configuration file: what is wrong with a file is printed, and
// logged where a gateway reloads it.
package masked

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	// bearer is a token of a caller: a mark, the key's id and the secret.
	bearer = regexp.MustCompile(`(slk_[^_]*_)([a-z2-7]+)`)
	// login is the password in a URL.
	login = regexp.MustCompile(`(://[^:@/\s'"]*:)([^@\s'"]+)@`)
	// secret is the value of a key that is called like a secret, or almost.
	secret = regexp.MustCompile(`(?i)(\b(?:[a-z_-]+[_-])?(?:token|tokn|tokne|toekn|secr[a-z]*|passw[a-z]*|pwd|` +
		`secret_access_key|secret_key|api_key)["']?\s*:\s*[\[{|>]?\s*)("[^"]*|'[^']*|[^\s,{}\[\]#'"|>][^,}\]]*)`)
	// hook is what follows the host in the address of a webhook: who has it may post there.
	hook = regexp.MustCompile(`(?i)(\bwebh?o+k["']?\s*:\s*["']?[a-z]+://[^/\s'",}]+/)([^\s'",}\]]+)`)
	// query is a secret in the query of a URL.
	query = regexp.MustCompile(`(?i)([?&](?:[a-z_-]*[_-])?(?:token|secret|password|pwd|sig|signature|key)=)([^&\s'",}\]]+)`)
	// variable is what stands for a secret that is elsewhere.
	variable = regexp.MustCompile(`^["']?\$\{?[A-Za-z0-9_]*(:-)?\}?["']?\s*$`)
)

// Line is a line with a "*" for each character of a secret, so that the others are where they were.
func Line(line string) string {
	for _, form := range []*regexp.Regexp{bearer, login, secret, hook, query} {
		at := 0
		var b strings.Builder
		for _, m := range form.FindAllStringSubmatchIndex(line, -1) {
			from, to := m[4], m[5]
			b.WriteString(line[at:from])
			b.WriteString(hidden(line[from:to]))
			at = to
		}
		line = b.String() + line[at:]
	}
	return line
}

func hidden(value string) string {
	if variable.MatchString(value) {
		return value
	}
	quote := ""
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
		quote, value = value[:1], value[1:]
	}
	bare := strings.TrimRight(value, " \t")
	return quote + strings.Repeat("*", utf8.RuneCountInString(bare)) + value[len(bare):]
}
