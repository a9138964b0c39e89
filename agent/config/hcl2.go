package config

import (
	"bytes"
	"cmp"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sync/errgroup"
)

// parseHCL2 reads the native syntax of HCL2. What it cannot make sense of is
// reported; ok is false when the syntax is so broken that the tree would
// mislead.
func parseHCL2(file string, source []byte, r *report) (tree body, ok bool) {
	escaped, cuts, tooDeep := literal(source)
	if tooDeep > 0 {
		r.problem(Position{file, tooDeep}, "look for a bracket that is never closed", "nested more than %d deep", maxNesting)
		return nil, false
	}
	if tree, ok = joinParts(parseParts(file, escaped, cuts), r); ok {
		return tree, true
	}
	// In one piece it tells what is wrong best.
	whole := parsePart(file, escaped, hcl.InitialPos, len(escaped))
	if whole.mistake != nil {
		reportDiagnostic(whole.mistake, file, r)
		return nil, false
	}
	return joinParts([]part{whole}, r)
}

// part is what a part of a file came to.
type part struct {
	tree    body
	names   hclsyntax.Attributes // at its top level
	mistake *hcl.Diagnostic      // the first; what follows is mostly its echo
	report  report
}

// parseParts parses the parts of a file at once: of a file with thousands of
// templates the syntax tree takes far more memory than what comes of it.
func parseParts(file string, source []byte, cuts []int) []part {
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	parts := make([]part, len(cuts)+1)
	from := hcl.InitialPos
	for i, to := range append(cuts, len(source)) {
		start := from
		work.Go(func() error {
			parts[i] = parsePart(file, source, start, to)
			return nil
		})
		from.Line += bytes.Count(source[from.Byte:to], []byte("\n"))
		from.Byte = to
	}
	_ = work.Wait()
	return parts
}

func parsePart(file string, source []byte, from hcl.Pos, to int) part {
	parsed, diagnostics := hclsyntax.ParseConfig(source[from.Byte:to], file, from)
	if diagnostics.HasErrors() {
		return part{mistake: diagnostics[0]}
	}
	syntax := parsed.Body.(*hclsyntax.Body)
	out := part{names: syntax.Attributes}
	p := &hcl2Parser{report: &out.report, file: file, source: source}
	out.tree = p.body(syntax)
	return out
}

// joinParts returns the tree of all parts. It reports false if one of them is
// broken, or if two set the same key, which one part may not do either.
func joinParts(parts []part, r *report) (tree body, ok bool) {
	seen := make(map[string]bool)
	for _, p := range parts {
		for name := range p.names {
			if seen[name] {
				return nil, false
			}
			seen[name] = true
		}
		if p.mistake != nil {
			return nil, false
		}
	}
	for _, p := range parts {
		tree = append(tree, p.tree...)
		r.problems = append(r.problems, p.report.problems...)
		r.warnings = append(r.warnings, p.report.warnings...)
	}
	return tree, true
}

func reportDiagnostic(diagnostic *hcl.Diagnostic, file string, r *report) {
	at := Position{File: file}
	if diagnostic.Subject != nil {
		at.Line = diagnostic.Subject.Start.Line
	}
	r.problem(at, strings.TrimSuffix(lowerFirst(diagnostic.Detail), "."), "%s", lowerFirst(diagnostic.Summary))
}

func lowerFirst(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(first)) + s[size:]
}

// hcl2Parser turns the syntax tree of HCL2 into ours. Nothing is evaluated.
type hcl2Parser struct {
	*report
	file   string
	source []byte
}

func (p *hcl2Parser) at(r hcl.Range) Position { return Position{p.file, r.Start.Line} }

