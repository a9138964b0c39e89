package wrap

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/core/token"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

type noLeases struct{}

func (noLeases) RevokeToken(context.Context, string, bool) error { return nil }

// open returns a store as a start of the server makes it, and keeps time.
func open(t *testing.T, storage logical.Storage) (*Store, *token.Store) {
	t.Helper()
	queue := expiry.New()
	tokens := token.New(token.Config{Storage: storage, Queue: queue, Leases: noLeases{}, Logger: hclog.NewNullLogger()})
	if err := tokens.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = queue.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return NewStore(tokens, "response-wrapping"), tokens
}

func TestAWrappedAnswerOutlivesARestartButNotItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := store.View(inmem.New(), "")
		s, _ := open(t, storage)
		answer := Answer{Body: []byte(`{"data":"x"}`), Path: "db/creds/app", Accessor: "acc"}
		kept, err := s.Wrap(t.Context(), answer, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		late, err := s.Wrap(t.Context(), answer, time.Minute)
		if err != nil {
			t.Fatal(err)
		}

		s, tokens := open(t, storage)
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := s.Unwrap(t.Context(), late.Token); !errors.Is(err, ErrInvalid) {
			t.Errorf("after its time: %v", err)
		}
		if records, _ := storage.List(t.Context(), "id/"); len(records) != 1 || len(tokens.Accessors()) != 1 {
			t.Errorf("%d records, %d tokens; want what is expired cleared away", len(records), len(tokens.Accessors()))
		}
		if found, err := s.Lookup(kept.Token); err != nil || found.CreationPath != "db/creds/app" || found.TTL != time.Hour {
			t.Errorf("lookup after the restart: %+v, %v", found, err)
		}
		again, err := s.Rewrap(t.Context(), kept.Token)
		if err != nil || again.WrappedAccessor != "acc" || again.CreationPath != "db/creds/app" {
			t.Fatalf("rewrapped: %+v, %v", again, err)
		}
		if body, err := s.Unwrap(t.Context(), again.Token); err != nil || string(body) != `{"data":"x"}` {
			t.Errorf("unwrapped: %s, %v", body, err)
		}
	})
}

func TestARevokedWrappingTokenTakesItsAnswerWithIt(t *testing.T) {
	s, tokens := open(t, store.View(inmem.New(), ""))
	info, err := s.Wrap(t.Context(), Answer{Body: []byte("{}")}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	found, err := tokens.ByAccessor(info.Accessor)
	if err != nil {
		t.Fatal(err)
	}
	if err := tokens.Revoke(t.Context(), found.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(info.Token); !errors.Is(err, ErrInvalid) {
		t.Fatalf("still there: %v", err)
	}
}
