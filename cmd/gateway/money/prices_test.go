package money

import (
	"bytes"
	"encoding/csv"
	"os"
	"regexp"
	"strings"
	"testing"
)

// printed runs gateway prices with the books that ship.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	cmd := pricesCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &out)
	}
	return out.String()
}

// apart are the ids that have no price because no call of bedrock-runtime has them: those of another endpoint, of
// capacity by the hour, of Anthropic's own platform, and spellings that Bedrock does not know.
var apart = regexp.MustCompile(
	`^bedrock_mantle/|/[16]-month-commitment/|/claude_platform/|@|^(bedrock/[a-z0-9-]+/)?claude-`)

// TestEveryIDIsListed finds each Bedrock chat, embedding and rerank id of LiteLLM's
// map in the list of prices, with a price or as unpriced.
func TestEveryIDIsListed(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(printed(t, "list", "--format", "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range rows[1:] {
		name := row[0]
		if row[1] != "" && row[1] != "us-east-1" {
			name = "bedrock/" + row[1] + "/" + name
		}
		if row[2] == "" && row[4] == "" {
			listed[name] = strings.Join(row[5:13], "")
		}
	}
	data, err := os.ReadFile("testdata/litellm-1.110.2-ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	priced, unpriced := 0, 0
	for _, id := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		short := id
		for _, prefix := range []string{"bedrock/us-east-1/", "bedrock/invoke/", "bedrock/"} {
			short = strings.TrimPrefix(short, prefix)
		}
		price := listed[id]
		if price == "" {
			price = listed[short]
		}
		switch price {
		case "":
			t.Errorf("%s is not listed", id)
		case "unpriced":
			unpriced++
			if !apart.MatchString(id) {
				t.Errorf("%s has no price", id)
			}
		default:
			priced++
		}
	}
	t.Logf("%d ids with a price, %d unpriced", priced, unpriced)
}
