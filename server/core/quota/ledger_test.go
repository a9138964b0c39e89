package quota

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

func TestWhoSharesAnAllowance(t *testing.T) {
	for name, c := range map[string]struct {
		one, other string
		shared     bool
	}{
		"two addresses":                     {"192.0.2.1", "192.0.2.2", false},
		"two addresses of a /64":            {"2001:db8::1", "2001:db8::ffff:0:0:2", true},
		"two of them, written with a zone":  {"fe80::1%eth0", "fe80::2", true},
		"two networks of IPv6":              {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		"an address and itself within IPv6": {"192.0.2.1", "::ffff:192.0.2.1", true},
		"two addresses within IPv6":         {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		"nobody and somebody":               {"", "192.0.2.1", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := New(&logical.InmemStorage{})
			put(t, k, Rule{Name: "all", Rate: 3})
			spend(k, "x", c.one)
			if n, _ := spend(k, "x", c.other); (n == 0) != c.shared {
				t.Errorf("%s: the second has %d requests", name, n)
			}
		})
	}
}

func TestManyAddressesDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(&logical.InmemStorage{})
		put(t, k, Rule{Name: "all", Rate: 2, Block: time.Hour})
		l := (*k.rules.Load())["all"]
		address := func(i int) string { return fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff) }
		if err := k.Allow("x", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		allowed := 0
		for i := range maxClients + 1000 {
			if k.Allow("x", address(i)) == nil {
				allowed++
			}
		}
		if want := maxClients - 1 + 2; allowed != want || len(l.used) != maxClients+1 {
			t.Errorf("%d requests were allowed, want %d; %d clients are kept", allowed, want, len(l.used))
		}
		if n, _ := spend(k, "x", "192.0.2.1"); n != 1 {
			t.Errorf("who was there before has %d requests left; want 1", n)
		}
		if n, over := spend(k, "x", address(maxClients)); n != 0 || over.Reset > time.Second {
			t.Errorf("one of the rest has %d requests, and is refused for %s", n, over.Reset)
		}
		time.Sleep(time.Second)
		if n, _ := spend(k, "x", address(maxClients)); n != 2 {
			t.Errorf("in the next interval one of the rest has %d requests; want 2", n)
		}
	})
}

func TestBlocksDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(&logical.InmemStorage{})
		put(t, k, Rule{Name: "all", Rate: 1, Block: time.Hour})
		l := (*k.rules.Load())["all"]
		for i := range maxClients + 1000 {
			if i%(maxClients/2) == 0 {
				time.Sleep(time.Second) // there is room for the next
			}
			spend(k, "x", fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff))
		}
		if len(l.block) != maxClients {
			t.Errorf("%d clients are blocked", len(l.block))
		}
	})
}
