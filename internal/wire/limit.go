package wire

import (
	"fmt"
	"slices"
	"strconv"
)

// Cap is what a tenant's policy and the model allow of output tokens. All are
// counts of tokens, and 0 means none.
type Cap struct {
	// Default is put into a request that asks for no cap of its own.
	Default int64
	// Max is the most that a request may use, over all completions together.
	Max int64
	// ModelMax is the most that the model can produce in one completion.
	ModelMax int64
	// Reject refuses a request that asks for more than Max; otherwise its cap is
	// lowered.
	Reject bool
}

// applies reports whether there is anything to enforce.
func (c Cap) applies() bool { return c.Default > 0 || c.Max > 0 }

// Limit is the effect of a cap on one request.
type Limit struct {
	// Tokens is the worst case of output tokens, all completions together.
	Tokens Count
	// Changed is whether Splices change the body.
	Changed bool
	// Cut is by how many tokens the cap lowered what the caller asked for.
	Cut     int64
	Splices []Splice
	// CutAt is where the answer has to be cut off, in output tokens, because the
	// body's family is unknown: a Max could not be put into it or may not be
	// obeyed. 0 elsewhere.
	CutAt int64
	// Beside is how many tokens the model may write beside Tokens, which no cap
	// bounds: a summary of its context. It reads all input for that once more.
	Beside int64

	target int64 // the cap per completion when Changed

	// Memory of the first of Splices and of its text.
	first  [1]Splice
	digits [10]byte
}

// Header is the value of x-sluice-capped: the cap per completion, "" when the
// request was not changed.
func (l *Limit) Header() string {
	if !l.Changed {
		return ""
	}
	return strconv.FormatInt(l.target, 10)
}

// minThinking is the smallest thinking budget that Claude accepts (Anthropic
// docs, "Extended thinking": at least 1,024 and less than max_tokens).
const minThinking = 1024

// Limit applies c to the request that f was read from; l is of use unless that
// fails.
//
//   - Without a cap of its own the request gets Default, or Max when there is
//     no Default; a thinking budget comes on top, because it counts as output.
//     A family's own documented default is never raised by Max alone.
//   - Above Max it is lowered, or refused with Reject. Max covers all
//     completions: with n answers each gets Max/n.
//   - A thinking budget that no longer fits under the cap shrinks with it, in
//     proportion, and never below the 1,024 that Claude demands: then the
//     request is refused.
//   - A request that forbids a cap (NoMaxTokens) gets no default, and is refused
//     when a Max applies that the model could exceed.
//   - What only another family obeys as a cap is lowered too, and counts for the
//     worst case, but the family's own is put in beside it.
//   - A second cap inside additionalModelRequestFields is refused when a policy
//     applies, because it is not known which of the two the model obeys.
//
// Refusals are KindValidation. Without a policy everything passes as it came.
func (f *Facts) Limit(c Cap, l *Limit) *Error {
	*l = Limit{}
	if !f.generates() {
		l.Tokens = Known(0)
		return nil
	}
	if !c.applies() || f.BodyBytes == 0 {
		l.Tokens = f.worstCase(c)
		f.beside(c, l)
		return nil
	}
	if err := f.checkCap(c); err != nil {
		return err
	}
	if f.NoMaxTokens {
		return f.limitForbidden(c, l)
	}
	target, err := f.enforce(c, l)
	if err != nil {
		return err
	}
	l.Tokens = Known(target * int64(f.Multiplier))
	if f.capName() == "" || target == 0 {
		l.Tokens = f.worstCase(c)
	}
	if f.capName() == "" {
		l.CutAt = c.Max
	}
	f.beside(c, l)
	return nil
}

// enforce lowers what the body asks for, or puts the cap in, and returns the most
// that one completion can then have.
func (f *Facts) enforce(c Cap, l *Limit) (int64, *Error) {
	if err := f.lower(c, l); err != nil {
		return 0, err
	}
	target := f.MaxTokens.N
	if !f.MaxTokens.Known {
		target = f.fill(c, l)
	}
	most := max(f.MaxTokens.N, f.at.otherCap)
	if c.Max > 0 && most*int64(f.Multiplier) > c.Max {
		most = f.most(c)
		target = min(target, most)
	}
	if l.Changed {
		if err := f.fitThinking(target, l); err != nil {
			return 0, err
		}
	}
	if f.capName() == "" {
		return target, nil
	}
	return max(target, min(f.at.otherCap, most)), nil
}

// beside adds what compaction may write.
func (f *Facts) beside(c Cap, l *Limit) {
	if f.Compaction {
		l.Beside = max(c.ModelMax, l.Tokens.N)
	}
}

// generates reports whether the operation and family produce output tokens.
func (f *Facts) generates() bool {
	return f.Op.Writes() && f.form().output == counted
}

// worstCase is what the request could produce as it came.
func (f *Facts) worstCase(c Cap) Count {
	per := f.MaxTokens
	if per.Known {
		per.N = max(per.N, f.at.otherCap)
	}
	vague := f.at.foreignCap || f.at.otherCap > 0 && !per.Known || f.NoMaxTokens || f.capName() == "" ||
		f.malformedCap() != nil
	switch {
	case vague, !per.Known:
		per = Count{N: c.ModelMax, Known: c.ModelMax > 0}
		if own := f.form().ownDefault; !vague && own > 0 && (!per.Known || own < per.N) {
			per = Known(own)
		}
	case c.ModelMax > 0:
		per.N = min(per.N, c.ModelMax)
	}
	if f.at.multiplier.given() && !f.at.multiplier.n.Known || !per.Known {
		return Count{}
	}
	return Known(per.N * int64(f.Multiplier))
}

