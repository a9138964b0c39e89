package templates

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/template/parse"
)

const (
	// MaxSteps is how many turns of loops and calls of defined templates one
	// evaluation may take, all together.
	MaxSteps = 1 << 18

	// maxFrames is how deep the stack may be where a template is called:
	// about 100 templates deep, or 500 without the function executeTemplate.
	maxFrames = 2_500

	stepFunction  = "sv_step"
	enterFunction = "sv_enter"
)

// instrument puts a call of stepFunction at the start of every loop's body and
// one of enterFunction at the start of every template that may be called, so
// that an evaluation can count. Lines stay where they are.
func instrument(text, left, right string, trees map[string]*parse.Tree) string {
	type insertion struct {
		at       int
		function string
	}
	var insertions []insertion
	calls := false
	for _, tree := range trees {
		visit(tree.Root, func(node parse.Node) {
			switch n := node.(type) {
			case *parse.RangeNode:
				insertions = append(insertions, insertion{int(n.List.Pos), stepFunction})
			case *parse.TemplateNode:
				calls = true
			case *parse.IdentifierNode:
				calls = calls || n.Ident == "executeTemplate"
			}
		})
	}
	if calls {
		for _, tree := range trees {
			insertions = append(insertions, insertion{int(tree.Root.Pos), enterFunction})
		}
	}
	slices.SortFunc(insertions, func(a, b insertion) int { return b.at - a.at })
	for _, i := range insertions {
		action := left + i.function + right
		if strings.HasPrefix(text[i.at:], left) {
			// White space before this place was trimmed, or there is none.
			action = left + "- " + i.function + right
		}
		text = text[:i.at] + action + text[i.at:]
	}
	return text
}

// step counts a turn of a loop.
func (e *evaluation) step() (string, error) {
	if e.steps++; e.steps > MaxSteps {
		return "", fmt.Errorf("the loops and templates take more than %d turns; make them shorter", MaxSteps)
	}
	return "", nil
}

// enter counts a call of a template. It is the stack that tells how deep calls
// are nested, for text/template forgets it between two executions.
func (e *evaluation) enter() (string, error) {
	if runtime.Callers(maxFrames, make([]uintptr, 1)) > 0 {
		return "", errors.New("templates call each other too deep; check that they do not do so for ever")
	}
	return e.step()
}
