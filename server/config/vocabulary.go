package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// vocabulary is what may stand in a stanza, read from the tags of its struct:
//
//	conf:"storage|backend"   the key, and other names for it
//	conf:"name,required"     a key that must be set
//	conf:"type,label"        set by the label of the block, by the key above
//	                         the block, or by the key itself
//	conf:",settings"         takes the keys that the type's own list names
//	default:"30s"            the value when the key is not set
//	types:"tcp unix"         on the label, the types there are
//	ignored:"disable_mlock"  on the blank field, keys that are accepted with a
//	                         warning because they can have no effect here
type vocabulary struct {
	fields  []field
	ignored []string
}

type field struct {
	index    []int
	names    []string // the first is the one to use
	required bool
	label    bool
	settings bool
	fallback string
	types    []string     // of a label
	stanza   reflect.Type // of a block, the struct that takes it; else nil
	// repeatable marks a block that may stand in its stanza several times.
	repeatable bool
}

func newVocabulary(stanza reflect.Type) *vocabulary {
	v := &vocabulary{}
	for _, f := range reflect.VisibleFields(stanza) {
		if f.Name == "_" {
			v.ignored = strings.Fields(f.Tag.Get("ignored"))
		}
		tag, found := f.Tag.Lookup("conf")
		if !found {
			continue
		}
		words := strings.Split(tag, ",")
		options := words[1:]
		block := stanzaType(f.Type)
		v.fields = append(v.fields, field{
			index: f.Index, names: strings.Split(words[0], "|"),
			required: slices.Contains(options, "required"),
			label:    slices.Contains(options, "label"),
			settings: slices.Contains(options, "settings"),
			fallback: f.Tag.Get("default"),
			types:    strings.Fields(f.Tag.Get("types")),
			stanza:   block, repeatable: block != nil && f.Type.Kind() == reflect.Slice,
		})
	}
	return v
}

// stanzaType returns the struct behind a field that takes a block, or several
// of them; nil for any other field.
func stanzaType(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	if _, ok := t.FieldByName("Origin"); !ok {
		return nil
	}
	return t
}

// label returns the field that takes the block's label, if there is one.
func (v *vocabulary) label() (field, bool) { return v.first(func(f field) bool { return f.label }) }

// settings returns the field that takes the keys of the type, if there is one.
func (v *vocabulary) settings() (field, bool) {
	return v.first(func(f field) bool { return f.settings })
}

// find returns the field of a key.
func (v *vocabulary) find(key string) (field, bool) {
	return v.first(func(f field) bool { return !f.settings && slices.Contains(f.names, key) })
}

func (v *vocabulary) first(is func(field) bool) (field, bool) {
	i := slices.IndexFunc(v.fields, is)
	if i < 0 {
		return field{}, false
	}
	return v.fields[i], true
}

// words returns the names of all keys.
func (v *vocabulary) words() []string {
	var all []string
	for _, f := range v.fields {
		if !f.settings {
			all = append(all, f.names[0])
		}
	}
	return all
}

// suggest returns a hint that names the word nearest to the one given, or all
// words if none is near.
func suggest(given string, words []string) string {
	best, distance := "", 1+max(1, len(given)/3)
	for _, word := range words {
		if d := levenshtein.Distance(strings.ToLower(given), word, nil); d < distance {
			best, distance = word, d
		}
	}
	if best != "" {
		return "did you mean \"" + best + "\"?"
	}
	return "known here: " + strings.Join(words, ", ")
}
