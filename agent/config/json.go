package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// parseJSON reads a configuration as JSON: one object, whose keys are those of
// the stanzas. A null is a key that was not set.
func parseJSON(file string, source []byte, r *report) (tree body, ok bool) {
	var whole json.RawMessage
	if err := json.Unmarshal(source, &whole); err != nil {
		at := Position{File: file}
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at.Line = 1 + bytes.Count(source[:syntax.Offset], []byte("\n"))
		}
		r.problem(at, "", "invalid JSON: %s", err)
		return nil, false
	}
	p := &jsonParser{file: file, source: source, tokens: json.NewDecoder(bytes.NewReader(source)), line: 1}
	p.tokens.UseNumber()
	v, err := p.value(0)
	if err != nil {
		r.problem(p.at(), "", "%s", err)
		return nil, false
	}
	if v.kind != object {
		r.problem(v.at, "write { … }", "a configuration in JSON is one object, not %s", v.kind)
		return nil, false
	}
	return v.body, true
}

// jsonParser turns the tokens of JSON that is known to be valid into a tree.
type jsonParser struct {
	file   string
	source []byte
	tokens *json.Decoder
	offset int // up to which lines were counted
	line   int
}

// at returns the line of the token that was read last.
func (p *jsonParser) at() Position {
	offset := int(p.tokens.InputOffset())
	p.line += bytes.Count(p.source[p.offset:offset], []byte("\n"))
	p.offset = offset
	return Position{p.file, p.line}
}

func (p *jsonParser) value(depth int) (value, error) {
	token, err := p.tokens.Token()
	if err != nil {
		return value{}, fmt.Errorf("invalid JSON: %w", err)
	}
	v := value{at: p.at()}
	switch t := token.(type) {
	case string:
		v.kind, v.scalar = text, t
	case json.Number:
		v.kind, v.scalar = number, t.String()
	case bool:
		v.kind, v.scalar = boolean, fmt.Sprint(t)
	case nil:
		v.kind, v.scalar = null, "null"
	case json.Delim:
		if depth == maxNesting {
			return value{}, fmt.Errorf("nested more than %d deep", maxNesting)
		}
		v.kind = object
		if t == '[' {
			v.kind = list
		}
		err = p.fill(&v, depth+1)
	}
	return v, err
}

// fill reads what a list or an object holds, and its end.
func (p *jsonParser) fill(v *value, depth int) error {
	for p.tokens.More() {
		e := entry{}
		if v.kind == object {
			key, err := p.tokens.Token()
			if err != nil {
				return fmt.Errorf("invalid JSON: %w", err)
			}
			e.key, e.at = fmt.Sprint(key), p.at()
		}
		item, err := p.value(depth)
		switch {
		case err != nil:
			return err
		case v.kind == list:
			v.items = append(v.items, item)
		case item.kind != null:
			e.value = item
			v.body = append(v.body, e)
		}
	}
	if _, err := p.tokens.Token(); err != nil {
		return fmt.Errorf("invalid JSON: %w", err)
	}
	v.end = p.at().Line
	return nil
}
