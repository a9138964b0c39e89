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
	end  int // line of the closing brace; 0 if unknown
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
		target := out.FieldByIndex(f.index)
		switch {
		case f.fallback != "":
			d.scalar(entry{key: f.names[0], value: value{kind: text, scalar: f.fallback}}, target)
		case target.Kind() == reflect.Struct && f.stanza != nil:
			d.defaults(target)
		}
	}
}

// stanza decodes a block into a struct.
func (d *decoder) stanza(e entry, out reflect.Value) {
	d.defaults(out)
	origin := Origin{At: e.at, keys: make(map[string]Position), end: e.value.end}
	out.FieldByName("Origin").Set(reflect.ValueOf(origin))
	words := d.vocabulary(out.Type())
	blockType, ok := d.blockType(e, words, out, origin)
	if !ok {
		return
	}
	spelled := make(map[string]string) // key → which of its names was used
	meant := make(map[string]Position) // key → where something like it stands
	for _, child := range d.arrange(e.value.body, words, blockType) {
		f, known := words.find(child.key, blockType)
		switch {
		case !known:
			if f, ok := words.find(d.stranger(child, words, e.key, blockType), blockType); ok {
				meant[f.names[0]] = child.at
			}
		case f.label:
		case d.claim(child, f, spelled, origin):
			d.set(child, out.FieldByIndex(f.index))
		}
	}
	for key, at := range meant { // one mistake is one problem: what is misspelt is not missing too
		if !origin.Has(key) {
			origin.keys[key] = at
		}
	}
	for _, f := range words.fields {
		if f.required && f.belongs(blockType) && !origin.Has(f.names[0]) {
			d.problem(e.at, fmt.Sprintf("set %q", f.names[0]), "%q is missing in %s", f.names[0], e.key)
		}
	}
}

func in(stanza string) string {
	if stanza == "" {
		return ""
	}
	return " in " + stanza
}

// blockType sets the type or the name of a block from its label, or from the
// key that may stand for it. ok is false when it is not one to go on with.
func (d *decoder) blockType(e entry, words *vocabulary, out reflect.Value, origin Origin) (blockType string, ok bool) {
	f, labelled := words.label()
	if !labelled {
		if len(e.labels) > 0 {
			d.problem(e.at, fmt.Sprintf("write %s { … }", e.key), "%s takes no label", e.key)
		}
		return "", true
	}
	given := slices.Clone(e.labels)
	for _, child := range e.value.body {
		if slices.Contains(f.names, strings.ToLower(child.key)) {
			given = append(given, child.value.scalar)
		}
	}
	given = slices.Compact(given)
	types := words.types()
	switch {
	case len(given) == 0 || given[0] == "":
		example := append(types, strings.ToUpper(f.names[0]))[0]
		d.problem(e.at, fmt.Sprintf("write %s %q { … }", e.key, example), "%s has no %s", e.key, f.names[0])
		return "", false
	case len(given) > 1:
		d.problem(e.at, "keep one", "%s has more than one %s", e.key, f.names[0])
		return "", false
	case len(types) == 0:
		blockType = given[0]
	default:
		blockType = strings.ToLower(given[0])
		if !d.isType(e, blockType, types, out) {
			return "", false
		}
	}
	out.FieldByIndex(f.index).SetString(blockType)
	origin.keys[f.names[0]] = e.at
	return blockType, true
}

// isType reports a type that is not to be had.
func (d *decoder) isType(e entry, blockType string, types []string, out reflect.Value) bool {
	replaced, _ := out.Interface().(interface{ instead(name string) string })
	switch {
	case slices.Contains(types, blockType):
		return true
	case replaced != nil && replaced.instead(blockType) != "":
		d.problem(e.at, replaced.instead(blockType), "%s %q is not supported", e.key, blockType)
	default:
		d.problem(e.at, suggest(blockType, types), "unknown %s %q", e.key, blockType)
	}
	return false
}

