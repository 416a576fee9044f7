package router

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// literals are the calls request.text.contains("literal") of a condition, by their
// ids in its tree. They need no copy of the text: they look into the body.
type literals map[int64]*textContains

// literalsOf finds them. A literal with a line feed could be found across two
// texts, so it is left to CEL.
func literalsOf(checked *cel.Ast) literals {
	found := literals{}
	visit := func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		if call.FunctionName() != overloads.Contains || !call.IsMemberFunction() || !isText(call.Target()) {
			return
		}
		if arg := call.Args()[0]; arg.Kind() == ast.LiteralKind {
			text, ok := arg.AsLiteral().(types.String)
			if ok && text != "" && len(text) <= wire.MaxLiteral && !strings.Contains(string(text), "\n") {
				found[e.ID()] = &textContains{e.ID(), string(text), wire.NewLiteral(string(text))}
			}
		}
	}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(visit))
	return found
}

// isText reports whether an expression is request.text.
func isText(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().FieldName() != "text" || e.AsSelect().IsTestOnly() {
		return false
	}
	of := e.AsSelect().Operand()
	return of.Kind() == ast.IdentKind && of.AsIdent() == "request"
}

// decorate replaces the calls in the plan of the condition.
func (l literals) decorate(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if call, ok := l[i.ID()]; ok {
		return call, nil
	}
	return i, nil
}

// textContains is request.text.contains("literal").
type textContains struct {
	id      int64
	text    string
	literal wire.Literal
}

var _ interpreter.InterpretableV2 = (*textContains)(nil)

// ID implements interpreter.Interpretable.
func (c *textContains) ID() int64 { return c.id }

// Eval implements interpreter.Interpretable.
func (c *textContains) Eval(vars interpreter.Activation) ref.Val {
	request, _ := vars.ResolveName("request")
	found, err := viewOf(request).textContains(c)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(found)
}

// Exec implements interpreter.InterpretableV2.
func (c *textContains) Exec(frame *interpreter.ExecutionFrame) ref.Val { return c.Eval(frame) }

// textContains looks for the literal of c in the text where that is: in the body, or in
// the copy that another condition needed. It costs what CEL counts for a literal
// of up to ten bytes.
func (v *view) textContains(c *textContains) (bool, error) {
	if err := v.checkText(); err != nil {
		return false, err
	}
	if v.searched += v.in.Facts.TextBytes; v.searched > 10*costLimit {
		return false, interpreter.EvalCancelledError{
			Message: "operation cancelled: actual cost limit exceeded", Cause: interpreter.CostLimitExceeded,
		}
	}
	if text, ok := v.text.value.(types.String); ok {
		return strings.Contains(string(text), c.text), nil
	}
	return v.in.Facts.TextContains(v.in.Body, &c.literal), nil
}
