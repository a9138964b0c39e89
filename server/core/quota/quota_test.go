package quota

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

func put(t *testing.T, k *Keeper, r Rule) {
	t.Helper()
	if r.Interval == 0 {
		r.Interval = time.Second
	}
	if err := k.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// spend sends requests until one is refused, and returns how many were not.
func spend(k *Keeper, path, address string) (int, *Exceeded) {
	for n := range 1000 {
		var over *Exceeded
		if err := k.Allow(path, address); errors.As(err, &over) {
			return n, over
		}
	}
	return 1000, nil
}

func TestTheClosestRuleCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(&logical.InmemStorage{})
		put(t, k, Rule{Name: "all", Rate: 50})
		put(t, k, Rule{Name: "mount", Path: "database/", Rate: 20})
		put(t, k, Rule{Name: "creds", Path: "database/creds/*", Rate: 10})
		put(t, k, Rule{Name: "one", Path: "database/creds/app", Rate: 5})
		for path, want := range map[string]int{"aws/creds/x": 50, "database/roles/x": 20, "database/creds/other": 10, "database/creds/app": 5} {
			if got, _ := spend(k, path, "a"); got != want {
				t.Errorf("%s: %d, want %d", path, got, want)
			}
		}
		if got, _ := spend(k, "database/creds/app", "b"); got != 5 {
			t.Errorf("another address has %d", got)
		}
	})
}

func TestAllowancesComeBackWithTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(&logical.InmemStorage{})
		put(t, k, Rule{Name: "all", Rate: 3, Interval: 10 * time.Second})
		if n, over := spend(k, "x", "a"); n != 3 || over.Header().Get("Retry-After") != "10" || over.Header().Get("X-Ratelimit-Limit") != "3" {
			t.Errorf("%d %v", n, over)
		}
		time.Sleep(9 * time.Second)
		if n, over := spend(k, "x", "a"); n != 0 || over.Header().Get("Retry-After") != "1" {
			t.Errorf("%d %v", n, over)
		}
		time.Sleep(time.Second)
		if n, _ := spend(k, "x", "a"); n != 3 {
			t.Errorf("%d after the interval", n)
		}
	})
}

func TestABlockOutlastsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(&logical.InmemStorage{})
		put(t, k, Rule{Name: "all", Rate: 1, Block: time.Minute})
		spend(k, "x", "a")
		time.Sleep(59 * time.Second)
		if n, over := spend(k, "x", "a"); n != 0 || over.Reset != time.Second {
			t.Errorf("%d %v", n, over)
		}
		time.Sleep(time.Second)
		if n, _ := spend(k, "x", "a"); n != 1 {
			t.Errorf("%d after the block", n)
		}
	})
}

func TestRulesAreKept(t *testing.T) {
	storage := &logical.InmemStorage{}
	k := New(storage)
	put(t, k, Rule{Name: "a", Rate: 2})
	put(t, k, Rule{Name: "b", Path: "x", Rate: 3})
	if err := k.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	again := New(storage)
	if err := again.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, ok := again.Get("b"); len(again.Names()) != 1 || !ok || r.Rate != 3 || r.Path != "x" {
		t.Errorf("%v %+v", again.Names(), r)
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	k := New(&logical.InmemStorage{})
	put(t, k, Rule{Name: "a", Path: "x", Rate: 1})
	for name, r := range map[string]Rule{
		"no rate":         {Name: "b", Interval: time.Second},
		"no interval":     {Name: "b", Rate: 1},
		"no name":         {Rate: 1, Interval: time.Second},
		"the same path":   {Name: "b", Path: "x", Rate: 1, Interval: time.Second},
		"less than never": {Name: "b", Rate: 1, Interval: time.Second, Block: -1},
	} {
		if err := k.Put(t.Context(), r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
