// Package role says which AWS role requests are signed as, and how it is assumed.
// It is plain data for the configuration and for what assumes roles.
package role

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"unicode/utf8"
)

// Role is a role, and how it is assumed. Roles can be compared. The zero value is
// none.
type Role struct {
	ARN         string
	ExternalID  string // what the role's account asks for, "" for nothing
	SessionName string // in CloudTrail and in the ARN of the session; "": sluice
	STSRegion   string // whose security token service is asked, "" for the upstream's region
	// Tags are the session's, encoded as a URL's query is, so that equal ones are the
	// same text.
	Tags string
}

// SessionTags are the tags by their keys.
func (r *Role) SessionTags() map[string]string {
	values, err := url.ParseQuery(r.Tags)
	if err != nil {
		panic("BUG: session tags: " + err.Error())
	}
	tags := make(map[string]string, len(values))
	for key := range values {
		tags[key] = values.Get(key)
	}
	return tags
}

// EncodeTags is the form of Tags for the tags given.
func EncodeTags(tags map[string]string) string {
	values := make(url.Values, len(tags))
	for key, value := range tags {
		values.Set(key, value)
	}
	return values.Encode()
}

// Over returns r with what it leaves out taken from base. Of the tags, those of r
// win.
func (r *Role) Over(base *Role) Role {
	tags := base.SessionTags()
	maps.Copy(tags, r.SessionTags())
	return Role{
		ARN: cmp.Or(r.ARN, base.ARN), ExternalID: cmp.Or(r.ExternalID, base.ExternalID),
		SessionName: cmp.Or(r.SessionName, base.SessionName), STSRegion: cmp.Or(r.STSRegion, base.STSRegion),
		Tags: EncodeTags(tags),
	}
}

// Mistake is something that the security token service does not take.
type Mistake struct {
	Key  string // in the configuration, such as external_id
	Text string
}

// The forms of what AssumeRole takes (AWS Security Token Service API reference).
var (
	roleForm        = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/.+$`)
	externalIDForm  = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
	sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	regionForm      = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	tagForm         = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// What a session may have of tags; lengths are in characters.
const (
	mostTags   = 50
	longestKey = 128
	longestTag = 256
)

// Mistakes are what is wrong with a role, in the order of its keys.
func (r *Role) Mistakes() (found []Mistake) {
	for _, c := range []struct {
		key, value string
		most       int
		form       *regexp.Regexp
		must       string
	}{
		{"role_arn", r.ARN, 2048, roleForm, "must be the ARN of a role, as arn:aws:iam::123456789012:role/bedrock is"},
		{"external_id", r.ExternalID, 1224, externalIDForm, "must be 2 to 1224 letters, digits and characters of _+=,.@:/-"},
		{"session_name", r.SessionName, 64, sessionNameForm, "must be 2 to 64 letters, digits and characters of _+=,.@-"},
		{"sts_region", r.STSRegion, 64, regionForm, "must be a region such as eu-west-1"},
	} {
		if c.value != "" && (len(c.value) > c.most || !c.form.MatchString(c.value)) {
			found = append(found, Mistake{c.key, c.must})
		}
	}
	return append(found, r.tagMistakes()...)
}

func (r *Role) tagMistakes() (found []Mistake) {
	add := func(format string, args ...any) {
		found = append(found, Mistake{"session_tags", fmt.Sprintf(format, args...)})
	}
	tags := r.SessionTags()
	if len(tags) > mostTags {
		add("has %d tags; a session takes %d", len(tags), mostTags)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		switch {
		case key == "" || utf8.RuneCountInString(key) > longestKey || utf8.RuneCountInString(value) > longestTag:
			add("%q: a key has 1 to %d characters and a value at most %d", key, longestKey, longestTag)
		case !tagForm.MatchString(key) || !tagForm.MatchString(value):
			add("%q: keys and values have letters, digits, spaces and characters of _.:/=+-@", key)
		}
	}
	return found
}

// Details are the keys that say how a role is assumed and have values, which have
// no effect without a role.
func (r *Role) Details() (keys []string) {
	for _, c := range []struct{ key, value string }{
		{"external_id", r.ExternalID}, {"session_name", r.SessionName},
		{"session_tags", r.Tags}, {"sts_region", r.STSRegion},
	} {
		if c.value != "" {
			keys = append(keys, c.key)
		}
	}
	return keys
}
