package record

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Keys of Bedrock's request metadata under which upstream.tag_requests puts a
// record's id, and who pays for it as an Owner.
const (
	TagKey   = "sluice-record"
	OwnerKey = "sluice-owner"
)

// Owner is what must be known of a call to record it when its
// START was lost.
type Owner struct {
	Tenant string // whole path
	Key    string // key id, "" for none
	Path   string // as in Start
}

// noKey is written where there is no key.
const noKey = "-"

// String is the owner as a tag: tenant, key and path with a space between.
func (o Owner) String() string {
	if o.Key == "" {
		o.Key = noKey
	}
	return o.Tenant + " " + o.Key + " " + o.Path
}

// ParseOwner reads what String wrote. It reports false for anything else.
func ParseOwner(text string) (Owner, bool) {
	part := strings.Split(text, " ")
	if len(part) != 3 || part[0] == "" || part[1] == "" || part[2] == "" {
		return Owner{}, false
	}
	o := Owner{part[0], part[1], part[2]}
	if o.Key == noKey {
		o.Key = ""
	}
	return o, true
}

// Tags are the request metadata from which Bedrock's invocation log knows the
// record of a call. The
// owner is left out where Bedrock would refuse it: tenants may have names of
// characters that request metadata may not hold.
func (s *Start) Tags() []wire.Pair {
	tags := []wire.Pair{{Key: TagKey, Value: s.ID}}
	if o := (Owner{s.Tenant, s.Key, s.Path}).String(); fitsMetadata(o) {
		tags = append(tags, wire.Pair{Key: OwnerKey, Value: o})
	}
	return tags
}

// fitsMetadata reports whether a value is allowed in request metadata (service
// model, RequestMetadataValueString).
func fitsMetadata(value string) bool {
	const longest, others = 256, " :_@$#=/+,-."
	for _, r := range value {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return len(value) <= longest
}
