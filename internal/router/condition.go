package router

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/sluice-gateway/sluice/config"
)

// costLimit bounds one evaluation, in CEL's units: one per operation, and one
// per ten bytes of a string that is read. A million units are a few
// milliseconds.
const costLimit = 1_000_000

// condition is a compiled CEL expression over the facts of a request.
type condition struct {
	id      string
	program cel.Program
}

// eval reports whether the request matches.
func (c condition) eval(v *view) (bool, error) {
	v.searched = 0
	out, _, err := c.program.Eval(v)
	if err != nil {
		return false, err
	}
	return out == types.True, nil
}

// conditions compiles expressions.
type conditions struct {
	env     *cel.Env
	samples []*view
}

func newConditions() *conditions {
	words := newVocabulary()
	env, err := cel.NewEnv(
		cel.CustomTypeProvider(words),
		cel.CustomTypeAdapter(words),
		cel.Variable("request", requestType),
		cel.Variable("tenant", tenantType),
		cel.Variable("key", keyType),
		cel.Variable("now", cel.TimestampType),
		cel.CrossTypeNumericComparisons(true),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
		),
	)
	if err != nil {
		panic("BUG: the CEL environment is built from constants: " + err.Error())
	}
	return &conditions{env, samples()}
}

// compile checks source, which is at path in the configuration, and runs it once
// on sample requests.
func (c *conditions) compile(id, path, source string) (condition, []config.Problem) {
	if strings.TrimSpace(source) == "" {
		return condition{}, []config.Problem{{Path: path, Message: "the condition is empty"}}
	}
	checked, issues := c.env.Compile(source)
	if issues.Err() != nil {
		return condition{}, problemsOf(path, source, issues.Errors())
	}
	if got := checked.OutputType(); !got.IsExactType(cel.BoolType) {
		return condition{}, []config.Problem{{Path: path,
			Message: fmt.Sprintf("the condition is of type %s, want bool: compare it with something", got)}}
	}
	program, err := c.env.Program(checked, c.options(checked)...)
	if err != nil {
		return condition{}, []config.Problem{{Path: path, Message: err.Error()}}
	}
	compiled := condition{id, program}
	return compiled, c.dryRun(compiled, path)
}

// options limits the cost of an evaluation. Counting it costs more than most
// conditions do, so one whose worst case is known to be below the limit runs
// uncounted.
func (c *conditions) options(checked *cel.Ast) []cel.ProgramOption {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if found := literalsOf(checked); len(found) > 0 {
		options = append(options, cel.CustomDecoratorV2(found.decorate))
	}
	worst, err := c.env.EstimateCost(checked, bounds{})
	if err != nil || worst.Max > costLimit {
		options = append(options, cel.CostLimit(costLimit))
	}
	return options
}

// dryRun evaluates on the samples. A condition that fails on every one, or that
// costs too much, is a mistake; one that fails on some depends on the request
// and gets a warning.
func (c *conditions) dryRun(cond condition, path string) []config.Problem {
	var failed int
	var last error
	for _, sample := range c.samples {
		_, err := cond.eval(sample)
		if err == nil {
			continue
		}
		failed, last = failed+1, err
		if cancelled := (interpreter.EvalCancelledError{}); errors.As(err, &cancelled) {
			return []config.Problem{{Path: path, Message: "the condition costs too much: " + err.Error()}}
		}
	}
	switch failed {
	case 0:
		return nil
	case len(c.samples):
		return []config.Problem{{Path: path, Message: fmt.Sprintf("the condition fails on every request: %v", last)}}
	}
	return []config.Problem{{Path: path, Warning: true, Message: fmt.Sprintf(
		"the condition fails on some requests (%v); a rule that fails counts as matched, a match as not matched%s",
		last, guarded(last))}}
}

// guarded is how to ask for a key of a map that may be missing.
func guarded(err error) string {
	key, missing := strings.CutPrefix(err.Error(), "no such key: ")
	if !missing {
		return ""
	}
	return fmt.Sprintf("; ask for %q in … && … first", key)
}

// bounds gives CEL's cost model the longest values that a request can have.
type bounds struct{}

var _ cost.Estimator = bounds{}

// EstimateSize implements cost.Estimator.
func (bounds) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) < 2 {
		return nil
	}
	if max, ok := longest[strings.Join(path, ".")]; ok {
		return &cost.SizeEstimate{Min: 0, Max: max}
	}
	return nil
}

// EstimateCallCost implements cost.Estimator: CEL's own costs hold.
func (bounds) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
