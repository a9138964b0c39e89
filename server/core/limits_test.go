package core_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/lease"
)

func TestARoleHasNoMoreLeasesThanItMay(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Engine.MaxLeases.Store(5)
	var granted, refused atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := s.Do(t, coretest.Root, read, "fake/creds/app", map[string]any{"ttl": "1h"})
			switch {
			case err == nil:
				granted.Add(1)
			case errors.As(err, new(*lease.LimitError)):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if granted.Load() != 5 || refused.Load() != 45 || s.Engine.Issued() != 5 {
		t.Fatalf("%d granted, %d refused, %d created; want 5, 45, 5", granted.Load(), refused.Load(), s.Engine.Issued())
	}
	s.Must(t, coretest.Root, read, "fake/creds/other", nil)
	counted := s.Must(t, coretest.Root, read, "sys/leases/count", nil).Data["roles"].(map[string]map[string]int)
	if counted["fake/"]["app"] != 5 || counted["fake/"]["other"] != 1 {
		t.Fatalf("counted %v", counted)
	}
	s.Must(t, coretest.Root, update, "sys/leases/revoke-prefix/fake/creds/app", nil)
	issue(t, s, coretest.Root, nil) // there is room again
}

// A request that fails must not use up the room of those that would not.
func TestAFailureGivesItsPlaceBack(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Engine.MaxLeases.Store(1)
	s.Store.Fail("core/lease/")
	for range 3 {
		if _, err := s.Do(t, coretest.Root, read, "fake/creds/app", nil); err == nil {
			t.Fatal("a lease that cannot be written was granted")
		}
		waitUntil(t, func() bool { return s.Engine.Live() == 0 && countLeases(t, s) == 0 })
	}
	s.Store.Fail("")
	issue(t, s, coretest.Root, nil)
}

func countLeases(t *testing.T, s *coretest.Server) int {
	t.Helper()
	return s.Must(t, coretest.Root, read, "sys/leases/count", nil).Data["lease_count"].(int)
}
