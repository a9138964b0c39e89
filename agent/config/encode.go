package config

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
)

// encoder turns structs back into the tree that decodes to them: the keys that
// were written, by the first of their names, in the order of the files.
type encoder struct {
	*decoder // for its vocabularies
	files    []string
}

func (e *encoder) stanza(in reflect.Value) body {
	words := e.vocabulary(in.Type())
	origin := in.FieldByName("Origin").Interface().(Origin)
	var out body
	for _, f := range words.fields {
		if !origin.Has(f.names[0]) || f.label || !f.belongs(e.blockType(in)) {
			continue
		}
		field := in.FieldByIndex(f.index)
		switch {
		case f.repeatable:
			for i := range field.Len() {
				out = append(out, e.block(f, field.Index(i), Position{}))
			}
		case f.stanza != nil:
			out = append(out, e.block(f, reflect.Indirect(field), origin.Where(f.names[0])))
		default:
			out = append(out, entry{key: f.names[0], value: encodeScalar(field), at: origin.Where(f.names[0])})
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int {
		return cmp.Or(cmp.Compare(slices.Index(e.files, a.at.File), slices.Index(e.files, b.at.File)), cmp.Compare(a.at.Line, b.at.Line))
	})
	return out
}

// block encodes a block, which may be written as a plain value: at is then
// where.
func (e *encoder) block(f field, in reflect.Value, at Position) entry {
	if own, ok := in.Addr().Interface().(scalar); ok {
		return entry{key: f.names[0], value: own.encode(), at: at}
	}
	origin := in.FieldByName("Origin").Interface().(Origin)
	out := entry{key: f.names[0], at: origin.At, value: value{kind: object, body: e.stanza(in), end: origin.end}}
	if label, ok := e.vocabulary(in.Type()).label(); ok {
		out.labels = []string{in.FieldByIndex(label.index).String()}
	}
	return out
}

// blockType returns the type of a block; "" if it has none.
func (e *encoder) blockType(in reflect.Value) string {
	f, ok := e.vocabulary(in.Type()).label()
	if !ok {
		return ""
	}
	return in.FieldByIndex(f.index).String()
}

// encodeScalar is the inverse of [decodeScalar].
func encodeScalar(in reflect.Value) value {
	if own, ok := in.Addr().Interface().(scalar); ok {
		return own.encode()
	}
	switch in.Kind() {
	case reflect.Bool:
		return value{kind: boolean, scalar: strconv.FormatBool(in.Bool())}
	case reflect.Int:
		return value{kind: number, scalar: strconv.FormatInt(in.Int(), 10)}
	case reflect.Float64:
		return value{kind: number, scalar: strconv.FormatFloat(in.Float(), 'f', -1, 64)}
	case reflect.Slice:
		return textList(in.Interface().([]string))
	default:
		return value{kind: text, scalar: in.String()}
	}
}
