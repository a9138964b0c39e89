package main

import (
	"sync/atomic"
	"time"

	"github.com/novatech/securevault/server/config"
)

// leaseLimits is what the core asks about the limits of engines. They may be set
// anew while requests go on.
type leaseLimits struct {
	byEngine atomic.Pointer[map[string]config.LeaseLimit] // type of engine → its limits
}

func (l *leaseLimits) set(limits []config.LeaseLimit) {
	byEngine := make(map[string]config.LeaseLimit, len(limits))
	for _, limit := range limits {
		byEngine[limit.Engine] = limit
	}
	l.byEngine.Store(&byEngine)
}

func (l *leaseLimits) of(engine string) config.LeaseLimit { return (*l.byEngine.Load())[engine] }

func (l *leaseLimits) perRole(engine string) int { return l.of(engine).MaxLeasesPerRole }

func (l *leaseLimits) ttls(engine string) (byDefault, most time.Duration) {
	limit := l.of(engine)
	return time.Duration(limit.DefaultTTL), time.Duration(limit.MaxTTL)
}
