package config

import (
	"bytes"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// parseHCL1 reads the syntax that HCL had before version 2: keys may be in
// quotes, set twice, and several stand on one line. It reports nothing of its
// own, because what it refuses is better explained by HCL2.
func parseHCL1(file string, source []byte) (tree body, ok bool) {
	source = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))
	if !sound(source) {
		return nil, false
	}
	parsed, err := parser.ParseDontErrorOnDuplicateKeys(source)
	if err != nil {
		return nil, false
	}
	p := &hcl1Parser{file: file}
	tree = p.body(parsed.Node.(*ast.ObjectList))
	return tree, !p.failed
}

// sound reports whether the source may be given to the parser, which would
// overflow the stack on deep nesting, and drop a key at the end of the file
// that has no value.
func sound(source []byte) bool {
	legible := true
	s := scanner.New(source)
	s.Error = func(token.Pos, string) { legible = false }
	last := token.EOF
	for depth := 0; legible && depth <= maxNesting; {
		next := s.Scan().Type
		switch next {
		case token.LBRACE, token.LBRACK:
			depth++
		case token.RBRACE, token.RBRACK:
			depth--
		case token.COMMENT:
			continue
		case token.EOF:
			return legible && last != token.ASSIGN
		}
		last = next
	}
	return false
}

// hcl1Parser turns the syntax tree of legacy HCL into ours.
type hcl1Parser struct {
	file   string
	failed bool
}

func (p *hcl1Parser) at(pos token.Pos) Position { return Position{p.file, pos.Line} }

func (p *hcl1Parser) body(objects *ast.ObjectList) body {
	var out body
	for _, item := range objects.Items {
		e := entry{key: p.text(item.Keys[0].Token), at: p.at(item.Pos()), value: p.value(item.Val)}
		for _, label := range item.Keys[1:] {
			e.labels = append(e.labels, p.text(label.Token))
		}
		out = append(out, e)
	}
	return out
}

func (p *hcl1Parser) value(node ast.Node) value {
	v := value{at: p.at(node.Pos())}
	switch n := node.(type) {
	case *ast.ObjectType:
		v.kind, v.body, v.end = object, p.body(n.List), n.Rbrace.Line
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

func (p *hcl1Parser) literal(t token.Token) (kind, string) {
	switch t.Type {
	case token.NUMBER, token.FLOAT:
		return number, t.Text
	case token.BOOL:
		return boolean, t.Text
	default:
		return text, p.text(t)
	}
}

// text returns what a word, a quoted text or a heredoc says.
func (p *hcl1Parser) text(t token.Token) string {
	switch t.Type {
	case token.STRING:
		unquoted, err := strconv.Unquote(t.Text)
		p.failed = p.failed || err != nil
		return unquoted
	case token.HEREDOC:
		return t.Value().(string)
	default:
		return t.Text
	}
}
