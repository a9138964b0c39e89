package window

import (
	"fmt"
	"testing"
	"time"
)

func TestSplaySpreadsAFleetEvenly(t *testing.T) {
	var perMinute [10]int
	for i := range 10_000 {
		splay := NewInstance("machine", fmt.Sprintf("web-%d", i)).Splay(10 * time.Minute)
		if splay < 0 || splay >= 10*time.Minute {
			t.Fatalf("instance %d waits for %s", i, splay)
		}
		perMinute[splay/time.Minute]++
	}
	for minute, count := range perMinute {
		if count < 850 || count > 1150 {
			t.Errorf("minute %d has %d of 10,000 instances, want about 1,000", minute, count)
		}
	}
}

// Reference, section 3, row 6.
func TestSplayOfAnInstance(t *testing.T) {
	tests := []struct {
		name  string
		a, b  Instance
		equal bool
	}{
		{"is the same each time", NewInstance("m", "web-1"), NewInstance("m", "web-1"), true},
		{"differs with the host", NewInstance("m", "web-1"), NewInstance("m", "web-2"), false},
		{"differs with the machine", NewInstance("m", "web-1"), NewInstance("n", "web-1"), false},
		{"keeps its names apart", NewInstance("m", "web-1"), NewInstance("mw", "eb-1"), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if a, b := test.a.Splay(time.Hour), test.b.Splay(time.Hour); (a == b) != test.equal {
				t.Errorf("they wait for %s and %s", a, b)
			}
		})
	}
	for _, limit := range []time.Duration{0, -time.Second} {
		if got := NewInstance("m").Splay(limit); got != 0 {
			t.Errorf("a limit of %s makes it wait for %s", limit, got)
		}
	}
}

func TestThisInstanceIsThatOfItsPod(t *testing.T) {
	pod := func(name string) Instance {
		return ThisInstance(func(variable string) string { return map[string]string{"POD_NAME": name}[variable] })
	}
	first, again, other := pod("web-1"), pod("web-1"), pod("web-2")
	if first != again {
		t.Error("the same pod is another instance each time")
	}
	if first == other {
		t.Error("two pods are the same instance")
	}
}
