package store_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

func TestAViewMeetsTheSDKsStorageContract(t *testing.T) {
	logical.TestStorage(t, store.View(inmem.New(), "logical/one/"))
}

func TestViewsDoNotSeeEachOther(t *testing.T) {
	shared := inmem.New()
	one, two := store.View(shared, "one/"), store.View(shared, "two/")
	if err := store.PutJSON(t.Context(), one, "k", "v"); err != nil {
		t.Fatal(err)
	}
	got, err := store.GetJSON[string](t.Context(), two, "k")
	if err != nil || got != nil {
		t.Fatalf("the other view reads %v, %v; want nothing", got, err)
	}
	if _, err := two.Get(t.Context(), "../one/k"); !errors.Is(err, logical.ErrRelativePath) {
		t.Fatalf("leaving the view gives %v; want %v", err, logical.ErrRelativePath)
	}
}

func TestListShowsOneLevel(t *testing.T) {
	s := inmem.New()
	for _, key := range []string{"a", "b/c", "b/d/e", "b/d/f", "bc"} {
		if err := s.Put(t.Context(), key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string][]string{
		"":       {"a", "b/", "bc"},
		"b":      {"/", "c"},
		"b/":     {"c", "d/"},
		"b/d/":   {"e", "f"},
		"none/":  nil,
		"a/deep": nil,
	}
	for prefix, want := range cases {
		got, err := s.List(t.Context(), prefix)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, %v; want %q", prefix, got, err, want)
		}
	}
}

func TestDeletingTheLastKeyRemovesItsFolders(t *testing.T) {
	s := inmem.New()
	if err := s.Put(t.Context(), "a/b/c", nil); err != nil {
		t.Fatal(err)
	}
	if value, _ := s.Get(t.Context(), "a/b/c"); value == nil {
		t.Fatal("an empty value reads as absent")
	}
	if err := s.Delete(t.Context(), "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if keys, _ := s.List(t.Context(), ""); len(keys) != 0 {
		t.Fatalf("folders left behind: %q", keys)
	}
}

func TestCallersOwnTheirBytes(t *testing.T) {
	s := inmem.New()
	value := []byte("one")
	if err := s.Put(t.Context(), "k", value); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	got, _ := s.Get(t.Context(), "k")
	got[1] = 'Y'
	if again, _ := s.Get(t.Context(), "k"); string(again) != "one" {
		t.Fatalf("stored value became %q", again)
	}
}

func TestNumbersInRecordsStayExact(t *testing.T) {
	view := store.View(inmem.New(), "")
	if err := view.Put(t.Context(), &logical.StorageEntry{Key: "k", Value: []byte(`{"n":9007199254740993}`)}); err != nil {
		t.Fatal(err)
	}
	got, err := store.GetJSON[map[string]any](t.Context(), view, "k")
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := (*got)["n"].(interface{ String() string }); !ok || n.String() != "9007199254740993" {
		t.Fatalf("n = %v; want 9007199254740993", (*got)["n"])
	}
}