// checkCap refuses requests on which a cap could not be enforced.
func (f *Facts) checkCap(c Cap) *Error {
	if f.at.foreignCap {
		return Errorf(KindValidation, "An output token limit applies: set inferenceConfig.maxTokens instead of a limit in "+
			"additionalModelRequestFields.")
	}
	if f.at.multiplier.given() && !f.at.multiplier.n.Known {
		return Errorf(KindValidation, "The number of completions must be a whole number of at least 1.")
	}
	if c.Max > 0 && int64(f.Multiplier) > c.Max {
		return Errorf(KindValidation, "%d completions cannot share the limit of %d output tokens.", f.Multiplier, c.Max)
	}
	if f.at.parent.other {
		return Errorf(KindValidation, "The member %s must be an object.", f.form().capParent)
	}
	return f.malformedCap()
}

func (f *Facts) malformedCap() *Error {
	if f.at.tooManyCaps {
		return Errorf(KindValidation, "The body has more than %d maximums of output tokens.", maxCaps)
	}
	for _, v := range f.at.caps[:f.at.ncaps] {
		if v.given() && !v.n.Known {
			return Errorf(KindValidation, "The maximum of output tokens must be a whole number from 1 to 2147483647.")
		}
	}
	return nil
}

// limitForbidden is Limit for a request that must not carry a cap: Nova 2 with
// reasoning effort "high", and managed prompts.
func (f *Facts) limitForbidden(c Cap, l *Limit) *Error {
	l.Tokens = f.worstCase(c)
	if c.Max > 0 && (!l.Tokens.Known || l.Tokens.N > c.Max) {
		return Errorf(KindValidation, "A limit of %d output tokens applies, and this request forbids one: "+
			"lower the reasoning effort, or do not use a managed prompt.", c.Max)
	}
	f.beside(c, l)
	return nil
}

// most is what one completion may have, 0 for no bound.
func (f *Facts) most(c Cap) int64 {
	most := c.Max / int64(f.Multiplier)
	if c.ModelMax > 0 && (most == 0 || c.ModelMax < most) {
		most = c.ModelMax
	}
	return most
}

// lower reduces every cap of the body, also another family's, to what c allows.
func (f *Facts) lower(c Cap, l *Limit) *Error {
	asked := max(f.MaxTokens.N, f.at.otherCap)
	if c.Max == 0 || asked*int64(f.Multiplier) <= c.Max {
		return nil
	}
	if c.Reject {
		return Errorf(KindValidation, "The request asks for up to %d output tokens; the limit is %d.",
			asked*int64(f.Multiplier), c.Max)
	}
	target := f.most(c)
	for _, v := range f.at.caps[:f.at.ncaps] {
		if v.n.Known && v.n.N > target {
			l.replace(v, target)
		}
	}
	l.Cut = (asked - target) * int64(f.Multiplier)
	l.changed(target)
	return nil
}

// replace has the body say n for v.
func (l *Limit) replace(v capValue, n int64) {
	var text []byte
	if len(l.Splices) == 0 {
		l.Splices, text = l.first[:0], l.digits[:0]
	}
	l.Splices = append(l.Splices, Splice{v.Start, v.End, strconv.AppendInt(text, n, 10)})
}

func (l *Limit) changed(target int64) {
	l.Changed, l.target = true, target
}

// fill puts a cap into a body without one and returns it. It is 0 when the
// family is unknown and nothing can be put in.
func (f *Facts) fill(c Cap, l *Limit) int64 {
	if f.capName() == "" {
		return 0
	}
	target, most := c.Default, f.most(c)
	switch own := f.form().ownDefault; {
	case target > 0 && f.ThinkingTokens.Known:
		target += f.ThinkingTokens.N
	case target == 0 && own > 0:
		target = own
	case target == 0:
		target = most
	}
	if most > 0 {
		target = min(target, most)
	}
	f.insertCap(target, l)
	l.changed(target)
	return target
}

// insertCap writes n where the family's cap belongs. A null there is replaced.
func (f *Facts) insertCap(n int64, l *Limit) {
	for _, v := range f.at.caps[:f.at.ncaps] {
		if v.null && !v.other {
			l.replace(v, n)
			return
		}
	}
	l.Splices = append(l.Splices, f.capMember(n))
}

// capMember puts the family's cap into a body that has none.
func (f *Facts) capMember(n int64) Splice {
	member := append(make([]byte, 0, 64), '"')
	member = strconv.AppendInt(append(append(member, f.capName()...), `":`...), n, 10)
	parent := f.form().capParent
	switch {
	case parent == "":
		return f.at.root.insert(member)
	case f.at.parent.null:
		return Splice{f.at.parent.Start, f.at.parent.End, slices.Concat([]byte("{"), member, []byte("}"))}
	case f.at.parent.Present():
		return f.at.parent.insert(member)
	}
	return f.at.root.insert(fmt.Appendf(nil, `"%s":{%s}`, parent, member))
}

// fitThinking brings the thinking budget below the new cap.
func (f *Facts) fitThinking(target int64, l *Limit) *Error {
	budget := f.ThinkingTokens
	if !budget.Known || budget.N < target {
		return nil
	}
	if target <= minThinking {
		return Errorf(KindValidation, "The limit of %d output tokens leaves no room for thinking, which takes at least %d: "+
			"turn thinking off or ask for a higher limit.", target, minThinking)
	}
	asked := max(f.MaxTokens.N, f.at.otherCap, budget.N+1)
	fitted := min(max(budget.N*target/asked, minThinking), target-1)
	l.replace(f.at.thinking, fitted)
	return nil
}

// capName is the member that caps output, "" when it is not known.
func (f *Facts) capName() string {
	d := f.form()
	if f.at.prompt && d.promptCapName != "" {
		return d.promptCapName
	}
	return d.capName
}
