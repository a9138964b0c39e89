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

// typed is a stanza whose keys depend on its type.
type typed interface {
	// vocabulary returns the keys of the type, or ok false and what to say
	// about a type that is not to be had.
	vocabulary(name string) (keys []string, hint string, ok bool)
}

// decoder fills structs from a tree and reports every entry that does not fit.
type decoder struct{ *report }

// stanza decodes a block into a struct.
func (d decoder) stanza(e entry, out reflect.Value) {
	words := newVocabulary(out.Type())
	d.defaults(words, out)
	origin := Origin{At: e.at, keys: map[string]Position{}}
	out.FieldByName("Origin").Set(reflect.ValueOf(origin))
	if e.value.kind == null {
		e.value.kind = object
	}
	if e.value.kind != object {
		d.problem(e.value.at, "", "%s: want a block, got %s", e.key, e.value.kind)
		return
	}
	own, ok := d.label(e, words, out, origin)
	if !ok {
		return
	}
	spelled := map[string]string{} // key → which of its names was used
	for _, child := range e.value.body {
		f, known := words.find(strings.ToLower(child.key))
		switch {
		case known && f.label, child.value.kind == null:
		case known && d.claim(child, f, spelled, origin):
			d.set(child, out.FieldByIndex(f.index))
		case known:
		case slices.Contains(own, child.key):
			d.setting(child, words, out, origin)
		case slices.Contains(words.ignored, child.key):
			d.warning(child.at, "remove it", "%q has no effect%s", child.key, in(e.key))
		default:
			d.problem(child.at, suggest(child.key, slices.Concat(words.words(), own)), "unknown key %q%s", child.key, in(e.key))
		}
	}
	for _, f := range words.fields {
		if f.required && !origin.Has(f.names[0]) {
			d.problem(e.at, fmt.Sprintf("set %q", f.names[0]), "%q is missing%s", f.names[0], in(e.key))
		}
	}
}

func in(stanza string) string {
	if stanza == "" {
		return ""
	}
	return " in " + stanza
}

// defaults sets every key of a stanza that has a default, blocks included.
func (d decoder) defaults(words *vocabulary, out reflect.Value) {
	for _, f := range words.fields {
		target := out.FieldByIndex(f.index)
		switch {
		case f.fallback != "":
			d.scalar(entry{key: f.names[0], value: value{kind: text, scalar: f.fallback}}, target)
		case target.Kind() == reflect.Struct && f.stanza != nil:
			d.defaults(newVocabulary(f.stanza), target)
		}
	}
}

// label sets the type or the name of a block, and returns the keys that the
// type has of its own. ok is false when it is not one to go on with.
func (d decoder) label(e entry, words *vocabulary, out reflect.Value, origin Origin) (own []string, ok bool) {
	f, labelled := words.label()
	if !labelled {
		if len(e.labels) > 0 {
			d.problem(e.at, fmt.Sprintf("write %s { … }", e.key), "%s takes no label", e.key)
		}
		return nil, true
	}
	given := slices.Clone(e.labels)
	for _, child := range e.value.body {
		if slices.Contains(f.names, child.key) {
			given = append(given, child.value.scalar)
		}
	}
	given = slices.Compact(given)
	switch {
	case len(given) == 0 || given[0] == "":
		d.problem(e.at, fmt.Sprintf("set %q", f.names[0]), "%s has no %s", e.key, f.names[0])
		return nil, false
	case len(given) > 1:
		d.problem(e.at, "keep one", "%s has more than one %s", e.key, f.names[0])
		return nil, false
	case len(f.types) > 0 && !slices.Contains(f.types, given[0]):
		d.problem(e.at, suggest(given[0], f.types), "unknown %s %q in %s", f.names[0], given[0], e.key)
		return nil, false
	}
	out.FieldByIndex(f.index).SetString(given[0])
	origin.keys[f.names[0]] = e.at
	if stanza, depends := out.Interface().(typed); depends {
		own, hint, ok := stanza.vocabulary(given[0])
		if !ok {
			d.problem(e.at, hint, "%s %q is not to be had here", e.key, given[0])
		}
		return own, ok
	}
	return nil, true
}

// claim notes that a key is set, and refuses a key set twice in one stanza
// unless it is a block that may be repeated.
func (d decoder) claim(e entry, f field, spelled map[string]string, origin Origin) bool {
	name := f.names[0]
	if before, twice := spelled[name]; twice && !f.repeatable {
		d.problem(e.at, "keep one", "%q is set again, after %q on line %d", e.key, before, origin.keys[name].Line)
		return false
	}
	spelled[name], origin.keys[name] = e.key, e.at
	return true
}

