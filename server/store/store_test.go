package store_test

import (
	"errors"
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
