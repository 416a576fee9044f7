package jsonscan_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// TestBeginnings are met in keys and strings anywhere, at their beginning alone, and may
// be met wherever an escape by number stands for any letter.
func TestBeginnings(t *testing.T) {
	b := jsonscan.NewBeginnings("s3", "arn:")
	for text, want := range map[string]bool{
		`{"s3":1}`: true, `{"s3Uri":"x"}`: true, `{"a":[{"b":"s3"}]}`: true, `["arn:aws:x"]`: true, `"arn:"`: true,
		`{"a":{"s3Location":{`:      true, // as far as it is well-formed
		`{"a":"\u0073"}`:            true,
		`{"\u00e9":1}`:              true,
		`{"as3":1}`:                 false,
		`{"a":"s","b":"arn"}`:       false,
		`{"S3":"ARN:"}`:             false,
		`{"text":"see \"s3\" ..."}`: false,
		`{"a":"\n\/"}`:              false,
		`s3`:                        false, ``: false, `""`: false, `{`: false,
		`{"a":} "s3"`: false,
	} {
		if got := b.In([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	body := []byte(`{"messages":[{"content":[{"text":"hello"}]}]}`)
	if n := testing.AllocsPerRun(100, func() { b.In(body) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
