package quota

import "github.com/sluice-gateway/sluice/internal/glob"

// burndown is how many tokens of quota one token of an answer takes. The first row that matches counts, and 1 where
// none does. A quota of the configuration can say otherwise.
//
// Source: Bedrock user guide, "Quotas for Amazon Bedrock", token burndown rate, as quoted in 2026-09. The page says
// nothing of the models that are marked as assumed: they have the rate of their generation.
var burndown = []struct {
	models glob.List
	rate   int64
}{
	{glob.CompileList([]string{"anthropic.claude-*-4-8*"}), 15},
	{glob.CompileList([]string{"anthropic.claude-sonnet-5", "anthropic.claude-opus-5", "anthropic.claude-fable-5-1"}), 10},
	{glob.CompileList([]string{"anthropic.claude-sonnet-5-*", "anthropic.claude-opus-5-*", "anthropic.claude-haiku-5*",
		"anthropic.claude-fable-*", "anthropic.claude-mythos-*"}), 10}, // assumed
	{glob.CompileList([]string{"anthropic.claude-3-7-*", "anthropic.claude-*-4-*", "anthropic.claude-*-4"}), 5},
}

// Burndown is how many tokens of quota one token of an answer of a foundation model takes.
func Burndown(foundation string) int64 {
	for i := range burndown {
		if burndown[i].models.Match(foundation) {
			return burndown[i].rate
		}
	}
	return 1
}
