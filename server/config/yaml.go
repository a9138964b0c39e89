package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads YAML, and JSON, which is a part of it. It reports false when
// the text has no usable syntax.
func parseYAML(file string, source []byte, r *report) (tree body, ok bool) {
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		at, message := yamlError(file, err)
		r.problem(at, "", "invalid YAML: %s", message)
		return nil, false
	}
	if document.Kind == 0 {
		return nil, true
	}
	p := &yamlParser{file: file, report: r}
	root := p.value(document.Content[0], 0)
	switch {
	case p.failed:
		return nil, false
	case root.kind != object && root.kind != null:
		r.problem(root.at, "write key: value", "a configuration is made of keys and values, not of %s", root.kind)
		return nil, false
	}
	return root.body, true
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\n\s*)?line (\d+): `)

// yamlError takes the line out of an error's text, where alone it is told.
func yamlError(file string, err error) (Position, string) {
	message := err.Error()
	at := Position{File: file}
	if found := yamlLine.FindStringSubmatch(message); found != nil {
		at.Line, _ = strconv.Atoi(found[1]) // digits, by the pattern
		return at, message[len(found[0]):]
	}
	return at, strings.TrimPrefix(message, "yaml: ")
}

// yamlParser turns YAML's nodes into ours.
type yamlParser struct {
	file   string
	report *report
	failed bool
}

func (p *yamlParser) at(n *yaml.Node) Position { return Position{p.file, n.Line} }

func (p *yamlParser) refuse(n *yaml.Node, hint, format string, args ...any) {
	p.failed = true
	p.report.problem(p.at(n), hint, format, args...)
}

func (p *yamlParser) value(n *yaml.Node, depth int) value {
	v := value{at: p.at(n)}
	switch {
	case depth > maxNesting:
		p.refuse(n, "", "nested more than %d deep", maxNesting)
	case n.Kind == yaml.AliasNode:
		// Followed blindly, a few lines could grow to gigabytes.
		p.refuse(n, "write the value out", "aliases are not supported")
	case n.Kind == yaml.MappingNode:
		v.kind = object
		v.body = p.body(n, depth)
	case n.Kind == yaml.SequenceNode:
		v.kind = list
		for _, item := range n.Content {
			v.items = append(v.items, p.value(item, depth+1))
		}
	default:
		v.kind, v.scalar = yamlScalar(n)
	}
	return v
}

func (p *yamlParser) body(n *yaml.Node, depth int) body {
	var out body
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			p.refuse(key, "write a word before the colon", "a key must be a word")
			continue
		case seen[key.Value]:
			p.refuse(key, "keep one", "the key %q is set twice", key.Value)
		}
		seen[key.Value] = true
		out = append(out, entry{key: key.Value, value: p.value(n.Content[i+1], depth+1), at: p.at(key)})
	}
	return out
}

func yamlScalar(n *yaml.Node) (kind, string) {
	switch n.Tag {
	case "!!null":
		return null, "null"
	case "!!bool":
		return boolean, strings.ToLower(n.Value)
	case "!!int", "!!float":
		return number, n.Value
	case "!!binary":
		return text, fmt.Sprintf("!!binary %s", n.Value)
	}
	return text, n.Value
}
