package config

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Convert loads configurations of any syntax, as [Load] does, and returns
// them as one in HCL2, which loads to the same [File]. Only what was written is
// there, by the first name of each key; comments stay before, or beside, the
// key they stood with.
func Convert(paths ...string) (source []byte, file *File, err error) {
	c := converter{comments: make(map[string][]comment)}
	d := newDecoder(&report{})
	if file, err = assemble(d, paths, c.visit); err != nil {
		return nil, nil, err
	}
	source, err = c.convert(d, file)
	return source, file, err
}

// comment is one of a file, with the characters that begin and end it.
type comment struct {
	line   int
	text   string
	beside bool // something stands before it on its line
}

type converter struct {
	files    []string // in the order of the command line
	comments map[string][]comment
}

func (c *converter) visit(name string, source []byte) {
	c.files = append(c.files, name)
	if !isJSON(name, source) {
		c.comments[name] = comments(source)
	}
}

// convert prints the file, and makes sure that the result loads to the same.
// Rather than to fail it does without comments that are in the way.
func (c *converter) convert(d *decoder, file *File) ([]byte, error) {
	e := &encoder{decoder: d, files: c.files}
	tree := e.stanza(reflect.ValueOf(file).Elem())
	bare := c.print(tree, nil)
	for _, source := range [][]byte{c.print(tree, c.comments), bare} {
		again, err := d.again(source)
		if err != nil {
			continue
		}
		same := (&encoder{decoder: d}).stanza(reflect.ValueOf(again).Elem())
		if bytes.Equal(c.print(same, nil), bare) {
			return source, nil
		}
	}
	return nil, errors.New("a text has characters that HCL cannot hold; put it into a file of its own that source names")
}

func (c *converter) print(tree body, comments map[string][]comment) []byte {
	p := &printer{comments: make(map[string][]comment, len(comments))}
	maps.Copy(p.comments, comments)
	p.body(tree, "", Position{})
	for _, name := range c.files {
		for _, left := range p.comments[name] {
			p.WriteString(left.text + "\n")
		}
	}
	return []byte(p.String())
}

// again decodes what was printed.
func (d *decoder) again(source []byte) (*File, error) {
	fresh := newDecoder(&report{})
	whole := fresh.file("", nil)
	return finish(whole, fresh.report, fresh.add(whole, "converted", source))
}

// comments returns those of HCL of either version.
func comments(source []byte) []comment {
	escaped, _, tooDeep := literal(bytes.TrimPrefix(source, []byte("\ufeff")))
	if tooDeep > 0 {
		return nil
	}
	tokens, _ := hclsyntax.LexConfig(escaped, "", hcl.InitialPos)
	var out []comment
	for i, token := range tokens {
		if token.Type != hclsyntax.TokenComment {
			continue
		}
		out = append(out, comment{
			line:   token.Range.Start.Line,
			text:   strings.TrimSpace(string(token.Bytes)),
			beside: i > 0 && tokens[i-1].Range.End.Line == token.Range.Start.Line && !slices.Contains([]hclsyntax.TokenType{hclsyntax.TokenNewline, hclsyntax.TokenComment}, tokens[i-1].Type),
		})
	}
	return out
}
