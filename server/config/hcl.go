package config

import (
	"bytes"
	"errors"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// parseHCL reads HCL as Vault's server does. It reports false when the text
// has no usable syntax.
func parseHCL(file string, source []byte, r *report) (tree body, ok bool) {
	source = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))
	if at, reason := unsound(source); reason != "" {
		r.problem(Position{file, at}, "", "invalid HCL: %s", reason)
		return nil, false
	}
	parsed, err := parser.Parse(source)
	if err != nil {
		at := Position{File: file}
		if positioned, found := errors.AsType[*parser.PosError](err); found {
			at.Line, err = positioned.Pos.Line, positioned.Err
		}
		r.problem(at, "", "invalid HCL: %s", err)
		return nil, false
	}
	p := &hclParser{file: file, report: r}
	tree = p.body(parsed.Node.(*ast.ObjectList))
	return tree, !p.failed
}

// unsound returns what must not reach the parser, which would overflow the
// stack on deep nesting, and drop a key at the end of the file that has no
// value.
func unsound(source []byte) (line int, reason string) {
	s := scanner.New(source)
	s.Error = func(pos token.Pos, message string) {
		if reason == "" {
			line, reason = pos.Line, message
		}
	}
	last := token.EOF
	for depth := 0; reason == ""; {
		next := s.Scan()
		switch next.Type {
		case token.LBRACE, token.LBRACK:
			depth++
		case token.RBRACE, token.RBRACK:
			depth--
		case token.COMMENT:
			continue
		case token.EOF:
			if last == token.ASSIGN {
				return next.Pos.Line, "a key has no value"
			}
			return line, reason
		}
		if depth > maxNesting {
			return next.Pos.Line, "nested too deep"
		}
		last = next.Type
	}
	return line, reason
}

// hclParser turns HCL's syntax tree into ours.
type hclParser struct {
	file   string
	report *report
	failed bool
}

func (p *hclParser) at(pos token.Pos) Position { return Position{p.file, pos.Line} }

func (p *hclParser) body(objects *ast.ObjectList) body {
	var out body
	for _, item := range objects.Items {
		if len(item.Keys) == 0 {
			continue
		}
		e := entry{key: p.word(item.Keys[0].Token), at: p.at(item.Pos()), value: p.value(item.Val)}
		for _, label := range item.Keys[1:] {
			e.labels = append(e.labels, p.word(label.Token))
		}
		out = append(out, e)
	}
	return out
}

func (p *hclParser) value(node ast.Node) value {
	v := value{at: p.at(node.Pos())}
	switch n := node.(type) {
	case *ast.ObjectType:
		v.kind, v.body = object, p.body(n.List)
	case *ast.ListType:
		v.kind = list
		for _, item := range n.List {
			v.items = append(v.items, p.value(item))
		}
	case *ast.LiteralType:
		v.kind, v.scalar = p.literal(n.Token)
	}
	return v
}

func (p *hclParser) literal(t token.Token) (kind, string) {
	switch t.Type {
	case token.NUMBER, token.FLOAT:
		return number, t.Text
	case token.BOOL:
		return boolean, t.Text
	}
	return text, p.word(t)
}

// word returns what an identifier, a quoted text or a heredoc says.
func (p *hclParser) word(t token.Token) string {
	switch t.Type {
	case token.STRING:
		unquoted, err := strconv.Unquote(t.Text)
		if err != nil {
			p.failed = true
			p.report.problem(p.at(t.Pos), "", "invalid HCL: the text cannot be unquoted")
		}
		return unquoted
	case token.HEREDOC:
		said, _ := t.Value().(string)
		return said
	}
	return t.Text
}
