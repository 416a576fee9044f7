package wire

import (
	"cmp"
	"strings"
)

// ModelKind is what sort of thing a model id names.
type ModelKind uint8

// The kinds of model id. The zero value is a name that is none of Bedrock's
// forms, such as an alias of the operator.
const (
	ModelOther              ModelKind = iota
	ModelFoundation                   // a foundation model, by id or ARN
	ModelProfile                      // a system-defined cross-region profile, by id or ARN
	ModelApplicationProfile           // an application inference profile
	ModelProvisioned
	ModelCustom
	ModelCustomDeployment
	ModelImported
	ModelPrompt // a managed prompt, which forbids inferenceConfig
	ModelPromptRouter
	ModelEndpoint // a SageMaker endpoint
)

// The scopes of a model id.
const (
	ScopeRegion = ""       // in one region
	ScopeGlobal = "global" // anywhere; the others are geographies: us, eu, apac and the like
)

// ModelID is what can be read from a model id.
type ModelID struct {
	ID string // as it was given
	// Foundation is the foundation model's id, without ARN, region prefix and
	// context suffix; "" when the id does not name it.
	Foundation string
	Scope      string // ScopeRegion, ScopeGlobal, or the geography that a profile is of: us, eu, apac
	Region     string // of an ARN, "" otherwise
	Account    string // of an ARN, "" otherwise
	Kind       ModelKind
}

// arnKinds maps an ARN's resource type to a kind (service model:
// ConversationalModelId, InvokeModelIdentifier).
var arnKinds = map[string]ModelKind{
	"foundation-model":              ModelFoundation,
	"inference-profile":             ModelProfile,
	"application-inference-profile": ModelApplicationProfile,
	"provisioned-model":             ModelProvisioned,
	"custom-model":                  ModelCustom,
	"custom-model-deployment":       ModelCustomDeployment,
	"imported-model":                ModelImported,
	"prompt":                        ModelPrompt,
	"prompt-router":                 ModelPromptRouter,
	"default-prompt-router":         ModelPromptRouter,
	"endpoint":                      ModelEndpoint,
}

// BaseModel is the one name of a model over its profiles and ARNs. models are what opaque
// ARNs stand for; an id that nobody knows more of stays.
func BaseModel(id string, models map[string]string) string {
	named := cmp.Or(models[id], id)
	return cmp.Or(ParseModelID(named).Foundation, named)
}

// ParseModelID reads any of the forms in which Bedrock names a model.
func ParseModelID(id string) ModelID {
	m := ModelID{ID: id}
	name := id
	if strings.HasPrefix(id, "arn:") {
		part := strings.SplitN(id, ":", 6)
		if len(part) < 6 {
			return m
		}
		m.Region, m.Account = part[3], part[4]
		resource, rest, _ := strings.Cut(part[5], "/")
		m.Kind = arnKinds[resource]
		if m.Kind != ModelFoundation && m.Kind != ModelProfile {
			return m
		}
		name = rest
	}
	geo, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return m
	}
	if m.Kind == ModelOther {
		m.Kind = ModelFoundation
	}
	if scope := scopeOf(geo, rest); scope != ScopeRegion {
		m.Scope, m.Kind, name = scope, ModelProfile, rest
	}
	m.Foundation = trimContext(name)
	return m
}

// PlainID is the id of a foundation model or of a profile of AWS's own, where AWS names it by its ARN. Other
// ids stay.
func PlainID(id string) string {
	switch ParseModelID(id).Kind {
	case ModelFoundation, ModelProfile:
		return id[strings.LastIndexByte(id, '/')+1:]
	}
	return id
}

// Names are the spellings by which a policy may name the model of an id: as it was
// given, what an ARN names, the foundation id, that without its version or with
// the usual one, and without what may be a region prefix of a geography yet to
// come; each in lower case too.
func (m ModelID) Names() []string {
	names := append(make([]string, 0, 12), m.ID)
	for rest := m.ID; strings.Contains(rest, "/"); {
		_, rest, _ = strings.Cut(rest, "/")
		names = append(names, rest)
	}
	id := m.Foundation
	for more := id != ""; more; more = strings.Contains(id, ".") {
		names = append(names, id)
		if !strings.Contains(id, ":") {
			names = append(names, id+":0")
		}
		for bare := id; strings.Contains(bare, ":"); {
			bare, _, _ = cutLast(bare, ":")
			names = append(names, bare)
		}
		_, id, _ = strings.Cut(id, ".")
	}
	for _, name := range names[:len(names):len(names)] {
		if lower := strings.ToLower(name); lower != name {
			names = append(names, lower)
		}
	}
	return names
}

// Opaque reports whether the id is an ARN, of whatever kind, that does not say
// which model it is for.
func (m ModelID) Opaque() bool {
	return m.Foundation == "" && (m.Kind != ModelOther || strings.HasPrefix(m.ID, "arn:"))
}

// scopeOf returns the scope that the first label of a dotted id names. Model makers' names
// are longer than two letters, so a new geography needs no new release.
func scopeOf(label, rest string) string {
	switch {
	case !strings.Contains(rest, "."):
		return ScopeRegion
	case len(label) == 2, label == "apac", label == "us-gov", label == ScopeGlobal:
		return label
	}
	return ScopeRegion
}

// trimContext removes a context size such as :24k from a foundation id.
func trimContext(id string) string {
	i := strings.LastIndexByte(id, ':')
	if i > 0 && i+2 < len(id) && strings.HasSuffix(id, "k") && strings.Trim(id[i+1:len(id)-1], "0123456789") == "" {
		return id[:i]
	}
	return id
}

// partitions are those of regions that begin so; all others are of aws.
var partitions = []struct{ begins, name string }{
	{"cn-", "aws-cn"}, {"us-gov-", "aws-us-gov"}, {"us-isob-", "aws-iso-b"}, {"us-isof-", "aws-iso-f"},
	{"us-iso-", "aws-iso"}, {"eu-isoe-", "aws-iso-e"}, {"eusc-", "aws-eusc"},
}

// Partition is the first part of the ARNs of a region, such as aws or aws-cn.
func Partition(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.begins) {
			return p.name
		}
	}
	return "aws"
}