func (p *hcl2Parser) body(b *hclsyntax.Body) body {
	type positioned struct {
		entry
		offset int
	}
	var found []positioned
	for _, attribute := range b.Attributes {
		found = append(found, positioned{offset: attribute.SrcRange.Start.Byte, entry: entry{
			key: attribute.Name, at: p.at(attribute.NameRange), value: p.value(attribute.Expr),
		}})
	}
	for _, block := range b.Blocks {
		at := p.at(block.TypeRange)
		found = append(found, positioned{offset: block.TypeRange.Start.Byte, entry: entry{
			key: block.Type, at: at, labels: block.Labels,
			value: value{kind: object, at: at, body: p.body(block.Body), end: block.CloseBraceRange.Start.Line},
		}})
	}
	slices.SortFunc(found, func(a, b positioned) int { return cmp.Compare(a.offset, b.offset) })
	var out body
	for _, f := range found {
		out = append(out, f.entry)
	}
	return out
}

func (p *hcl2Parser) value(expression hclsyntax.Expression) value {
	at := p.at(expression.Range())
	switch e := expression.(type) {
	case *hclsyntax.TemplateExpr:
		return p.text(e)
	case *hclsyntax.LiteralValueExpr:
		return p.literal(e)
	case *hclsyntax.UnaryOpExpr:
		operand, ok := e.Val.(*hclsyntax.LiteralValueExpr)
		if v := p.literal(operand); ok && e.Op == hclsyntax.OpNegate && v.kind == number {
			v.scalar = "-" + v.scalar
			return v
		}
	case *hclsyntax.TupleConsExpr:
		out := value{kind: list, at: at}
		for _, item := range e.Exprs {
			out.items = append(out.items, p.value(item))
		}
		return out
	case *hclsyntax.ObjectConsExpr:
		return p.object(e)
	case *hclsyntax.ScopeTraversalExpr:
		p.problem(at, "put it between double quotes", "a word without quotes is no value")
		return value{at: at}
	case *hclsyntax.FunctionCallExpr:
		p.problem(at, "write the value itself", "the function %q is not called here: a configuration is plain values", e.Name)
		return value{at: at}
	}
	p.problem(at, "write the value itself", "an expression is not evaluated: a configuration is plain values")
	return value{at: at}
}

func (p *hcl2Parser) text(e *hclsyntax.TemplateExpr) value {
	at := p.at(e.Range())
	evaluated, diagnostics := e.Value(nil)
	if diagnostics.HasErrors() || !evaluated.IsKnown() || evaluated.IsNull() || evaluated.Type() != cty.String {
		p.problem(at, "write the value itself", "the text cannot be read")
		return value{at: at}
	}
	return value{kind: text, at: at, scalar: evaluated.AsString()}
}

// literal returns a number as it is spelled, because the leading zero of a
// file mode means something. It takes nil for an operand that is no literal.
func (p *hcl2Parser) literal(e *hclsyntax.LiteralValueExpr) value {
	if e == nil {
		return value{}
	}
	out := value{at: p.at(e.Range()), scalar: string(e.Range().SliceBytes(p.source))}
	switch {
	case e.Val.IsNull():
		out.kind = null
	case e.Val.Type() == cty.Number:
		out.kind = number
	case e.Val.Type() == cty.Bool:
		out.kind = boolean
	}
	return out
}

func (p *hcl2Parser) object(e *hclsyntax.ObjectConsExpr) value {
	out := value{kind: object, at: p.at(e.Range()), end: e.Range().End.Line}
	for _, item := range e.Items {
		at := p.at(item.KeyExpr.Range())
		key := hcl.ExprAsKeyword(item.KeyExpr)
		if wrapped, ok := item.KeyExpr.(*hclsyntax.ObjectConsKeyExpr); ok && key == "" {
			if template, ok := wrapped.Wrapped.(*hclsyntax.TemplateExpr); ok {
				key = p.text(template).scalar
			}
		}
		if key == "" {
			p.problem(at, "write key = value", "a key must be a plain word")
			continue
		}
		out.body = append(out.body, entry{key: key, at: at, value: p.value(item.ValueExpr)})
	}
	return out
}
