// Package storetest is the contract of store.Store as tests: every store
// passes Run, every durable one Survives as well.
//
// A new store's test is a function that opens it empty:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) store.Store { return inmem.New() })
//	}
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// Run checks the contract against stores that open returns; each must be empty.
func Run(t *testing.T, open func(testing.TB) store.Store) {
	checks := []struct {
		name  string
		check func(*testing.T, store.Store)
	}{
		{"what is put can be got, replaced and deleted", lifecycle},
		{"a list shows one level, sorted", listing},
		{"a folder goes with its last key", emptyFolders},
		{"keys may hold any byte", oddKeys},
		{"a value may be empty or large", sizes},
		{"callers own their bytes", ownership},
		{"many write at once", concurrency},
		{"writers of one key leave one whole value", contention},
		{"an ended context writes nothing", endedContext},
		{"a view of it is a storage of the plugin SDK", func(t *testing.T, s store.Store) {
			logical.TestStorage(t, store.View(s, "logical/one/"))
		}},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}

// Survives checks that what was written is there when the store is opened
// again. The first call of open must give an empty store, the second the same
// one; shut ends it.
func Survives(t *testing.T, open func(testing.TB) (s store.Store, shut func() error)) {
	s, shut := open(t)
	for i := range 100 {
		put(t, s, fmt.Sprintf("folder/%02d", i), fmt.Sprint(i))
	}
	put(t, s, "folder/07", "again")
	remove(t, s, "folder/08")
	if err := shut(); err != nil {
		t.Fatal(err)
	}
	s, shut = open(t)
	defer func() {
		if err := shut(); err != nil {
			t.Error(err)
		}
	}()
	keys := list(t, s, "folder/")
	if len(keys) != 99 || get(t, s, "folder/07") != "again" || get(t, s, "folder/99") != "99" || slices.Contains(keys, "08") {
		t.Errorf("opened again: %d keys, %q", len(keys), keys)
	}
}

func put(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

// get returns the value of key, or "<none>".
func get(t testing.TB, s store.Store, key string) string {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	switch {
	case err != nil:
		t.Fatalf("Get(%q): %v", key, err)
	case value == nil:
		return "<none>"
	}
	return string(value)
}

func remove(t testing.TB, s store.Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete(%q): %v", key, err)
	}
}

func list(t testing.TB, s store.Store, prefix string) []string {
	t.Helper()
	keys, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("List(%q): %v", prefix, err)
	}
	return keys
}

func lifecycle(t *testing.T, s store.Store) {
	const key = "a/b"
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "<none>"},
		{func() { put(t, s, key, "one") }, "one"},
		{func() { put(t, s, key, "two") }, "two"},
		{func() { put(t, s, "a/bc", "other"); put(t, s, "a", "folder's name") }, "two"},
		{func() { remove(t, s, key) }, "<none>"},
		{func() { remove(t, s, key) }, "<none>"},
	} {
		step.do()
		if got := get(t, s, key); got != step.want {
			t.Fatalf("Get = %q, want %q", got, step.want)
		}
	}
	if got := get(t, s, "a/bc") + get(t, s, "a"); got != "otherfolder's name" {
		t.Fatalf("the neighbours hold %q", got)
	}
}

func listing(t *testing.T, s store.Store) {
	for _, key := range []string{"bc", "b/d/f", "b-", "b/d/e", "b/c", "b/d0", "a", "b0", "b"} {
		put(t, s, key, "x")
	}
	for prefix, want := range map[string][]string{
		"":       {"a", "b", "b-", "b/", "b0", "bc"},
		"b":      {"", "-", "/", "0", "c"},
		"b/":     {"c", "d/", "d0"},
		"b/d/":   {"e", "f"},
		"b/d/e/": nil,
		"none/":  nil,
		"a/deep": nil,
	} {
		if got := list(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func emptyFolders(t *testing.T, s store.Store) {
	put(t, s, "a/b/c", "x")
	put(t, s, "a/d", "x")
	remove(t, s, "a/b/c")
	if got := list(t, s, "a/"); !slices.Equal(got, []string{"d"}) {
		t.Errorf("List = %q, want only d", got)
	}
	remove(t, s, "a/d")
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("List = %q, want nothing", got)
	}
}

func oddKeys(t *testing.T, s store.Store) {
	keys := []string{
		"sp ace", "quote'\"", "back\\slash", "per%cent_", "ünï/cödé", "日本/語", "new\nline", "tab\t/x",
		"dots/../x", "-dash", "UPPER/x", "upper/x", "a//b", "end/", strings.Repeat("long", 120),
	}
	for _, key := range keys {
		put(t, s, key, "value of "+key)
	}
	for _, key := range keys {
		if got := get(t, s, key); got != "value of "+key {
			t.Errorf("Get(%q) = %q", key, got)
		}
	}
	for prefix, want := range map[string][]string{
		"a/":     {"/"},
		"per%":   {"cent_"},
		"per_":   nil,
		"UPPER/": {"x"},
		"日本/":    {"語"},
		"end/":   {""},
	} {
		if got := list(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func sizes(t *testing.T, s store.Store) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 1 << 20} {
		key, value := fmt.Sprintf("size/%d", size), make([]byte, size)
		rand.Read(value)
		if err := s.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), key)
		if err != nil || got == nil || !bytes.Equal(got, value) {
			t.Errorf("of %d bytes come back %d, absent: %v, error %v", size, len(got), got == nil, err)
		}
	}
}

func ownership(t *testing.T, s store.Store) {
	value := []byte("one")
	if err := s.Put(t.Context(), "k", value); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	got, err := s.Get(t.Context(), "k")
	if err != nil || string(got) != "one" {
		t.Fatalf("Get = %q, %v", got, err)
	}
	got[1] = 'Y'
	if again := get(t, s, "k"); again != "one" {
		t.Errorf("the stored value became %q", again)
	}
}

func concurrency(t *testing.T, s store.Store) {
	const writers, each = 16, 25
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				key := fmt.Sprintf("w%02d/%02d", w, i)
				if err := s.Put(t.Context(), key, []byte(key)); err != nil {
					t.Errorf("Put(%q): %v", key, err)
				}
				if got, err := s.Get(t.Context(), key); string(got) != key || err != nil {
					t.Errorf("Get(%q) right after its Put = %q, %v", key, got, err)
				}
				if i%5 == 0 {
					if err := s.Delete(t.Context(), key); err != nil {
						t.Errorf("Delete(%q): %v", key, err)
					}
				}
			}
		})
	}
	group.Wait()
	for w := range writers {
		if n := len(list(t, s, fmt.Sprintf("w%02d/", w))); n != each-each/5 {
			t.Errorf("writer %d left %d keys, want %d", w, n, each-each/5)
		}
	}
}

func contention(t *testing.T, s store.Store) {
	const writers = 8
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			value := bytes.Repeat([]byte{byte('a' + w)}, 5000)
			for range 10 {
				if err := s.Put(t.Context(), "k", value); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got := get(t, s, "k")
	if len(got) != 5000 || strings.Trim(got, got[:1]) != "" {
		t.Errorf("%d bytes, mixed: %v", len(got), strings.Trim(got, got[:1]) != "")
	}
}

func endedContext(t *testing.T, s store.Store) {
	put(t, s, "k", "kept")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "k", []byte("new")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want %v", err, context.Canceled)
	}
	if err := s.Delete(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v, want %v", err, context.Canceled)
	}
	if got := get(t, s, "k"); got != "kept" {
		t.Errorf("Get = %q", got)
	}
}
