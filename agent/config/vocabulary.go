package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// vocabulary is what may stand in a stanza, read from the tags of its struct:
//
//	hcl:"perms|mode"      the key, and other names for it
//	hcl:"path,required"   a key that must be set
//	hcl:"type,label"      set by the label of the block or by the key
//	default:"30s"         the value when the key is not set
//	when:"approle"        the key belongs to blocks of that type only
//	later:"cache exec"    on the blank field, keys known but not supported yet;
//	                      on the label, such types
//	ignored:"cluster_name" on the blank field, keys that are accepted with a
//	                      warning because they can have no effect here
type vocabulary struct {
	fields  []field
	later   []string
	ignored []string
}

type field struct {
	index    int
	names    []string // the first is the one to use
	required bool
	label    bool
	fallback string
	when     string
	later    []string // of a label
}

func newVocabulary(stanza reflect.Type) *vocabulary {
	v := &vocabulary{}
	for i := range stanza.NumField() {
		tag := stanza.Field(i).Tag
		if stanza.Field(i).Name == "_" {
			v.later = strings.Fields(tag.Get("later"))
			v.ignored = strings.Fields(tag.Get("ignored"))
		}
		key, found := tag.Lookup("hcl")
		if !found {
			continue
		}
		names, option, _ := strings.Cut(key, ",")
		v.fields = append(v.fields, field{
			index: i, names: strings.Split(names, "|"),
			required: option == "required", label: option == "label",
			fallback: tag.Get("default"), when: tag.Get("when"), later: strings.Fields(tag.Get("later")),
		})
	}
	return v
}

// label returns the field that takes the block's label, if there is one.
func (v *vocabulary) label() (field, bool) {
	i := slices.IndexFunc(v.fields, func(f field) bool { return f.label })
	if i < 0 {
		return field{}, false
	}
	return v.fields[i], true
}

// types returns the values that the label may have.
func (v *vocabulary) types() []string {
	var out []string
	for _, f := range v.fields {
		if f.when != "" && !slices.Contains(out, f.when) {
			out = append(out, f.when)
		}
	}
	return out
}

// find returns the field of a key in a block of the given type.
func (v *vocabulary) find(key, blockType string) (field, bool) {
	i := slices.IndexFunc(v.fields, func(f field) bool {
		return slices.Contains(f.names, key) && (f.when == "" || f.when == blockType)
	})
	if i < 0 {
		return field{}, false
	}
	return v.fields[i], true
}

// keys returns every key that a block of the given type may have.
func (v *vocabulary) keys(blockType string) []string {
	var out []string
	for _, f := range v.fields {
		if f.when == "" || f.when == blockType {
			out = append(out, f.names...)
		}
	}
	return out
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
	if len(words) == 0 {
		return "nothing can be set here"
	}
	return "known here: " + strings.Join(words, ", ")
}
