package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/novatech/securevault/server/store"
)

func TestPagesOfKeysBecomeOneLevel(t *testing.T) {
	var keys, want []string
	for i := range 900 { // more than a page of names
		keys = append(keys, fmt.Sprintf("in/a%04d", i))
		want = append(want, fmt.Sprintf("a%04d", i))
	}
	for i := range 20_000 { // and many pages in one folder
		keys = append(keys, fmt.Sprintf("in/deep/%05d", i))
	}
	keys = append(keys, "before", "in/deep", "in/deep0", "in/deep-", "in/z/1", "in/z/2", "in0", "in", "in/")
	want = append(want, "", "deep", "deep-", "deep/", "deep0", "z/")
	slices.Sort(keys)
	slices.Sort(want)
	pages := 0
	got, err := store.ListPages(t.Context(), "in/", func(_ context.Context, from string, limit int) ([]string, error) {
		pages++
		at, _ := slices.BinarySearch(keys, from)
		return keys[at:min(len(keys), at+limit)], nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d names, want %d; %v", len(got), len(want), err)
	}
	if pages > 6 {
		t.Errorf("it took %d pages", pages)
	}
}
