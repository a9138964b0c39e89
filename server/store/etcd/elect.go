package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/novatech/securevault/server/store"
)

const resignTimeout = 5 * time.Second

// Each server that wants to be active puts a key that lives as long as it
// renews an etcd lease; the oldest key is that of the active server. The keys
// hold what Nodes returns.

// Elect implements store.Elector.
func (s *Store) Elect(ctx context.Context, self store.Node) (store.Term, error) {
	about, err := json.Marshal(self)
	if err != nil {
		return nil, fmt.Errorf("describing this node: %w", err)
	}
	began := time.Now()
	// The lease of the session has to outlive ctx.
	lease, err := s.client.Grant(ctx, int64(s.life/time.Second))
	if err != nil {
		return nil, fmt.Errorf("asking etcd for a lease: %w", err)
	}
	session, err := concurrency.NewSession(s.client, concurrency.WithLease(lease.ID))
	if err != nil {
		return nil, fmt.Errorf("beginning a session with etcd: %w", err)
	}
	election := concurrency.NewElection(session, s.election)
	if err := election.Campaign(ctx, string(about)); err != nil {
		s.give(ctx, session)
		return nil, fmt.Errorf("waiting to be active: %w", err)
	}
	t := &term{store: s, session: session, key: election.Key(), revision: election.Rev(), lost: make(chan struct{})}
	t.renewed.Store(&began)
	s.term.Store(t)
	if err := t.confirm(ctx); err != nil { // winning may have taken long
		s.give(ctx, session)
		return nil, fmt.Errorf("beginning to be active: %w", err)
	}
	go t.keep()
	return t, nil
}

// give ends a session at once rather than when its lease runs out.
func (s *Store) give(ctx context.Context, session *concurrency.Session) {
	session.Orphan()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTimeout)
	defer cancel()
	_, _ = s.client.Revoke(ctx, session.Lease()) // else it runs out
}

// term is the time in which this server is active.
type term struct {
	store    *Store
	session  *concurrency.Session
	key      string // of the candidacy that won
	revision int64  // at which it was created
	renewed  atomic.Pointer[time.Time]
	lost     chan struct{}
	losing   sync.Once
}

// Lost implements store.Term.
func (t *term) Lost() <-chan struct{} { return t.lost }

// Valid implements store.Term.
func (t *term) Valid() bool {
	select {
	case <-t.lost:
		return false
	default:
		return time.Since(*t.renewed.Load()) < t.store.life
	}
}

// lose ends the term for this server.
func (t *term) lose() {
	t.losing.Do(func() {
		t.store.term.CompareAndSwap(t, nil)
		close(t.lost)
	})
}

// keep watches the term until it is lost. The session renews the lease; here it
// is seen whether that works.
func (t *term) keep() {
	defer t.lose()
	defer t.session.Orphan()
	tick := time.NewTicker(t.store.life / 4)
	defer tick.Stop()
	for {
		select {
		case <-t.lost:
			return
		case <-t.session.Done():
			return
		case <-tick.C:
		}
		if err := t.confirm(context.Background()); err != nil && !t.Valid() {
			return
		}
	}
}

// confirm asks etcd whether the candidacy stands, and notes until when that is
// sure: its lease is renewed by the question.
func (t *term) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.store.life/2)
	defer cancel()
	began := time.Now()
	if _, err := t.store.client.KeepAliveOnce(ctx, t.session.Lease()); err != nil {
		return err
	}
	stands, err := t.store.client.Get(ctx, t.key, clientv3.WithCountOnly(), clientv3.WithMinCreateRev(t.revision), clientv3.WithMaxCreateRev(t.revision))
	if err != nil {
		return err
	}
	if stands.Count == 0 {
		t.lose()
		return store.ErrNotActive
	}
	t.renewed.Store(&began)
	return nil
}

// Resign implements store.Term.
func (t *term) Resign(ctx context.Context) error {
	t.lose()
	ctx, cancel := context.WithTimeout(ctx, resignTimeout)
	defer cancel()
	if _, err := t.store.client.Revoke(ctx, t.session.Lease()); err != nil {
		return fmt.Errorf("resigning: %w", err)
	}
	return nil
}

// Nodes implements store.Elector. Whoever is shown gave a sign of life within
// the life of a term; etcd does not tell when.
func (s *Store) Nodes(ctx context.Context) ([]store.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	found, err := s.client.Get(ctx, s.election+"/", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return nil, fmt.Errorf("reading who is active: %w", err)
	}
	nodes := make([]store.Node, len(found.Kvs))
	for i, kv := range found.Kvs {
		if err := json.Unmarshal(kv.Value, &nodes[i]); err != nil {
			return nil, fmt.Errorf("reading who is active: %w", err)
		}
		nodes[i].Active, nodes[i].Seen = i == 0, time.Now()
	}
	return nodes, nil
}
