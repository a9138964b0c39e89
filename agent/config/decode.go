package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Origin tells where a stanza and its keys were written. Every stanza embeds
// one.
type Origin struct {
	At   Position
	keys map[string]Position
}

// Has reports whether a key was set, to whatever value.
func (o Origin) Has(key string) bool {
	_, ok := o.keys[key]
	return ok
}

// Where returns the line on which a key was set, or that of the stanza.
func (o Origin) Where(key string) Position {
	if at, ok := o.keys[key]; ok {
		return at
	}
	return o.At
}

// decoder fills structs from a tree and reports every entry that does not fit.
type decoder struct {
	*report
	known map[reflect.Type]*vocabulary
}

func newDecoder(r *report) *decoder {
	return &decoder{report: r, known: make(map[reflect.Type]*vocabulary)}
}

// file decodes the top level of one file.
func (d *decoder) file(name string, tree body) *File {
	f := &File{}
	d.stanza(entry{value: value{kind: object, body: tree}, at: Position{File: name}}, reflect.ValueOf(f).Elem())
	return f
}

func (d *decoder) vocabulary(stanza reflect.Type) *vocabulary {
	v, ok := d.known[stanza]
	if !ok {
		v = newVocabulary(stanza)
		d.known[stanza] = v
	}
	return v
}

// defaults sets every key of a stanza that has a default, blocks included.
func (d *decoder) defaults(out reflect.Value) {
	for _, f := range d.vocabulary(out.Type()).fields {
		target := out.Field(f.index)
		switch {
		case f.fallback != "":
			d.scalar(entry{key: f.names[0], value: value{kind: text, scalar: f.fallback}}, target)
		case target.Kind() == reflect.Struct:
			d.defaults(target)
		}
	}
}

// stanza decodes a block into a struct.
func (d *decoder) stanza(e entry, out reflect.Value) {
	d.defaults(out)
	origin := Origin{At: e.at, keys: make(map[string]Position)}
	out.FieldByName("Origin").Set(reflect.ValueOf(origin))
	words := d.vocabulary(out.Type())
	blockType, ok := d.blockType(e, words, out, origin)
	if !ok {
		return
	}
	for _, child := range e.value.body {
		f, known := words.find(child.key, blockType)
		switch {
		case !known:
			d.stranger(child, words, e.key, blockType)
		case f.label:
		case d.claim(child, f, out.Field(f.index), origin):
			d.set(child, out.Field(f.index))
		}
	}
	for _, f := range words.fields {
		if f.required && (f.when == "" || f.when == blockType) && !origin.Has(f.names[0]) {
			d.problem(e.at, fmt.Sprintf("set %q", f.names[0]), "%q is missing in %s", f.names[0], e.key)
		}
	}
}

// blockType sets the type of a block from its label, or from the key that may
// stand for it. ok is false when the type is not one to go on with.
func (d *decoder) blockType(e entry, words *vocabulary, out reflect.Value, origin Origin) (blockType string, ok bool) {
	f, typed := words.label()
	if !typed {
		if len(e.labels) > 0 {
			d.problem(e.at, fmt.Sprintf("write %s { … }", e.key), "%s takes no label", e.key)
		}
		return "", true
	}
	given := slices.Clone(e.labels)
	for _, child := range e.value.body {
		if slices.Contains(f.names, child.key) {
			given = append(given, child.value.scalar)
		}
	}
	types := words.types()
	given = slices.Compact(given)
	if len(given) == 0 {
		d.problem(e.at, fmt.Sprintf("write %s %q { … }", e.key, types[0]), "%s has no type", e.key)
		return "", false
	}
	blockType = given[0]
	switch {
	case len(given) > 1:
		d.problem(e.at, "keep one", "%s has more than one type", e.key)
	case slices.Contains(types, blockType):
		out.Field(f.index).SetString(blockType)
		origin.keys[f.names[0]] = e.at
		return blockType, true
	case slices.Contains(f.later, blockType):
		d.problem(e.at, "supported are: "+strings.Join(types, ", "), "%s %q is not supported yet", e.key, blockType)
	default:
		d.problem(e.at, suggest(blockType, types), "unknown %s %q", e.key, blockType)
	}
	return "", false
}

