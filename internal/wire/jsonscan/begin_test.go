package jsonscan_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// TestBeginnings are met in keys and strings anywhere, at their beginning alone, and may
// be met wherever an escape by number stands for any letter.
func TestBeginnings(t *testing.T) {
	b := jsonscan.NewBeginnings([]string{"s3", "arn:"})
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
		if got := b.In([]byte(text)) != 0; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	body := []byte(`{"messages":[{"content":[{"text":"hello"}]}]}`)
	if n := testing.AllocsPerRun(100, func() { b.In(body) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSetsOfBeginnings are told apart, and a text with a quote is a whole key.
func TestSetsOfBeginnings(t *testing.T) {
	b := jsonscan.NewBeginnings([]string{"s3"}, []string{`topP"`, `top_k"`}, []string{"top"})
	for text, want := range map[string]uint8{
		`{"s3Uri":1}`: 1, `{"topP":1}`: 6, `{"topPlevel":1}`: 4, `{"top_k":"s3"}`: 7, `{"a":"b"}`: 0, `{"\u0061":1}`: 0xff,
	} {
		if got := b.In([]byte(text)); got != want {
			t.Errorf("%s: %b, want %b", text, got, want)
		}
	}
}
