package prefixcache

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const short, long = 5 * time.Minute, time.Hour

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// prompt makes a block of 400 bytes, which is 100 tokens, of each letter. A capital letter
// has a point of five minutes behind it, one with an exclamation mark one of an hour.
func prompt(text string) []Block {
	var blocks []Block
	for _, c := range text {
		switch {
		case c == '!':
			blocks[len(blocks)-1].TTL = long
			continue
		case c >= 'A' && c <= 'Z':
			blocks = append(blocks, Block{[]byte(strings.ToLower(string(c))), 400, short})
		default:
			blocks = append(blocks, Block{[]byte(string(c)), 400, 0})
		}
	}
	return blocks
}

func TestPromptsReadAndWrite(t *testing.T) {
	type ask struct {
		after  time.Duration // of the ask before
		prompt string
		want   Use
	}
	for name, asks := range map[string][]ask{
		"no point":            {{0, "abc", Use{}}, {0, "abc", Use{}}},
		"a second ask reads":  {{0, "abC", Use{0, 300, 0}}, {0, "abCd", Use{300, 0, 0}}},
		"the rest is written": {{0, "aB", Use{0, 200, 0}}, {0, "abcD", Use{200, 200, 0}}},
		"too short":           {{0, "A", Use{}}, {0, "A", Use{}}},
		"another prefix":      {{0, "aB", Use{0, 200, 0}}, {0, "xB", Use{0, 200, 0}}},
		"over":                {{0, "aB", Use{0, 200, 0}}, {short, "aB", Use{0, 200, 0}}},
		"a hit begins the life anew": {
			{0, "aB", Use{0, 200, 0}}, {short - 1, "aB", Use{200, 0, 0}}, {short - 1, "aB", Use{200, 0, 0}},
		},
		"an hour":                {{0, "ab!", Use{0, 0, 200}}, {long - 1, "ab!", Use{200, 0, 0}}},
		"both":                   {{0, "ab!C", Use{0, 100, 200}}, {short, "ab!C", Use{200, 100, 0}}},
		"nineteen blocks before": {{0, "aB", Use{0, 200, 0}}, {0, "abcdefghijklmnopqrstU", Use{200, 1900, 0}}},
		"twenty blocks before":   {{0, "aB", Use{0, 200, 0}}, {0, "abcdefghijklmnopqrstuV", Use{0, 2200, 0}}},
		"a point there finds it": {{0, "aB", Use{0, 200, 0}}, {0, "aBcdefghijklmnopqrstuV", Use{200, 2000, 0}}},
		"the longer one is kept, too": {
			{0, "aBcD", Use{0, 400, 0}}, {0, "aBx", Use{200, 0, 0}}, {0, "abcD", Use{400, 0, 0}},
		},
	} {
		var c Cache
		now := noon
		for i, a := range asks {
			now = now.Add(a.after)
			if got, err := c.Ask("m", 200, prompt(a.prompt), now); err != nil || got != a.want {
				t.Errorf("%s, ask %d: %+v, want %+v (%v)", name, i+1, got, a.want, err)
			}
		}
	}
}

func TestSpacesShareNothing(t *testing.T) {
	var c Cache
	for _, space := range []string{"m us-east-1", "m eu-west-1", "n us-east-1"} {
		if got, err := c.Ask(space, 100, prompt("A"), noon); err != nil || got.Write5m != 100 {
			t.Errorf("%s: %+v, %v", space, got, err)
		}
	}
	c.Forget()
	if got, _ := c.Ask("m us-east-1", 100, prompt("A"), noon); got.Read != 0 {
		t.Errorf("after Forget: %+v", got)
	}
}

func TestPointsAreRefused(t *testing.T) {
	for text, want := range map[string]error{
		"ABCD": nil, "ABCDE": ErrTooMany, "ab!C": nil, "Ab!": ErrOrder, "a!bC": nil,
	} {
		if _, err := new(Cache).Ask("m", 1, prompt(text), noon); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}
