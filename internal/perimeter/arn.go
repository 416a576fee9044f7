package perimeter

import (
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// arn is the parts of an Amazon Resource Name.
type arn struct {
	partition, service, region, account string
	kind, rest                          string // of the resource
}

// IsARN reports whether a name is an ARN, or has one within in whatever
// letters: those that are not exact are refused, and not taken for names.
func IsARN(name string) bool {
	for i := 0; i+len("arn:") <= len(name); i++ {
		if c := name[i] | 0x20; c == 'a' && strings.EqualFold(name[i:i+len("arn:")], "arn:") &&
			(i == 0 || strings.Count(name[i:], ":") >= 5) {
			return true
		}
	}
	return false
}

// parse reads an ARN in its exact form: in lower case up to the account, of a
// partition that the region belongs to, with an account of twelve digits or none.
func parse(name string) (a arn, ok bool) {
	part := strings.SplitN(name, ":", 6)
	if len(part) < 6 || part[0] != "arn" {
		return a, false
	}
	a = arn{partition: part[1], service: part[2], region: part[3], account: part[4]}
	a.kind, a.rest, ok = strings.Cut(part[5], "/")
	if !ok || a.kind == "" || a.rest == "" || a.partition != wire.Partition(a.region) {
		return a, false
	}
	return a, a.account == "" || config.IsAccount(a.account)
}

// modelServices are the services that own what can be asked as a model, by the kind
// of ARN; all that are not here are Bedrock's.
var modelServices = map[string]string{"endpoint": "sagemaker"}

// wellFormed reports whether an ARN has the form of its kind.
func (a *arn) wellFormed() bool {
	service := modelServices[a.kind]
	if service == "" {
		service = "bedrock"
	}
	// Only what belongs to AWS has no account.
	owned := a.kind != "foundation-model" && (a.kind != "inference-profile" || a.account != "")
	return a.service == service && a.region != "" && (a.account != "" || !owned)
}

func invalid(name string) *wire.Error {
	return wire.Errorf(wire.KindAccessDenied, "You do not have access to %s: it is not a well-formed ARN.", short(name))
}

// short is a name as messages have it, which may come from a body of any length.
func short(name string) string {
	if len(name) > wire.MaxIDLength {
		return name[:wire.MaxIDLength]
	}
	return name
}
