package role

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const arn = "arn:aws:iam::123456789012:role/bedrock"

// TestMistakes walks the limits that the API reference of AssumeRole has for each parameter: the shortest and longest
// that it takes, and what is beyond (U5).
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		role Role
		want string // the keys with mistakes
	}{
		{Role{}, ""},
		{Role{ARN: arn}, ""},
		{Role{ARN: "arn:aws-us-gov:iam::123456789012:role/a/path/bedrock"}, ""},
		{Role{ARN: "arn:aws-cn:iam::123456789012:role/b"}, ""},
		{Role{ARN: "arn:aws:iam::12345678901:role/b"}, "role_arn"},
		{Role{ARN: "arn:aws:iam::123456789012:user/b"}, "role_arn"},
		{Role{ARN: "arn:aws:iam::123456789012:role/"}, "role_arn"},
		{Role{ARN: " " + arn}, "role_arn"},
		{Role{ARN: arn + strings.Repeat("x", 2048-len(arn))}, ""},
		{Role{ARN: arn + strings.Repeat("x", 2049-len(arn))}, "role_arn"},
		{Role{ExternalID: "ab"}, ""},
		{Role{ExternalID: "a"}, "external_id"},
		{Role{ExternalID: strings.Repeat("x", 1224)}, ""},
		{Role{ExternalID: strings.Repeat("x", 1225)}, "external_id"},
		{Role{ExternalID: "a_b+=,.@:/-9"}, ""},
		{Role{ExternalID: "a b"}, "external_id"},
		{Role{ExternalID: "ab\n"}, "external_id"},
		{Role{SessionName: "me"}, ""},
		{Role{SessionName: "m"}, "session_name"},
		{Role{SessionName: strings.Repeat("x", 64)}, ""},
		{Role{SessionName: strings.Repeat("x", 65)}, "session_name"},
		{Role{SessionName: "a/b"}, "session_name"},
		{Role{SessionName: "a_b+=,.@-9"}, ""},
		{Role{STSRegion: "eu-west-1"}, ""},
		{Role{STSRegion: "us-gov-west-1"}, ""},
		{Role{STSRegion: "Europe"}, "sts_region"},
		{Role{STSRegion: "eu-west-1.evil.example/"}, "sts_region"},
		{Role{Tags: EncodeTags(map[string]string{"team": "a b_.:/=+-@ü", "empty": ""})}, ""},
		{Role{Tags: EncodeTags(map[string]string{"": "x"})}, "session_tags"},
		{Role{Tags: EncodeTags(map[string]string{strings.Repeat("k", 128): strings.Repeat("v", 256)})}, ""},
		{Role{Tags: EncodeTags(map[string]string{strings.Repeat("k", 129): "v"})}, "session_tags"},
		{Role{Tags: EncodeTags(map[string]string{"k": strings.Repeat("v", 257)})}, "session_tags"},
		{Role{Tags: EncodeTags(map[string]string{"k": "a;b"})}, "session_tags"},
		{Role{Tags: EncodeTags(map[string]string{"k&": "v"})}, "session_tags"},
		{Role{Tags: EncodeTags(tags(50))}, ""},
		{Role{Tags: EncodeTags(tags(51))}, "session_tags"},
		{Role{ARN: "no", ExternalID: "-", SessionName: "?", STSRegion: "?", Tags: EncodeTags(map[string]string{"?": ""})},
			"role_arn external_id session_name sts_region session_tags"},
	} {
		var keys []string
		for _, m := range c.role.Mistakes() {
			if keys = append(keys, m.Key); m.Text == "" {
				t.Errorf("%+v: a mistake of %s without a text", c.role, m.Key)
			}
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%.200v: mistakes of %q, want %q", fmt.Sprintf("%+v", c.role), got, c.want)
		}
	}
}

func tags(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprint("k", i)] = "v"
	}
	return all
}

// TestTagsOfCharacters counts what a tag may have in characters, as AWS does, not in bytes.
func TestTagsOfCharacters(t *testing.T) {
	r := Role{Tags: EncodeTags(map[string]string{strings.Repeat("ü", 128): strings.Repeat("é", 256)})}
	if m := r.Mistakes(); m != nil {
		t.Errorf("%+v", m)
	}
	r.Tags = EncodeTags(map[string]string{strings.Repeat("ü", 129): ""})
	if m := r.Mistakes(); len(m) != 1 {
		t.Errorf("%+v", m)
	}
}

// TestSessionTags brings tags to text and back, also with what a query escapes. Equal tags are the same text.
func TestSessionTags(t *testing.T) {
	want := map[string]string{"a": "1", "b c": "=&+%", "ü": "", "x/y": ":"}
	r := Role{Tags: EncodeTags(want)}
	if diff := cmp.Diff(want, r.SessionTags()); diff != "" {
		t.Error(diff)
	}
	if again := EncodeTags(r.SessionTags()); again != r.Tags {
		t.Errorf("%q, then %q", r.Tags, again)
	}
	if got := (&Role{}).SessionTags(); len(got) != 0 || EncodeTags(nil) != "" {
		t.Errorf("no tags: %v %q", got, EncodeTags(nil))
	}
}

// TestOver has a tenant's role over its upstream's: each key by itself, and tags joined.
func TestOver(t *testing.T) {
	base := Role{ARN: arn, ExternalID: "base", SessionName: "base", STSRegion: "eu-west-1",
		Tags: EncodeTags(map[string]string{"a": "base", "b": "base"})}
	if diff := cmp.Diff(base, (&Role{}).Over(&base)); diff != "" {
		t.Errorf("nothing over a role: %s", diff)
	}
	if diff := cmp.Diff(base, base.Over(&Role{})); diff != "" {
		t.Errorf("a role over nothing: %s", diff)
	}
	own := Role{ARN: arn + "2", ExternalID: "own", Tags: EncodeTags(map[string]string{"b": "own", "c": "own"})}
	want := Role{ARN: arn + "2", ExternalID: "own", SessionName: "base", STSRegion: "eu-west-1",
		Tags: EncodeTags(map[string]string{"a": "base", "b": "own", "c": "own"})}
	if diff := cmp.Diff(want, own.Over(&base)); diff != "" {
		t.Error(diff)
	}
}

// TestDetails names what has no effect without a role.
func TestDetails(t *testing.T) {
	r := Role{ARN: arn, ExternalID: "x", SessionName: "x", STSRegion: "x", Tags: "a=b"}
	if diff := cmp.Diff([]string{"external_id", "session_name", "session_tags", "sts_region"}, r.Details()); diff != "" {
		t.Error(diff)
	}
	if got := (&Role{ARN: arn}).Details(); got != nil {
		t.Errorf("%q", got)
	}
}
