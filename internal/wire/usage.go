package wire

// Count is a token or unit count that may be unknown. The zero value is
// unknown, which is not the same as a known zero.
type Count struct {
	N     int64
	Known bool
}

// Known returns a known count of n.
func Known(n int64) Count { return Count{N: n, Known: true} }

// Usage is what Bedrock reported for one call. Input, cache read and cache
// write are disjoint (bedrock-runtime reports inputTokens without cached
// tokens). The zero value knows nothing.
type Usage struct {
	Input        Count
	Output       Count
	CacheRead    Count
	CacheWrite5m Count // written with the five-minute lifetime, or with none named
	CacheWrite1h Count
	// GuardrailUnits are billed text units per guardrail policy.
	GuardrailUnits [GuardrailPolicies]int64
	// ServiceTier is the tier that served, when the answer names it.
	ServiceTier string
	// InvokedModel is the model behind a prompt router, when the answer names it.
	InvokedModel string
	// StopReason is the model's own word for why it stopped.
	StopReason string
}

// The guardrail policies that are billed by text unit.
const (
	GuardrailContent = iota
	GuardrailTopic
	GuardrailWord
	GuardrailSensitive
	GuardrailSensitiveFree
	GuardrailGrounding
	GuardrailContentImage
	GuardrailAutomatedReasoning
	GuardrailPolicies // how many there are
)

// Complete reports whether input and output are both known.
func (u *Usage) Complete() bool { return u.Input.Known && u.Output.Known }