// set decodes one entry into a field.
func (d decoder) set(e entry, target reflect.Value) {
	block := stanzaType(target.Type())
	switch {
	case block == nil:
		d.scalar(e, target)
	case target.Kind() == reflect.Struct:
		d.stanza(e, target)
	case target.Kind() == reflect.Pointer:
		blocks := spread(e, newVocabulary(block))
		if len(blocks) > 1 {
			d.problem(blocks[1].at, "keep one", "%s stands here twice", e.key)
		}
		target.Set(reflect.New(block))
		d.stanza(blocks[0], target.Elem())
	default:
		for _, one := range spread(e, newVocabulary(block)) {
			decoded := reflect.New(block).Elem()
			d.stanza(one, decoded)
			target.Set(reflect.Append(target, decoded))
		}
	}
}

// spread returns the blocks that an entry stands for: the items of a list, and
// of an object whose keys are labels each value under its label.
func spread(e entry, words *vocabulary) body {
	var out body
	switch {
	case e.value.kind == list:
		for _, item := range e.value.items {
			out = append(out, spread(entry{key: e.key, labels: e.labels, value: item, at: item.at}, words)...)
		}
	case len(e.labels) == 0 && words.holdsLabels(e.value):
		for _, child := range e.value.body {
			labelled := entry{key: e.key, labels: []string{child.key}, value: child.value, at: child.at}
			out = append(out, spread(labelled, words)...)
		}
	}
	if len(out) == 0 {
		return body{e}
	}
	return out
}

// holdsLabels reports whether the keys of an object are labels of blocks,
// rather than keys of one block.
func (v *vocabulary) holdsLabels(o value) bool {
	_, labelled := v.label()
	return labelled && o.kind == object && len(o.body) > 0 && !slices.ContainsFunc(o.body, func(e entry) bool {
		_, known := v.find(e.key)
		return known || e.value.kind != object && e.value.kind != null
	})
}

// setting puts a key of the type's own into its settings, spelled as text.
func (d decoder) setting(e entry, words *vocabulary, out reflect.Value, origin Origin) {
	f, _ := words.settings()
	switch e.value.kind {
	case text, number, boolean:
	default:
		d.problem(e.value.at, "", "%s: want a text, got %s", e.key, e.value.kind)
		return
	}
	target := out.FieldByIndex(f.index)
	if target.IsNil() {
		target.Set(reflect.ValueOf(Settings{}))
	}
	target.SetMapIndex(reflect.ValueOf(e.key), reflect.ValueOf(Secret(e.value.scalar)))
	origin.keys[e.key] = e.at
}

// scalar decodes one value that is no block.
func (d decoder) scalar(e entry, target reflect.Value) {
	err := decodeScalar(e.value, target)
	if err != nil {
		d.problem(e.value.at, "", "%s: %s", e.key, err)
	}
}

func decodeScalar(v value, target reflect.Value) error {
	if own, ok := target.Addr().Interface().(interface{ decode(value) error }); ok {
		return own.decode(v)
	}
	switch target.Kind() {
	case reflect.String:
		if v.kind != text && v.kind != number {
			return fmt.Errorf("want a text, got %s", v.kind)
		}
		target.SetString(v.scalar)
	case reflect.Bool:
		parsed, err := strconv.ParseBool(v.scalar)
		if v.kind != boolean && v.kind != text && v.kind != number || err != nil {
			return fmt.Errorf("want true or false, got %s", got(v))
		}
		target.SetBool(parsed)
	case reflect.Int, reflect.Int64:
		parsed, err := strconv.ParseInt(v.scalar, 10, 64)
		if v.kind != number && v.kind != text || err != nil {
			return fmt.Errorf("want a whole number, got %s", got(v))
		}
		target.SetInt(parsed)
	case reflect.Slice:
		return decodeTexts(v, target)
	default:
		return fmt.Errorf("cannot be set to %s", v.kind)
	}
	return nil
}

// decodeTexts reads a list of texts, or a single one.
func decodeTexts(v value, target reflect.Value) error {
	items := v.items
	if v.kind == text {
		items = []value{v}
	} else if v.kind != list {
		return fmt.Errorf("want a list of texts, got %s", v.kind)
	}
	texts := []string{}
	for _, item := range items {
		if item.kind != text && item.kind != number {
			return fmt.Errorf("want a list of texts, got one with %s in it", item.kind)
		}
		texts = append(texts, item.scalar)
	}
	target.Set(reflect.ValueOf(texts))
	return nil
}
