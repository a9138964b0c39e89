package templates

import (
	"fmt"
	"maps"
	"slices"
)

// Scratch is what the function scratch returns: a place for the values of one
// evaluation, by name.
type Scratch struct{ values map[string]any }

// Key reports whether there is a value.
func (s *Scratch) Key(name string) bool {
	_, ok := s.values[name]
	return ok
}

// Get returns a value, nil if there is none.
func (s *Scratch) Get(name string) any { return s.values[name] }

// Set puts a value there. It returns nothing to print.
func (s *Scratch) Set(name string, value any) string {
	s.values[name] = value
	return ""
}

// SetX is Set unless there is a value.
func (s *Scratch) SetX(name string, value any) string {
	if !s.Key(name) {
		s.values[name] = value
	}
	return ""
}

// MapSet puts a value into a map there.
func (s *Scratch) MapSet(name, key string, value any) (string, error) {
	entries, err := s.entries(name)
	if err == nil {
		entries[key] = value
	}
	return "", err
}

// MapSetX is MapSet unless there is a value in the map.
func (s *Scratch) MapSetX(name, key string, value any) (string, error) {
	entries, err := s.entries(name)
	if _, ok := entries[key]; err == nil && !ok {
		entries[key] = value
	}
	return "", err
}

// MapValues returns the values of a map there, sorted by their keys.
func (s *Scratch) MapValues(name string) []any {
	entries, ok := s.values[name].(map[string]any)
	if !ok {
		return nil
	}
	values := make([]any, 0, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		values = append(values, entries[key])
	}
	return values
}

// entries returns the map of a name, which is made when there is none.
func (s *Scratch) entries(name string) (map[string]any, error) {
	if !s.Key(name) {
		s.values[name] = map[string]any{}
	}
	entries, ok := s.values[name].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("setting a key of %q: the scratch holds something else than a map there; use another name", name)
	}
	return entries, nil
}
