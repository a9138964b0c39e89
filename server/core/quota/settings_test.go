package quota

import (
	"errors"
	"reflect"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

func TestExemptPathsHaveNoLimit(t *testing.T) {
	storage := &logical.InmemStorage{}
	k := New(storage)
	put(t, k, Rule{Name: "all", Rate: 1})
	set := Settings{Exempt: []string{"sys/health", "sys/leases/*"}, Absolute: []string{"auth/token/lookup-self"}, Audit: true}
	if err := k.Set(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	again := New(storage)
	if err := again.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(again.Names()) != 1 || !reflect.DeepEqual(again.Settings(), set) {
		t.Fatalf("%v, %+v", again.Names(), again.Settings())
	}
	for path, limited := range map[string]bool{
		"sys/health": false, "sys/healthy": true, "sys/leases/lookup": false, "sys/leases": true, "auth/token/lookup-self": false, "auth/token/create": true,
	} {
		if n, _ := spend(again, path, path); (n == 1) != limited {
			t.Errorf("%s: %d requests", path, n)
		}
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	k := New(&logical.InmemStorage{})
	for _, path := range []string{"", "/sys/health", "sys/*/health", "**"} {
		if err := k.Set(t.Context(), Settings{Exempt: []string{path}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if len(k.Settings().Exempt) > 0 {
		t.Errorf("%+v", k.Settings())
	}
}