// stranger reports a key that the stanza does not have, and returns the one
// that it is like, "" for none.
func (d *decoder) stranger(child entry, words *vocabulary, stanza, blockType string) (like string) {
	if slices.Contains(words.ignored, strings.ToLower(child.key)) {
		d.warning(child.at, "remove it", "%q%s has no effect here", child.key, in(stanza))
		return ""
	}
	var known []string
	for _, f := range words.fields {
		if f.belongs(blockType) {
			known = append(known, f.names...)
		}
	}
	d.problem(child.at, suggest(child.key, known), "unknown key %q%s", child.key, in(stanza))
	return nearest(child.key, known)
}

// claim notes where a key was set. A value that is set twice is the later one;
// a block that is, or a key that goes by two names, is refused.
func (d *decoder) claim(child entry, f field, spelled map[string]string, origin Origin) bool {
	key, name := f.names[0], strings.ToLower(child.key)
	first, taken := origin.keys[key]
	repeated := taken && spelled[key] == name
	switch {
	case !taken:
		spelled[key] = name
		origin.keys[key] = child.at
	case f.repeatable:
	case repeated && f.stanza == nil:
		origin.keys[key] = child.at
		d.warning(child.at, "keep one", "%q was already set on line %d, and this one counts", child.key, first.Line)
	case repeated:
		d.problem(child.at, "keep one", "%q was already set on line %d", child.key, first.Line)
		return false
	default:
		hint := fmt.Sprintf("keep one of: %s", strings.Join(f.names, ", "))
		d.problem(child.at, hint, "%q was already set on line %d", child.key, first.Line)
		return false
	}
	return true
}

// set decodes one entry into the field that takes it. It reports false for a
// value of the wrong kind, which leaves the field as it was.
func (d *decoder) set(e entry, target reflect.Value) bool {
	stanza := stanzaType(target.Type())
	switch {
	case e.value.kind == invalid:
		return false
	case stanza == nil || target.Kind() == reflect.Struct && e.value.kind != object:
		return d.scalar(e, target)
	case target.Kind() == reflect.Struct:
		d.stanza(e, target)
		return true
	}
	block := reflect.New(stanza)
	ok := d.set(e, block.Elem())
	switch {
	case !ok:
	case target.Kind() == reflect.Slice:
		target.Set(reflect.Append(target, block.Elem()))
	default:
		target.Set(block)
	}
	return ok
}

// scalar decodes a value that is no block. The text of a plain string is
// never part of a message.
func (d *decoder) scalar(e entry, target reflect.Value) bool {
	v := d.number(e, target)
	err := decodeScalar(v, target)
	if err != nil && v.kind == list && len(v.items) == 1 && decodeScalar(v.items[0], target) == nil {
		v, err = v.items[0], nil
	}
	if err != nil {
		d.problem(e.at, "", "%s: %s", e.key, err)
		return false
	}
	if scalar, ok := target.Addr().Interface().(doubtful); ok {
		if taken, hint := scalar.doubt(v); taken != "" {
			d.warning(e.at, hint, "%s: %s", e.key, taken)
		}
	}
	return true
}

// number returns a value with the number in it, if it is one, in decimal: a
// leading zero makes it octal in legacy files, and 0x hexadecimal. Modes are
// octal anyway.
func (d *decoder) number(e entry, target reflect.Value) value {
	v := e.value
	if _, isMode := target.Addr().Interface().(*Mode); isMode || v.kind != number {
		return v
	}
	n, err := strconv.ParseInt(v.scalar, 0, 64)
	plain := strconv.FormatInt(n, 10)
	if err == nil && plain != v.scalar && strings.HasPrefix(strings.TrimLeft(v.scalar, "-"), "0") {
		d.warning(e.at, "write "+plain, "%s: %s is taken to mean %s", e.key, v.scalar, plain)
		v.scalar = plain
	}
	return v
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
		b, err := parseBool(v)
		if err != nil {
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

// parseBool reads a boolean, written as 1 or 0 too.
func parseBool(v value) (bool, error) {
	switch v.kind {
	case boolean, text, number:
		return strconv.ParseBool(v.scalar)
	default:
		return false, strconv.ErrSyntax
	}
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
