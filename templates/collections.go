package templates

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"dario.cat/mergo"
)

// addCollections adds the functions on lists and maps.
func addCollections(functions template.FuncMap) {
	functions["in"] = in
	functions["contains"] = func(value, list any) (bool, error) { return in(list, value) }
	functions["containsAll"] = contained(true, true)
	functions["containsAny"] = contained(false, false)
	functions["containsNone"] = contained(true, false)
	functions["containsNotAll"] = contained(false, true)
	functions["explodeMap"] = explodeMap
	functions["mergeMap"] = func(into, from map[string]any) (map[string]any, error) {
		err := mergo.Map(&into, from)
		return into, err
	}
	functions["mergeMapWithOverride"] = func(into, from map[string]any) (map[string]any, error) {
		err := mergo.Map(&into, from, mergo.WithOverride)
		return into, err
	}
}

// in reports whether a list holds a value, or a string a part of it. Values
// of kinds that do not compare are never in.
func in(list, value any) (bool, error) {
	l, v := reflect.ValueOf(list), reflect.ValueOf(value)
	switch l.Kind() {
	case reflect.Array, reflect.Slice:
		for i := range l.Len() {
			element := l.Index(i)
			if element.Kind() == reflect.Interface {
				element = element.Elem()
			}
			if sameValue(element, v) {
				return true, nil
			}
		}
		return false, nil
	case reflect.String:
		return v.IsValid() && v.Type() == l.Type() && strings.Contains(l.String(), v.String()), nil
	default:
		return false, nil
	}
}

func sameValue(a, b reflect.Value) bool {
	switch {
	case !a.IsValid() || !b.IsValid():
		return false
	case a.CanInt() && b.CanInt():
		return a.Int() == b.Int()
	case a.CanFloat() && b.CanFloat():
		return a.Float() == b.Float()
	default:
		return a.Kind() == reflect.String && a.Type() == b.Type() && a.String() == b.String()
	}
}

// contained returns a function that looks for each of some values in a list.
// It stops with the opposite of end at the first one whose absence is, or is
// not, what counts.
func contained(end, absent bool) func(values []any, list any) (bool, error) {
	return func(values []any, list any) (bool, error) {
		for _, value := range values {
			if found, _ := in(list, value); found != absent {
				return !end, nil
			}
		}
		return end, nil
	}
}

// explodeMap turns the keys "a/b" of a map into maps within maps.
func explodeMap(flat map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(flat)) {
		folder, key := out, path
		for {
			name, rest, deeper := strings.Cut(key, "/")
			if !deeper {
				break
			}
			if _, ok := folder[name]; !ok {
				folder[name] = map[string]any{}
			}
			next, ok := folder[name].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("exploding a map: %q is both a value and the folder of %q", name, path)
			}
			folder, key = next, rest
		}
		if key != "" {
			folder[key] = flat[path]
		}
	}
	return out, nil
}
