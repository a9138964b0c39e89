package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// office is a store in memory that several servers share, each through a
// handle of its own.
type office struct {
	store.Store
	seat chan struct{} // holds one element while somebody is active

	mu   sync.Mutex
	term *tenancy // guarded by mu; nil: nobody is active
}

func newOffice() *office { return &office{Store: inmem.New(), seat: make(chan struct{}, 1)} }

type tenancy struct {
	office *office
	name   string
	lost   chan struct{}
	once   sync.Once
}

func (v *tenancy) Lost() <-chan struct{} { return v.lost }

func (v *tenancy) Valid() bool {
	v.office.mu.Lock()
	defer v.office.mu.Unlock()
	return v.office.term == v
}

func (v *tenancy) Resign(context.Context) error {
	v.once.Do(func() {
		v.office.mu.Lock()
		v.office.term = nil
		v.office.mu.Unlock()
		close(v.lost)
		<-v.office.seat
	})
	return nil
}

// depose ends the present term from outside, and tells whose it was.
func (o *office) depose(t *testing.T) string {
	t.Helper()
	o.mu.Lock()
	term := o.term
	o.mu.Unlock()
	if term == nil {
		t.Fatal("nobody is active")
	}
	_ = term.Resign(t.Context())
	return term.name
}

// handle is the office as one server sees it.
type handle struct {
	*office
	name string
}

func (h *handle) mine() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.term == nil || h.term.name != h.name {
		return store.ErrNotActive
	}
	return nil
}

func (h *handle) Put(ctx context.Context, key string, value []byte) error {
	if err := h.mine(); err != nil {
		return err
	}
	return h.Store.Put(ctx, key, value)
}

func (h *handle) Delete(ctx context.Context, key string) error {
	if err := h.mine(); err != nil {
		return err
	}
	return h.Store.Delete(ctx, key)
}

func (h *handle) Elect(ctx context.Context, _ store.Node) (store.Term, error) {
	select {
	case h.seat <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.term = &tenancy{office: h.office, name: h.name, lost: make(chan struct{})}
	return h.term, nil
}

func (h *handle) Nodes(context.Context) ([]store.Node, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.term == nil {
		return nil, nil
	}
	return []store.Node{{APIAddr: h.term.name, Active: true}}, nil
}

// join starts a server on the office that ends with the test.
func join(t *testing.T, o *office, name string, engine *coretest.Engine) *core.Server {
	t.Helper()
	return joinMeasured(t, o, name, engine, newMetrics(t))
}

func newMetrics(t *testing.T) *metric.Registry {
	t.Helper()
	metrics, err := metric.New(metric.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return metrics
}

// joinMeasured is join for a server that counts in metrics.
func joinMeasured(t *testing.T, o *office, name string, engine *coretest.Engine, metrics *metric.Registry) *core.Server {
	t.Helper()
	h := &handle{o, name}
	s := core.NewServer(core.Config{
		Engines: map[string]logical.Factory{"fake": engine.Factory}, Logger: hclog.NewNullLogger(), Metrics: metrics,
		Cluster: core.Cluster{Elector: h, APIAddr: name},
	}, seal.New(seal.Settings{Store: h}))
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		s.Close(context.Background())
	})
	return s
}

// pair starts two servers on one office, the first of them active, with the
// engine mounted.
func pair(t *testing.T, engine *coretest.Engine) (o *office, first, second *core.Server, share []byte) {
	t.Helper()
	o = newOffice()
	first, second = join(t, o, "first", engine), join(t, o, "second", engine)
	made, err := first.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}, coretest.Root)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Unseal(t.Context(), made.Shares[0]); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	ask(t, first, update, "sys/mounts/fake", map[string]any{"type": "fake"})
	if err := second.Unseal(t.Context(), made.Shares[0]); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return o, first, second, made.Shares[0]
}

// ask sends a request that has to succeed.
func ask(t *testing.T, s *core.Server, op logical.Operation, path string, data map[string]any) *logical.Response {
	t.Helper()
	resp, err := s.Handle(t.Context(), &logical.Request{Operation: op, Path: path, Data: data, ClientToken: coretest.Root})
	if err == nil && resp != nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	return resp
}

// stands fails unless a server is active, or stands by and answers nothing.
func stands(t *testing.T, s *core.Server, active bool) {
	t.Helper()
	status := s.Status()
	if status.Sealed || status.Standby == active || s.Standby() == active || !status.Shared || active == status.ActiveSince.IsZero() {
		t.Fatalf("status %+v, want active: %v", status, active)
	}
	if err := lookup(t, s); active != (err == nil) || !active && !errors.Is(err, store.ErrNotActive) {
		t.Fatalf("it answers with %v, want active: %v", err, active)
	}
}

func TestALostTermEndsEverythingAtOnceAndAnotherServerGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := coretest.NewEngine()
		o, first, second, _ := pair(t, engine)
		stands(t, first, true)
		stands(t, second, false)
		ask(t, first, read, "fake/creds/app", map[string]any{"ttl": "60s"})
		ask(t, first, read, "fake/creds/app", map[string]any{"ttl": "10h"})

		for i, winner := range []*core.Server{second, first, second} {
			o.depose(t)
			time.Sleep(time.Second)
			synctest.Wait()
			loser := first
			if winner == first {
				loser = second
			}
			stands(t, winner, true)
			stands(t, loser, false)
			if node, err := loser.Leader(t.Context()); err != nil || node.APIAddr != []string{"second", "first", "second"}[i] {
				t.Errorf("the loser takes %+v for the leader, %v", node, err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if engine.Live() != 1 || engine.Revoked() != 1 {
			t.Errorf("%d credentials live after %d revocations, want 1 after 1", engine.Live(), engine.Revoked())
		}
	})
}

