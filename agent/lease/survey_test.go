package lease

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// releases notes before which epoch tokens were released last.
func (r *rig) releases() *atomic.Uint64 {
	var last atomic.Uint64
	r.manager.cfg.Released = func(before uint64) { last.Store(before) }
	return &last
}

func TestATokenIsReleasedWhenTheLastLeaseThatItIssuedIsGone(t *testing.T) {
	run(t, renewable, func(r *rig) {
		released := r.releases()
		r.useToken(r.server.Token(vaulttest.Token{TTL: time.Hour}), 2, time.Time{})
		r.want(creds)
		r.publish()
		r.at(10 * time.Second)
		r.expect("released before", int(released.Load()), 2)
		r.useToken(vaulttest.RootToken, 3, r.start.Add(time.Hour))
		r.at(49 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("released before the successor is in use", int(released.Load()), 2)
		r.publish()
		r.at(60 * time.Second)
		r.expect("released within the overlap", int(released.Load()), 2)
		r.at(72 * time.Second)
		r.expect("live leases", len(r.server.Live()), 1)
		r.expect("released after the overlap", int(released.Load()), 3)
	})
}

func TestATokenIsNotReleasedWhileARequestIsOnItsWayWithIt(t *testing.T) {
	run(t, renewable, func(r *rig) {
		released := r.releases()
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Latency: 20 * time.Second, Times: 1})
		r.useToken(r.server.Token(vaulttest.Token{TTL: time.Hour}), 2, time.Time{})
		r.want(creds)
		r.at(time.Second)
		r.useToken(vaulttest.RootToken, 3, r.start.Add(time.Hour))
		r.at(15 * time.Second)
		r.expect("released while nothing is held", int(released.Load()), 2)
		r.at(25 * time.Second)
		r.expect("released with a lease of the old token", int(released.Load()), 2)
	})
}

func TestWithNothingHeldAReplacedTokenIsReleasedSoon(t *testing.T) {
	run(t, renewable, func(r *rig) {
		released := r.releases()
		r.useToken(vaulttest.RootToken, 2, time.Time{})
		r.at(6 * time.Second)
		r.expect("released before", int(released.Load()), 2)
	})
}

func TestWhatDiesWithItsToken(t *testing.T) {
	now := time.Now()
	leased := func(c credential) credential {
		c.secret = &vault.Secret{LeaseID: "a/b/c"}
		return c
	}
	read, write := vault.Want{Method: http.MethodGet}, vault.Want{Method: http.MethodPut}
	tests := []struct {
		name string
		want vault.Want
		held credential
		dies bool
	}{
		{"a lease", read, leased(credential{granted: now, ttl: time.Minute, end: vault.Lease}), true},
		{"a lease that is over", read, leased(credential{granted: now.Add(-time.Hour), ttl: time.Minute, end: vault.Lease}), false},
		{"a lease that the server has lost", read, leased(credential{granted: now, ttl: time.Minute, end: vault.Lease, gone: true}), false},
		{"a lease that does not end", read, leased(credential{}), true},
		{"a secret that is only read", read, credential{secret: &vault.Secret{}}, false},
		{"what may be a token", write, credential{secret: &vault.Secret{}}, true},
		{"a certificate", write, credential{secret: &vault.Secret{}, granted: now, ttl: time.Hour, end: vault.Expiry}, false},
	}
	for _, test := range tests {
		if dies := test.held.diesWithToken(test.want, now); dies != test.dies {
			t.Errorf("%s dies with its token: %t, want %t", test.name, dies, test.dies)
		}
	}
}
