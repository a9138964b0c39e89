package core_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// lookup asks the server as the API does.
func lookup(t *testing.T, s *core.Server) error {
	t.Helper()
	_, err := s.Handle(t.Context(), &logical.Request{Operation: read, Path: "auth/token/lookup-self", ClientToken: coretest.Root})
	return err
}

// refused fails unless err is the 503 of a sealed server.
func refused(t *testing.T, err error) {
	t.Helper()
	var coded logical.HTTPCodedError
	if !errors.As(err, &coded) || coded.Code() != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "operator unseal") {
		t.Errorf("a sealed server answers %v", err)
	}
}

func TestASealedServerDoesNothingAndAnUnsealedOneGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		issue(t, s, coretest.Root, map[string]any{"ttl": "60s"})
		issue(t, s, coretest.Root, map[string]any{"ttl": "10h"})
		s.Must(t, coretest.Root, update, "sys/seal", nil)
		refused(t, lookup(t, s.Sealed))
		synctest.Wait()
		if status := s.Sealed.Status(); !status.Sealed || !status.Initialized || status.ClusterID != "" {
			t.Fatalf("status %+v", status)
		}
		ticks := s.Engine.Ticks()
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.Engine.Live() != 2 || s.Engine.Ticks() != ticks {
			t.Fatalf("sealed, but %d credentials live and the engine ticked %d times", s.Engine.Live(), s.Engine.Ticks()-ticks)
		}

		if err := s.Sealed.Unseal(t.Context(), s.Store.Share); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := lookup(t, s.Sealed); err != nil {
			t.Fatal(err)
		}
		if s.Engine.Live() != 1 {
			t.Errorf("%d credentials live; the one that ended while sealed is to be revoked", s.Engine.Live())
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if s.Engine.Live() != 0 {
			t.Errorf("%d credentials live after their TTL", s.Engine.Live())
		}
	})
}

func TestSealingLetsRequestsUnderWayEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		issuing, goOn := make(chan struct{}), make(chan struct{})
		s.Engine.OnIssue = func() { close(issuing); <-goOn }
		var answer *logical.Response
		var answerErr error
		var request sync.WaitGroup
		request.Go(func() {
			answer, answerErr = s.Sealed.Handle(t.Context(), &logical.Request{Operation: read, Path: "fake/creds/app", ClientToken: coretest.Root})
		})
		<-issuing
		if err := s.Sealed.Seal(); err != nil {
			t.Fatal(err)
		}
		refused(t, lookup(t, s.Sealed))
		if err := s.Sealed.Unseal(t.Context(), s.Store.Share); !errors.Is(err, seal.ErrSealed) || !strings.Contains(err.Error(), "try again") {
			t.Errorf("unsealing while requests end: %v", err)
		}
		if err := s.Sealed.Seal(); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("sealing twice: %v", err)
		}
		close(goOn)
		request.Wait()
		synctest.Wait()
		if answerErr != nil || answer.Secret.LeaseID == "" {
			t.Fatalf("the request under way ended with %v", answerErr)
		}
		if err := s.Sealed.Unseal(t.Context(), s.Store.Share); err != nil {
			t.Fatal(err)
		}
		c, err := s.Sealed.Core()
		if err != nil {
			t.Fatal(err)
		}
		s.Core = c
		if _, err := renew(t, s, answer.Secret.LeaseID, "60s"); err != nil {
			t.Errorf("its lease is not on record: %v", err)
		}
	})
}

func TestKeysRotateUnderAToken(t *testing.T) {
	s := coretest.Start(t, nil)
	plain := newToken(t, s, coretest.Root, map[string]any{"policies": "default"})
	for _, path := range []string{"sys/rotate", "sys/seal"} {
		if _, err := s.Do(t, plain, update, path, nil); !errors.Is(err, logical.ErrPermissionDenied) {
			t.Errorf("%s without sudo: %v", path, err)
		}
	}
	s.Must(t, coretest.Root, update, "sys/rotate", nil)
	if data := s.Must(t, coretest.Root, read, "sys/key-status", nil).Data; data["term"] != 2 {
		t.Errorf("key status %v", data)
	}
}

func TestADamagedStoreIsNotServed(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Stop()
	const key = "core/policy/default"
	if err := s.Store.Put(t.Context(), key, []byte("broken")); err != nil {
		t.Fatal(err)
	}
	again := core.NewServer(core.Config{Logger: hclog.NewNullLogger()}, seal.New(seal.Settings{Store: s.Store}))
	err := again.Unseal(t.Context(), s.Store.Share)
	if !errors.Is(err, seal.ErrDamaged) || !strings.Contains(err.Error(), key) {
		t.Errorf("unsealed with %v", err)
	}
	if !again.Status().Sealed || again.Status().Seal.Progress != 0 {
		t.Errorf("status %+v", again.Status())
	}
}

// keyFile is a seal that needs no shares, and can be out of reach.
type keyFile struct{ down atomic.Bool }

func (k *keyFile) Wrap(ctx context.Context, key []byte) ([]byte, error) { return k.Unwrap(ctx, key) }

func (k *keyFile) Unwrap(_ context.Context, key []byte) ([]byte, error) {
	if k.down.Load() {
		return nil, errors.New("out of reach")
	}
	turned := make([]byte, len(key))
	for i, b := range key {
		turned[i] = ^b
	}
	return turned, nil
}

func TestAServerThatUnsealsItselfTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, guard := inmem.New(), &keyFile{}
		first := guarded(below, guard)
		if _, err := first.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}, ""); err != nil {
			t.Fatal(err)
		}
		first.Close(t.Context())

		guard.down.Store(true)
		s := guarded(below, guard)
		if err := s.Open(t.Context()); err != nil || !s.Status().Sealed {
			t.Fatalf("out of reach: %v, %+v", err, s.Status())
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		guard.down.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s.Status().Sealed {
			t.Fatal("in reach again, but sealed")
		}
		if err := s.Seal(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !s.Status().Sealed {
			t.Error("sealed by hand, but it unsealed itself")
		}
		stop()
		running.Wait()
		s.Close(t.Context())
	})
}

func guarded(below store.Store, guard seal.Wrapper) *core.Server {
	return core.NewServer(core.Config{Logger: hclog.NewNullLogger()}, seal.New(seal.Settings{Store: below, Type: "static", Wrapper: guard}))
}
