package enginetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// downLimit bounds how long an engine may try to reach a target that is down.
	downLimit = 12 * time.Second
	// underWay is how many credentials are about to be issued when the target goes.
	underWay = 12
)

// outages takes the target down in every part of a credential's life. The
// credentials' own logins do not pass through the proxy, or not while it is cut.
func (s Suite) outages(t *testing.T, mount *Mount) {
	t.Run("nothing is issued while the target is down", func(t *testing.T) { s.downBeforeIssue(t, mount) })
	t.Run("a target that goes down in the middle keeps nothing", func(t *testing.T) { s.downAmidIssue(t, mount) })
	t.Run("a credential outlives a failed renewal", func(t *testing.T) { s.downAtRenewal(t, mount) })
	t.Run("a revocation that failed succeeds later", func(t *testing.T) { s.downAtRevocation(t, mount) })
}

func (s Suite) downBeforeIssue(t *testing.T, mount *Mount) {
	before := s.users(t)
	s.whileDown(t, func() {
		if _, err := mount.Issue(t.Context(), s.Creds); err == nil {
			t.Error("a credential was issued by a target that is down")
		}
	})
	s.checkUsers(t, mount, before)
	s.end(t, mount, s.issueAgain(t, mount))
}

// downAmidIssue cuts the connections under requests that have got a different
// way each. Their outcome is open; but what failed must not leave a user, once
// the core has ended what the engine said that it was about to make.
func (s Suite) downAmidIssue(t *testing.T, mount *Mount) {
	before := s.users(t)
	issued := make(chan *Lease, underWay)
	var requests sync.WaitGroup
	for range underWay {
		requests.Go(func() {
			if lease, err := mount.Issue(t.Context(), s.Creds); err == nil {
				s.Proxy.Cut()
				issued <- lease
			}
		})
	}
	requests.Wait()
	s.Proxy.Restore()
	if len(issued) == 0 {
		t.Error("not even one credential was issued before the target went down")
	}
	for range len(issued) {
		s.end(t, mount, <-issued)
	}
	s.checkUsers(t, mount, before)
}

// downAtRenewal does not insist that the renewal fails: not every target knows
// of a credential's end.
func (s Suite) downAtRenewal(t *testing.T, mount *Mount) {
	lease := mount.MustIssue(t, s.Creds)
	if lease.Secret.Renewable {
		s.whileDown(t, func() { _, _ = mount.Renew(t.Context(), lease, 2*time.Hour) })
		s.eventually(t, "renewing once the target is back", func(ctx context.Context) error {
			_, err := mount.Renew(ctx, lease, 3*time.Hour)
			return err
		})
	}
	s.end(t, mount, lease)
}

func (s Suite) downAtRevocation(t *testing.T, mount *Mount) {
	lease := mount.MustIssue(t, s.Creds)
	s.whileDown(t, func() {
		if err := mount.Revoke(t.Context(), lease); err == nil {
			t.Error("a credential was revoked on a target that is down")
		}
	})
	s.end(t, mount, lease)
}

// whileDown does something on a target that is down, for which it has limited
// time.
func (s Suite) whileDown(t *testing.T, do func()) {
	t.Helper()
	s.Proxy.Cut()
	defer s.Proxy.Restore()
	begun := time.Now()
	do()
	if took := time.Since(begun); took > downLimit {
		t.Errorf("it took %s to give up, want %s at most", took.Round(time.Millisecond), downLimit)
	}
}

func (s Suite) issueAgain(t *testing.T, mount *Mount) (lease *Lease) {
	t.Helper()
	s.eventually(t, "issuing once the target is back", func(ctx context.Context) (err error) {
		lease, err = mount.Issue(ctx, s.Creds)
		return err
	})
	return lease
}

// end expects a credential to work until it is revoked.
func (s Suite) end(t *testing.T, mount *Mount, lease *Lease) {
	t.Helper()
	session, err := s.Login(t.Context(), lease.Data)
	if err != nil {
		t.Fatalf("logging in after the outage: %v", err)
	}
	defer session.Close()
	if err := session.Allowed(t.Context()); err != nil {
		t.Errorf("doing what the role allows after the outage: %v", err)
	}
	s.eventually(t, "revoking once the target is back", func(ctx context.Context) error { return mount.Revoke(ctx, lease) })
	s.checkEnded(t, lease, session)
}

// eventually repeats what may meet a connection that broke in the outage.
func (s Suite) eventually(t *testing.T, what string, do func(context.Context) error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := do(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s Suite) users(t *testing.T) []string {
	t.Helper()
	if s.Users == nil {
		return nil
	}
	users := slices.Clone(s.Users(t))
	slices.Sort(users)
	return users
}

// checkUsers expects those of before on the target, after the core has undone
// what failed.
func (s Suite) checkUsers(t *testing.T, mount *Mount, before []string) {
	t.Helper()
	s.eventually(t, "undoing what failed once the target is back", mount.Undo)
	if after := s.users(t); !slices.Equal(after, before) {
		t.Errorf("the target has the users %q, want %q as before", after, before)
	}
}
