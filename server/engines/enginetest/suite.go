package enginetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Suite is the conformance suite: what a credential has to go through, whatever
// the system behind the engine.
type Suite struct {
	Factory logical.Factory
	Setup   []Write // configuration and role, in this order
	Creds   string  // the path to read credentials from

	// Login uses what an issued credential's data says. It must return an error
	// if, and only if, the target refuses the credential.
	Login func(ctx context.Context, data map[string]any) (Session, error)

	// Proxy, if set, is how the engine reaches the target. Run then also takes
	// the target down.
	Proxy *Proxy
	// Users, if set, names the users on the target now. Run then also checks that
	// an outage leaves none behind.
	Users func(t testing.TB) []string
}

// Write is a path and what to write there.
type Write struct {
	Path string
	Data map[string]any
}

// Session is a client logged in with an issued credential.
type Session interface {
	// Allowed does what the role permits. It must fail once the credential is
	// revoked, also on a session that was open before.
	Allowed(ctx context.Context) error
	// Forbidden attempts what the role does not permit: it returns nil if the
	// target let it through.
	Forbidden(ctx context.Context) error
	Close()
}

const (
	atOnce = 50 // credentials issued together
	// patience bounds how long a target may take to end a session it was told
	// to end.
	patience = 30 * time.Second
)

// Run takes one credential through its life, then issues many at once, then
// takes the target down.
func (s Suite) Run(t *testing.T) {
	mount := NewMount(t, s.Factory)
	for _, write := range s.Setup {
		mount.MustWrite(t, write.Path, write.Data)
	}
	t.Run("a credential works until it is revoked", func(t *testing.T) { s.life(t, mount) })
	t.Run("many at once are distinct and all end", func(t *testing.T) { s.many(t, mount) })
	if s.Proxy != nil {
		s.outages(t, mount)
	}
}

func (s Suite) life(t *testing.T, mount *Mount) {
	ctx := t.Context()
	lease := mount.MustIssue(t, s.Creds)
	session, err := s.Login(ctx, lease.Data)
	if err != nil {
		t.Fatalf("logging in with a new credential: %v", err)
	}
	defer session.Close()
	if err := session.Allowed(ctx); err != nil {
		t.Errorf("doing what the role allows: %v", err)
	}
	if err := session.Forbidden(ctx); err == nil {
		t.Error("the credential may do what the role forbids")
	}
	if lease.Secret.Renewable {
		if _, err := mount.Renew(ctx, lease, 2*time.Hour); err != nil {
			t.Errorf("renewing: %v", err)
		}
		if err := session.Allowed(ctx); err != nil {
			t.Errorf("doing what the role allows after a renewal: %v", err)
		}
	}
	if err := mount.Revoke(ctx, lease); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	s.checkEnded(t, lease, session)
	if err := mount.Revoke(ctx, lease); err != nil {
		t.Errorf("revoking again: %v", err)
	}
}

// checkEnded expects the login to be refused at once and the open session to end
// soon.
func (s Suite) checkEnded(t *testing.T, lease *Lease, session Session) {
	t.Helper()
	if again, err := s.Login(t.Context(), lease.Data); err == nil {
		again.Close()
		t.Error("a revoked credential still logs in")
	}
	deadline := time.Now().Add(patience)
	for session.Allowed(t.Context()) == nil {
		if time.Now().After(deadline) {
			t.Error("a session outlived its credential")
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s Suite) many(t *testing.T, mount *Mount) {
	leases := make([]*Lease, atOnce)
	each(t, func(i int) error {
		var err error
		leases[i], err = mount.Issue(t.Context(), s.Creds)
		return err
	})
	if t.Failed() {
		return
	}
	checkDistinct(t, leases)
	each(t, func(i int) error {
		session, err := s.Login(t.Context(), leases[i].Data)
		if err != nil {
			return err
		}
		defer session.Close()
		return session.Allowed(t.Context())
	})
	each(t, func(i int) error { return mount.Revoke(t.Context(), leases[i]) })
	each(t, func(i int) error {
		session, err := s.Login(t.Context(), leases[i].Data)
		if err == nil {
			session.Close()
			return errors.New("a revoked credential still logs in")
		}
		return nil
	})
}

// checkDistinct expects no part of a credential that is its own to be another's too.
func checkDistinct(t *testing.T, leases []*Lease) {
	t.Helper()
	for _, field := range []string{"username", "password", "private_key", "id", "api_key"} {
		owners := map[any]int{}
		for i, lease := range leases {
			value, has := lease.Data[field]
			if other, taken := owners[value]; has && taken {
				t.Errorf("credentials %d and %d have the same %s", other+1, i+1, field)
			}
			owners[value] = i
		}
	}
}

// each runs one task for every credential, all at the same time.
func each(t *testing.T, task func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	for i := range atOnce {
		group.Go(func() {
			if err := task(i); err != nil {
				t.Errorf("credential %d of %d: %v", i+1, atOnce, err)
			}
		})
	}
	group.Wait()
}
