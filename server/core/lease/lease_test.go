package lease

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// stubEngine takes its time over revocations.
type stubEngine struct {
	takes time.Duration
	calls int // by one goroutine at a time: the manager's own rule
}

func (e *stubEngine) Renew(context.Context, *Lease, time.Duration) (*logical.Response, error) {
	return nil, errors.New("not asked for here")
}

func (e *stubEngine) Revoke(context.Context, *Lease) error {
	e.calls++
	time.Sleep(e.takes)
	return nil
}

func TestThoseWhoRevokeTheSameLeaseShareOneRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &stubEngine{takes: time.Second}
		m := New(Config{
			Storage: store.View(inmem.New(), ""), Queue: expiry.New(), Engine: engine, Logger: hclog.NewNullLogger(),
		})
		if err := m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := &Lease{ID: "db/creds/app/1", Mount: "m", Token: "t", Secret: &logical.Secret{}, ExpireTime: time.Now().Add(time.Hour)}
		if err := m.Register(t.Context(), l, nil); err != nil {
			t.Fatal(err)
		}
		impatient, giveUp := context.WithTimeout(t.Context(), time.Millisecond)
		defer giveUp()
		if err := m.Revoke(impatient, l.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the impatient got %v", err)
		}
		for _, revoke := range []func() error{
			func() error { return m.Revoke(t.Context(), l.ID) },
			func() error { return m.RevokePrefix(t.Context(), "db", true) },
			func() error { return m.RevokeToken(t.Context(), "t", true) },
		} {
			if err := revoke(); err != nil {
				t.Fatal(err)
			}
		}
		if engine.calls != 1 || m.Count() != 0 || len(m.byToken) != 0 || len(m.groups) != 0 {
			t.Fatalf("%d revocations, %d leases, %d owners, %d groups; want 1 and none", engine.calls, m.Count(), len(m.byToken), len(m.groups))
		}
		if keys, _ := m.storage.List(t.Context(), ""); len(keys) != 0 {
			t.Fatalf("records left: %q", keys)
		}
	})
}

func TestRetriesBackOffToFiveMinutes(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 9: lastRetry, 10_000: lastRetry,
	} {
		got := retryDelay(failures)
		if got < want*8/10 || got > want*12/10 {
			t.Errorf("after %d failures %v; want %v give or take a fifth", failures, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"mount":"m","token":"t","expires":"2026-01-02T03:04:05Z","issued":"2026-01-02T03:04:05Z","internal":{"a":1}}`))
	f.Add([]byte(`{"expires":7}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		storage := store.View(inmem.New(), "")
		if err := storage.Put(t.Context(), &logical.StorageEntry{Key: "db/creds/app/1", Value: value}); err != nil {
			t.Fatal(err)
		}
		m := New(Config{Storage: storage, Queue: expiry.New(), Logger: hclog.NewNullLogger()})
		l, err := m.Lookup(t.Context(), "db/creds/app/1")
		if err == nil && (l.Secret == nil || l.Path != "db/creds/app") {
			t.Fatalf("%q is read as %+v", value, l)
		}
		if err := m.Restore(t.Context()); err != nil {
			t.Fatalf("one bad record keeps all others out: %v", err)
		}
	})
}
