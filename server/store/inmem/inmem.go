// Package inmem is the store of -dev: it lives and dies with the process.
//
// Keys form a tree of folders, so that listing one folder costs what it
// holds, whatever the size of the rest.
package inmem

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
)

// Store implements store.Store in memory.
type Store struct {
	mu   sync.RWMutex
	root *folder // guarded by mu
}

type folder struct {
	values  map[string][]byte  // name → value
	folders map[string]*folder // name without slash → folder
}

func newFolder() *folder {
	return &folder{values: map[string][]byte{}, folders: map[string]*folder{}}
}

func (f *folder) empty() bool { return len(f.values) == 0 && len(f.folders) == 0 }

// New returns an empty store.
func New() *Store { return &Store{root: newFolder()} }

// find walks to the folder that holds key and returns it with key's last
// part; the folder is nil when it does not exist.
func (s *Store) find(key string) (*folder, string) {
	at := s.root
	for at != nil {
		name, rest, deeper := strings.Cut(key, "/")
		if !deeper {
			return at, key
		}
		at, key = at.folders[name], rest
	}
	return nil, ""
}

// Get implements store.Store.
func (s *Store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, name := s.find(key)
	if at == nil {
		return nil, nil
	}
	return bytes.Clone(at.values[name]), nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	kept := make([]byte, len(value)) // an empty value is not an absent one
	copy(kept, value)

	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.root
	for {
		name, rest, deeper := strings.Cut(key, "/")
		if !deeper {
			at.values[key] = kept
			return nil
		}
		if at.folders[name] == nil {
			at.folders[name] = newFolder()
		}
		at, key = at.folders[name], rest
	}
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	remove(s.root, key)
	return nil
}

// remove deletes key below at, and every folder that it leaves empty.
func remove(at *folder, key string) {
	name, rest, deeper := strings.Cut(key, "/")
	if !deeper {
		delete(at.values, key)
		return
	}
	child := at.folders[name]
	if child == nil {
		return
	}
	remove(child, rest)
	if child.empty() {
		delete(at.folders, name)
	}
}

// List implements store.Store.
func (s *Store) List(_ context.Context, prefix string) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, start := s.find(prefix)
	if at == nil {
		return nil, nil
	}
	var keys []string
	for name := range at.values {
		if rest, ok := strings.CutPrefix(name, start); ok {
			keys = append(keys, rest)
		}
	}
	for name := range at.folders {
		if rest, ok := strings.CutPrefix(name, start); ok {
			keys = append(keys, rest+"/")
		}
	}
	slices.Sort(keys)
	return keys, nil
}
