package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// vocabulary is what may stand in a stanza, read from the tags of its struct
// and of the structs that it embeds:
//
//	hcl:"perms|mode"      the key, and other names for it
//	hcl:"path,required"   a key that must be set
//	hcl:"type,label"      set by the label of the block or by the key
//	hcl:"config,merge"    a block that may be repeated, and is then one
//	default:"30s"         the value when the key is not set
//	when:"approle"        the key belongs to blocks of these types only
//	types:"tcp unix"      on the label, the types, where when does not tell them
//	within:"sinks"        a block that may also stand in one called so
//	ignored:"cluster_name" on the blank field, keys that are accepted with a
//	                      warning because they can have no effect here
type vocabulary struct {
	fields  []field
	ignored []string
}

type field struct {
	index    []int
	names    []string // the first is the one to use
	required bool
	label    bool
	merge    bool
	fallback string
	when     []string
	types    []string     // of a label
	within   string       // empty for none
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
		key, found := f.Tag.Lookup("hcl")
		if !found {
			continue
		}
		words := strings.Split(key, ",")
		options := words[1:]
		block := stanzaType(f.Type)
		v.fields = append(v.fields, field{
			index: f.Index, names: strings.Split(words[0], "|"),
			required: slices.Contains(options, "required"),
			label:    slices.Contains(options, "label"),
			merge:    slices.Contains(options, "merge"),
			fallback: f.Tag.Get("default"),
			when:     strings.Fields(f.Tag.Get("when")),
			types:    strings.Fields(f.Tag.Get("types")),
			within:   f.Tag.Get("within"),
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
func (v *vocabulary) label() (field, bool) {
	i := slices.IndexFunc(v.fields, func(f field) bool { return f.label })
	if i < 0 {
		return field{}, false
	}
	return v.fields[i], true
}

// types returns the values that the label may have; none if it is a name that
// is free to choose.
func (v *vocabulary) types() []string {
	var out []string
	for _, f := range v.fields {
		for _, name := range slices.Concat(f.types, f.when) {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// belongs reports whether the key may stand in a block of the given type.
func (f field) belongs(blockType string) bool {
	return len(f.when) == 0 || slices.Contains(f.when, blockType)
}

// find returns the field of a key in a block of the given type. The case of
// the key does not matter.
func (v *vocabulary) find(key, blockType string) (field, bool) {
	key = strings.ToLower(key)
	i := slices.IndexFunc(v.fields, func(f field) bool {
		return slices.Contains(f.names, key) && f.belongs(blockType)
	})
	if i < 0 {
		return field{}, false
	}
	return v.fields[i], true
}

// has reports whether a key may stand in a block of some type.
func (v *vocabulary) has(key string) bool {
	key = strings.ToLower(key)
	return slices.Contains(v.ignored, key) ||
		slices.ContainsFunc(v.fields, func(f field) bool { return slices.Contains(f.names, key) })
}

// nearest returns the word that the one given is most like, "" if it is like
// none.
func nearest(given string, words []string) string {
	best, distance := "", 1+max(1, len(given)/3)
	for _, word := range words {
		if d := levenshtein.Distance(strings.ToLower(given), word, nil); d < distance {
			best, distance = word, d
		}
	}
	return best
}

// suggest returns a hint that names the word nearest to the one given, or all
// words if none is near.
func suggest(given string, words []string) string {
	if best := nearest(given, words); best != "" {
		return "did you mean \"" + best + "\"?"
	}
	if len(words) == 0 {
		return "nothing can be set here"
	}
	return "known here: " + strings.Join(words, ", ")
}
