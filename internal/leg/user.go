package leg

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// user is whom the request is booked for beside its tenant, "" for nobody: the first
// of the places that the configuration names which has one.
func (r *Request) user(f *wire.Facts) string {
	from := r.Snapshot.Config.Users
	if from == nil {
		return ""
	}
	name := ""
	if from.Header != "" {
		name = r.Header.Get(from.Header)
	}
	if name == "" && from.Metadata != "" {
		name = cmp.Or(f.MetadataValue(r.Body, from.Metadata), r.headerMetadata(from.Metadata))
	}
	if name == "" && from.Body && f.UserSpan.Present() {
		name = f.User(r.Body)
	}
	if from.Hash || !plain(name) {
		return hashed(r.Caller.Tenant.Root, name)
	}
	return name
}

// headerMetadata is the value of a key in InvokeModel's request metadata.
func (r *Request) headerMetadata(key string) string {
	text := r.Header.Get(metadataHeader)
	if text == "" {
		return ""
	}
	var all map[string]string
	if json.Unmarshal([]byte(text), &all) != nil {
		return ""
	}
	return all[key]
}

// longestUser is how long a name may be that is in a row as it is.
const longestUser = 64

// plain reports whether a name may be in rows and reports as it is. The one of what is
// folded there is nobody's.
func plain(name string) bool {
	if name == record.Other {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(name) <= longestUser
}

// hashed is a name that cannot be read, the same for the same name of a root tenant;
// "" stays.
func hashed(root, name string) string {
	if name == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(root + "\x00" + name))
	return hex.EncodeToString(sum[:8])
}