// stranger reports a key that the stanza does not have.
func (d *decoder) stranger(child entry, words *vocabulary, stanza, blockType string) {
	where := ""
	if stanza != "" {
		where = " in " + stanza
	}
	switch {
	case slices.Contains(words.ignored, child.key):
		d.warning(child.at, "remove it", "%q%s has no effect here", child.key, where)
	case slices.Contains(words.later, child.key):
		d.problem(child.at, "remove it", "%q%s is not supported yet", child.key, where)
	default:
		d.problem(child.at, suggest(child.key, words.keys(blockType)), "unknown key %q%s", child.key, where)
	}
}

// claim notes where a key was set. It reports false for the second time,
// unless the key may be repeated.
func (d *decoder) claim(child entry, f field, target reflect.Value, origin Origin) bool {
	first, taken := origin.keys[f.names[0]]
	if !taken {
		origin.keys[f.names[0]] = child.at
		return true
	}
	if repeatable(target) {
		return true
	}
	hint := "keep one"
	if len(f.names) > 1 {
		hint = fmt.Sprintf("keep one of: %s", strings.Join(f.names, ", "))
	}
	d.problem(child.at, hint, "%q was already set on line %d", child.key, first.Line)
	return false
}

func repeatable(target reflect.Value) bool {
	return target.Kind() == reflect.Slice && target.Type().Elem().Kind() == reflect.Struct
}

// set decodes one entry into the field that takes it. It reports false for a
// value of the wrong kind, which leaves the field as it was.
func (d *decoder) set(e entry, target reflect.Value) bool {
	switch {
	case e.value.kind == invalid:
		return false
	case repeatable(target):
		d.repeat(e, target)
		return true
	case target.Kind() == reflect.Pointer:
		block := reflect.New(target.Type().Elem())
		ok := d.set(e, block.Elem())
		if ok {
			target.Set(block)
		}
		return ok
	case target.Kind() == reflect.Struct && e.value.kind == object && len(d.vocabulary(target.Type()).fields) > 0:
		d.stanza(e, target)
		return true
	default:
		return d.scalar(e, target)
	}
}

// repeat appends a block, or each block of a list, to a slice.
func (d *decoder) repeat(e entry, target reflect.Value) {
	items := []value{e.value}
	if e.value.kind == list {
		items = e.value.items
	}
	for _, item := range items {
		block := reflect.New(target.Type().Elem()).Elem()
		if d.set(entry{key: e.key, labels: e.labels, value: item, at: e.at}, block) {
			target.Set(reflect.Append(target, block))
		}
	}
}

// scalar decodes a value that is no block. The text of a plain string is
// never part of a message.
func (d *decoder) scalar(e entry, target reflect.Value) bool {
	err := decodeScalar(e.value, target)
	if err != nil {
		d.problem(e.at, "", "%s: %s", e.key, err)
	}
	return err == nil
}

func decodeScalar(v value, target reflect.Value) error {
	if own, ok := target.Addr().Interface().(scalar); ok {
		return own.decode(v)
	}
	spelled := v.kind == text || v.kind == number
	switch target.Kind() {
	case reflect.String:
		if v.kind != text {
			return fmt.Errorf("want a text in double quotes, got %s", v.kind)
		}
		target.SetString(v.scalar)
	case reflect.Bool:
		b, err := strconv.ParseBool(v.scalar)
		if err != nil || v.kind != boolean && v.kind != text {
			return fmt.Errorf("want true or false, got %s", got(v))
		}
		target.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(v.scalar)
		if err != nil || !spelled {
			return fmt.Errorf("want a whole number, got %s", got(v))
		}
		target.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(v.scalar, 64)
		if err != nil || !spelled {
			return fmt.Errorf("want a number, got %s", got(v))
		}
		target.SetFloat(x)
	case reflect.Slice:
		return decodeTexts(v, target)
	default:
		return fmt.Errorf("want a block, got %s", v.kind)
	}
	return nil
}

func decodeTexts(v value, target reflect.Value) error {
	if v.kind != list {
		return fmt.Errorf("want a list of texts, got %s", v.kind)
	}
	texts := make([]string, 0, len(v.items))
	for _, item := range v.items {
		if item.kind != text {
			return fmt.Errorf("want a list of texts, got a list with %s in it", item.kind)
		}
		texts = append(texts, item.scalar)
	}
	target.Set(reflect.ValueOf(texts))
	return nil
}