func TestARevocationIsLeftToTheServerThatIsActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := coretest.NewEngine()
		failing := errors.New("the database is away")
		engine.OnRevoke = func(string) error { return failing }
		o, first, second, _ := pair(t, engine)
		ask(t, first, read, "fake/creds/app", map[string]any{"ttl": "60s"})
		time.Sleep(70 * time.Second) // its revocation has failed and will be tried again
		synctest.Wait()
		failing = nil
		o.depose(t)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		stands(t, second, true)
		if engine.Revoked() != 1 || engine.Live() != 0 {
			t.Errorf("%d revocations, %d credentials live", engine.Revoked(), engine.Live())
		}
	})
}

func TestACredentialMadeAfterTheEndOfATermIsEndedByItsMaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := coretest.NewEngine()
		o, first, second, _ := pair(t, engine)
		engine.OnIssue = func() { o.depose(t) }
		_, err := first.Handle(t.Context(), &logical.Request{Operation: read, Path: "fake/creds/app", Data: map[string]any{"ttl": "1h"}, ClientToken: coretest.Root})
		if !errors.Is(err, store.ErrNotActive) {
			t.Errorf("it is answered with %v", err)
		}
		synctest.Wait()
		stands(t, first, false)
		stands(t, second, true)
		if engine.Issued() != 1 || engine.Live() != 0 {
			t.Errorf("of %d credentials %d live", engine.Issued(), engine.Live())
		}
	})
}

func TestSteppingDownLetsTheOtherGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, first, second, _ := pair(t, coretest.NewEngine())
		if err := second.StepDown(); !errors.Is(err, store.ErrNotActive) {
			t.Errorf("a standby steps down: %v", err)
		}
		if err := second.Seal(); !errors.Is(err, store.ErrNotActive) {
			t.Errorf("a standby is sealed: %v", err)
		}
		ask(t, first, update, "sys/step-down", nil)
		synctest.Wait()
		stands(t, first, false)
		stands(t, second, true)
		ask(t, second, update, "sys/seal", nil)
		synctest.Wait()
		if status := second.Status(); !status.Sealed || status.Standby {
			t.Errorf("status %+v", status)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		stands(t, first, true)
	})
}

// On every standby the alert of a sealed server fired.
func TestAStandbyCountsAsUnsealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, first, _, share := pair(t, coretest.NewEngine())
		metrics := newMetrics(t)
		third := joinMeasured(t, o, "third", coretest.NewEngine(), metrics)
		unsealed := func(when string, want bool) {
			t.Helper()
			found := slices.ContainsFunc(metrics.Read(), func(s metric.Series) bool { return s.Name == metric.Unsealed && s.Value == 1 })
			if found != want {
				t.Errorf("%s: counts as unsealed: %v, want %v", when, found, want)
			}
		}
		unsealed("sealed", false)
		if err := third.Unseal(t.Context(), share); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		unsealed("standing by", true)
		rekey(t, first, share)
		o.depose(t)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		unsealed("sealed as its keys are old", false)
	})
}

func TestAServerAloneCannotStepDown(t *testing.T) {
	s := coretest.Start(t, nil)
	if _, err := s.Do(t, coretest.Root, update, "sys/step-down", nil); !errors.Is(err, seal.ErrInvalid) {
		t.Errorf("%v", err)
	}
	nodes := s.Must(t, coretest.Root, read, "sys/ha-status", nil).Data["nodes"]
	if nodes == nil {
		t.Error("it does not show itself")
	}
}

// rekey makes a new share and returns it alone.
func rekey(t *testing.T, s *core.Server, share []byte) [][]byte {
	t.Helper()
	attempt, err := s.Keys().StartRekey(seal.Split{Shares: 1, Threshold: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	shares, _, err := s.Keys().Rekey(t.Context(), attempt.Nonce, share)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

func TestAStandbyWhoseKeysWereChangedIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, first, second, share := pair(t, coretest.NewEngine())
		shares := rekey(t, first, share)
		o.depose(t)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !second.Status().Sealed {
			t.Fatal("it goes on with the old keys")
		}
		if err := second.Unseal(t.Context(), shares[0]); err != nil {
			t.Fatal(err)
		}
		stands(t, first, true)
		o.depose(t)
		time.Sleep(time.Second)
		synctest.Wait()
		stands(t, second, true)
	})
}

func TestOnlyOneServerInitializes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, first, _, _ := pair(t, coretest.NewEngine())
		if _, err := first.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}, ""); !errors.Is(err, seal.ErrInvalid) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// slow is the office of a server whose store misses a deadline.
type slow struct{ *handle }

func (slow) Elect(context.Context, store.Node) (store.Term, error) {
	return nil, fmt.Errorf("asking the store: %w", context.DeadlineExceeded)
}

func TestASlowStoreIsNotTakenForAnActiveServer(t *testing.T) {
	h := slow{&handle{newOffice(), "slow"}}
	s := core.NewServer(core.Config{
		Logger: hclog.NewNullLogger(), Metrics: newMetrics(t), Cluster: core.Cluster{Elector: h, APIAddr: h.name},
	}, seal.New(seal.Settings{Store: h}))
	defer s.Close(t.Context())
	_, err := s.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}, "")
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, seal.ErrInvalid) {
		t.Errorf("initializing: %v", err)
	}
}
