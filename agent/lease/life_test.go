package lease

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// authority issues certificates, and reads an account that it rotates every
// ten minutes. It has no lease for either.
type authority struct {
	life                   time.Duration
	issued, reads, revoked atomic.Int64

	mu  sync.Mutex
	err error
}

func (a *authority) Fetch(_ context.Context, _ vault.Token, w vault.Want) (*vault.Secret, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return nil, a.err
	case w.Method == "GET":
		const period = 10 * time.Minute
		a.reads.Add(1)
		passed := time.Since(rotations)
		left := period - passed%period
		return &vault.Secret{Data: map[string]any{
			"password": (passed / period).String(), "rotation_period": json.Number("600"),
			"ttl": json.Number(big.NewInt(int64(left.Seconds())).String()),
		}}, nil
	default:
		return &vault.Secret{Data: map[string]any{"certificate": certificate(a.issued.Add(1), a.life)}}, nil
	}
}

func (*authority) Renew(context.Context, vault.Token, string, time.Duration) (*vault.Secret, error) {
	return nil, errors.New("there is no lease to renew")
}

func (a *authority) Revoke(context.Context, vault.Token, string) error {
	a.revoked.Add(1)
	return nil
}

// refuse has every request end with an error, nil for none.
func (a *authority) refuse(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// rotations is when the time begins within a synctest bubble.
var rotations = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// certificate returns one that is valid for life, and has been for 30 s.
func certificate(serial int64, life time.Duration) string {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-30 * time.Second), NotAfter: time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// keep runs a manager of its own for one want, until stop.
func keep(t *testing.T, cfg Config, w vault.Want) (m *Manager, stop func()) {
	t.Helper()
	m = manager(t, cfg)
	m.Want(map[vault.Want]schedule.Policy{w: {Jitter: -1}})
	m.SetToken(vault.Token{Value: "t", Epoch: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	synctest.Wait()
	return m, func() {
		cancel()
		<-done
	}
}

func write(t *testing.T, path string) vault.Want {
	t.Helper()
	w, err := vault.WriteWant(path, map[string]any{"common_name": "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestACertificateIsIssuedOncePerLifeAndNeverRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &authority{life: 10 * time.Hour}, write(t, "pki/issue/web")
		m, stop := keep(t, Config{Server: server}, w)
		defer stop()
		if ends := m.Snapshot().Item(w).Ends; !ends.Equal(time.Now().Add(10 * time.Hour)) {
			t.Errorf("it ends at %s", ends)
		}
		m.SetToken(vault.Token{Value: "t", Epoch: 2})
		pass(5*time.Hour - time.Second)
		if server.issued.Load() != 1 {
			t.Fatalf("issued %d before half of its life has passed, want 1", server.issued.Load())
		}
		pass(2 * time.Second)
		m.Published(map[vault.Want]uint64{w: m.Snapshot().Item(w).Version})
		pass(4 * time.Hour)
		if server.issued.Load() != 2 {
			t.Errorf("issued %d within the second life, want 2", server.issued.Load())
		}
		if err := m.Revoke(t.Context()); err != nil || server.revoked.Load() != 0 {
			t.Errorf("revoked %d, %v", server.revoked.Load(), err)
		}
	})
}

func TestARefusedSuccessorOfACertificateLeavesTheOldOneInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &authority{life: time.Hour}, write(t, "pki/issue/web")
		m, stop := keep(t, Config{Server: server}, w)
		defer stop()
		server.refuse(&vault.Error{Op: "writing", Path: w.Path, Status: 403, Kind: vault.Refused})
		pass(45 * time.Minute)
		item := m.Snapshot().Item(w)
		if item.Secret == nil || item.Err == nil || item.Version != 1 {
			t.Fatalf("got %+v", item)
		}
		if requested := m.Stats().Requested; requested > 25 {
			t.Errorf("%d requests in 15 minutes of refusals", requested)
		}
		server.refuse(nil)
		pass(2 * time.Minute)
		if server.issued.Load() != 2 {
			t.Errorf("issued %d after the server gave in, want 2", server.issued.Load())
		}
	})
}

func TestACertificateOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &authority{life: 10 * time.Hour}, write(t, "pki/issue/web")
		cfg := state.Config{Path: filepath.Join(t.TempDir(), "state"), Getenv: func(string) string { return "" }}
		for range 3 {
			journal, _, err := state.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			m, stop := keep(t, Config{Server: server, Journal: journal}, w)
			if m.Snapshot().Item(w).Secret == nil {
				t.Error("there is no certificate after the restart")
			}
			pass(time.Hour)
			stop()
			if err := journal.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if server.issued.Load() != 1 {
			t.Errorf("issued %d over three starts, want 1", server.issued.Load())
		}
	})
}

func TestAnEarlierRunThatTheAppWasNotToldByIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &authority{life: 10 * time.Hour}, write(t, "pki/issue/web")
		cfg := state.Config{Path: filepath.Join(t.TempDir(), "state"), Getenv: func(string) string { return "" }}
		for start, tell := range []bool{false, true, false} {
			journal, _, err := state.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			m, stop := keep(t, Config{Server: server, Journal: journal}, w)
			item := m.Snapshot().Item(w)
			if want := start == 1; item.Untold != want {
				t.Errorf("start %d: untold is %t, want %t", start, item.Untold, want)
			}
			if tell {
				m.Published(map[vault.Want]uint64{w: item.Version})
				if m.Snapshot().Item(w).Untold {
					t.Errorf("start %d: it is untold after the app was told", start)
				}
			}
			stop()
			if err := journal.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAnAccountThatTheServerRotatesIsReadWhenItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &authority{}, want(t, "database/static-creds/app")
		m, stop := keep(t, Config{Server: server}, w)
		defer stop()
		m.Want(map[vault.Want]schedule.Policy{w: {Jitter: -1, Static: -1}})
		first := m.Snapshot().Item(w)
		pass(10*time.Minute + 2*time.Second)
		second := m.Snapshot().Item(w)
		if server.reads.Load() != 2 || second.Version != 2 || second.Secret.Data["password"] == first.Secret.Data["password"] {
			t.Errorf("%d reads, version %d, %v after %v", server.reads.Load(), second.Version, second.Secret.Data, first.Secret.Data)
		}
		if !second.Ends.IsZero() {
			t.Errorf("it ends at %s, although it works until it is rotated", second.Ends)
		}
	})
}

func TestATTLThatRunsDownIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &authority{}, want(t, "database/static-creds/app")
		m, stop := keep(t, Config{Server: server}, w)
		defer stop()
		pass(6 * time.Minute)
		if item := m.Snapshot().Item(w); server.reads.Load() != 2 || item.Version != 1 {
			t.Errorf("%d reads, version %d; want 2 and 1", server.reads.Load(), item.Version)
		}
	})
}

func TestARenewalThatGivesNothingDoesNotMakeALeaseEndless(t *testing.T) {
	c := &credential{secret: &vault.Secret{LeaseID: "l"}, ttl: time.Minute, full: time.Minute}
	c.extend(&vault.Secret{}, time.Now())
	if !c.leased() || c.ends().After(time.Now().Add(time.Second)) {
		t.Errorf("leased = %t, ends in %s", c.leased(), time.Until(c.ends()))
	}
}
