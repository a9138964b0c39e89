package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

const creds = "database/creds/app"

// rig is a manager at work on a fake server, inside a synctest bubble. Its
// policy has no jitter: with a TTL of 100 s a lease is renewed after 50 s and
// replaced 22.5 s before its end; its overlap is 15 s.
type rig struct {
	*testing.T
	server  *vaulttest.Server
	manager *Manager
	logs    *logged.ObservedLogs
	stop    context.CancelFunc
	start   time.Time
}

// run starts a rig with one role and a root token, and calls test in it.
func run(t *testing.T, role vaulttest.Role, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New()
		server.Role(creds, role)
		log, logs := logged.New(zap.InfoLevel)
		r := &rig{T: t, server: server, logs: logs, start: time.Now()}
		r.manager = manager(t, Config{Server: server.Client(t), Log: zap.New(log)})
		ctx, cancel := context.WithCancel(t.Context())
		r.stop = cancel
		done := make(chan error, 1)
		go func() { done <- r.manager.Run(ctx) }()
		r.useToken(vaulttest.RootToken, 1, time.Time{})
		defer func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v, want %v", err, context.Canceled)
			}
		}()
		test(r)
	})
}

func manager(t *testing.T, cfg Config) *Manager {
	t.Helper()
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func want(t *testing.T, path string) vault.Want {
	t.Helper()
	w, err := vault.ReadWant(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (r *rig) useToken(id string, epoch uint64, previousEnds time.Time) {
	r.manager.SetToken(vault.Token{Value: vault.Sensitive(id), Epoch: epoch, PreviousEnds: previousEnds})
}

func (r *rig) want(paths ...string) {
	wants := make(map[vault.Want]schedule.Policy)
	for _, path := range paths {
		wants[want(r.T, path)] = schedule.Policy{Jitter: -1}
	}
	r.manager.Want(wants)
	synctest.Wait()
}

// at lets the time pass until the given offset from the start.
func (r *rig) at(offset time.Duration) {
	time.Sleep(time.Until(r.start.Add(offset)))
	synctest.Wait()
}

// publish does what the agent does once files are written and the app told.
func (r *rig) publish() {
	w := want(r.T, creds)
	r.manager.Published(map[vault.Want]uint64{w: r.manager.Snapshot().Item(w).Version})
	synctest.Wait()
}

func (r *rig) expect(what string, got, want int) {
	r.Helper()
	if got != want {
		r.Errorf("at +%s: %s = %d, want %d", time.Since(r.start), what, got, want)
	}
}

var renewable = vaulttest.Role{TTL: 100 * time.Second, MaxTTL: time.Hour}

func TestEqualWantsShareOneLease(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.want(creds)
		r.want(creds) // another pass over the templates
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("requests", r.server.Requests(), 1)
		if _, ok := r.manager.Snapshot().Lookup(want(t, creds)); !ok {
			t.Error("the snapshot has no secret")
		}
	})
}

func TestRenewsAtHalfOfTheTTL(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.want(creds)
		r.publish()
		r.at(49 * time.Second)
		r.expect("renewals", r.server.Count(vaulttest.Renew), 0)
		r.at(51 * time.Second)
		r.expect("renewals", r.server.Count(vaulttest.Renew), 1)
		r.at(30 * time.Minute)
		r.expect("renewals", r.server.Count(vaulttest.Renew), 36)
		r.expect("credentials", r.server.Issued(creds), 1)
	})
}

// Reference, section 2, row 22.
// Reference, section 3, row 1.
func TestRotatesBeforeMaxTTLAndRevokesTheOldLeaseOnlyAfterPublication(t *testing.T) {
	run(t, vaulttest.Role{TTL: 100 * time.Second, MaxTTL: 250 * time.Second}, func(r *rig) {
		r.want(creds)
		r.publish()
		r.at(220 * time.Second) // the renewal at 150 s reached 250 s, the one at 200 s no further
		r.expect("credentials before the successor is due", r.server.Issued(creds), 1)
		r.at(230 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("revocations before publication", r.server.Count(vaulttest.Revoke), 0)
		r.expect("live leases", len(r.server.Live()), 2)
		r.publish()
		r.at(244 * time.Second)
		r.expect("revocations within the overlap", r.server.Count(vaulttest.Revoke), 0)
		r.at(246 * time.Second)
		r.expect("revocations after the overlap", r.server.Count(vaulttest.Revoke), 1)
		live := r.server.Live()
		if len(live) != 1 || live[0].ID != creds+"/lease-2" {
			t.Errorf("live leases = %v, want the successor alone", live)
		}
	})
}

func TestAnUnpublishedSuccessorKeepsTheOldLeaseUntilItsOwnEnd(t *testing.T) {
	run(t, vaulttest.Role{TTL: 100 * time.Second, NonRenewable: true}, func(r *rig) {
		r.want(creds)
		r.publish()
		r.at(99 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("live leases", len(r.server.Live()), 2)
		r.expect("revocations", r.server.Count(vaulttest.Revoke), 0)
		r.at(101 * time.Second)
		r.publish()
		r.expect("revocations of what is over", r.server.Count(vaulttest.Revoke), 0)
		r.expect("warnings", r.logs.FilterMessageSnippet("ended before its successor was in use").Len(), 1)
	})
}

// Reference, section 2, row 3.
func TestRefusedRenewalsNeverCauseMoreThanOneSuccessorPerLifetime(t *testing.T) {
	for _, status := range []int{400, 403, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			run(t, vaulttest.Role{TTL: 20 * time.Second, MaxTTL: time.Hour}, func(r *rig) {
				r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: status, Messages: []string{"no"}})
				r.want(creds)
				r.publish()
				r.at(15 * time.Second) // refused at 10 s
				r.expect("credentials before the end draws near", r.server.Issued(creds), 1)
				r.at(20 * time.Second)
				r.expect("credentials in 20 s", r.server.Issued(creds), 2)
				renewals := r.server.Count(vaulttest.Renew)
				if most := map[bool]int{true: 3, false: 1}[status == 500]; renewals < 1 || renewals > most {
					t.Errorf("renewals in 20 s = %d, want at most %d", renewals, most)
				}
				r.at(10 * time.Minute) // each used for 15.5 s, so that the next one is there in time
				if issued := r.server.Issued(creds); issued > 39 {
					t.Errorf("credentials in 30 lifetimes = %d, want at most 39", issued)
				}
			})
		})
	}
}

func TestServerErrorsOnRenewalAreRetriedWithoutANewCredential(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: 500, For: 60 * time.Second})
		r.want(creds)
		r.publish()
		r.at(70 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 1)
		if n := r.server.Count(vaulttest.Renew); n < 3 || n > 6 {
			t.Errorf("renewals in 20 s of errors = %d, want a few", n)
		}
		r.at(30 * time.Minute)
		r.expect("credentials after recovery", r.server.Issued(creds), 1)
	})
}

// Reference, section 2, row 3.
func TestARenewalThatHangsGivesWayToASuccessorBeforeTheEnd(t *testing.T) {
	run(t, vaulttest.Role{TTL: 20 * time.Second, MaxTTL: time.Hour}, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Hang: true})
		r.want(creds)
		r.publish()
		r.at(15 * time.Second)
		r.expect("credentials before the successor is due", r.server.Issued(creds), 1)
		r.at(17 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 2)
		if n := r.server.Count(vaulttest.Renew); n > 3 {
			t.Errorf("renewals = %d, want at most 3", n)
		}
		r.at(61 * time.Second)
		r.expect("credentials in three lifetimes", r.server.Issued(creds), 4)
		r.stop()
		if err := r.manager.Revoke(r.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Reference, section 2, row 3.
func TestALostLeaseIsReplacedAtOnceButNotTwiceInOneLifetime(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: 400, Messages: []string{"lease not found"}})
		r.want(creds)
		r.publish()
		r.at(51 * time.Second)
		r.expect("credentials after the loss", r.server.Issued(creds), 2)
		r.at(99 * time.Second)
		r.expect("credentials within the first lifetime", r.server.Issued(creds), 2)
		r.at(500 * time.Second)
		r.expect("credentials in 5 lifetimes of lost leases", r.server.Issued(creds), 6)
	})
}

// Reference, section 2, row 10.
func TestTheServerDownForLongLeavesTheLastKnownGood(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.want(creds)
		r.publish()
		r.at(10 * time.Second)
		before := r.server.Requests()
		remove := r.server.Inject(vaulttest.Fault{Drop: true})
		r.at(time.Hour)
		if n := r.server.Requests() - before; n > 80 {
			t.Errorf("requests in an hour of outage = %d, want at most about one a minute", n)
		}
		item := r.manager.Snapshot().Item(want(t, creds))
		if item.Secret == nil || item.Err == nil {
			t.Errorf("snapshot = %+v, want the old secret and the failure", item)
		}
		remove()
		r.at(time.Hour + 70*time.Second)
		r.expect("credentials after recovery", r.server.Issued(creds), 2)
		if err := r.manager.Snapshot().Item(want(t, creds)).Err; err != nil {
			t.Errorf("error after recovery = %v", err)
		}
	})
}

// Reference, section 2, row 1.
func TestANewTokenReplacesLeasesWhileTheOldOneLives(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Role("database/creds/*", renewable)
		old := r.server.Token(vaulttest.Token{TTL: 60 * time.Second})
		r.useToken(old, 2, time.Time{})
		var paths []string
		for i := range 50 {
			paths = append(paths, fmt.Sprintf("database/creds/app-%d", i))
		}
		r.want(paths...)
		r.at(30 * time.Second)
		r.useToken(vaulttest.RootToken, 3, r.start.Add(60*time.Second))
		r.at(33 * time.Second)
		if n := r.server.Issued(""); n == 50 || n == 100 {
			t.Errorf("credentials 3 s after the new token = %d, want some replaced, not all at once", n)
		}
		r.at(59 * time.Second)
		r.expect("credentials before the old token ends", r.server.Issued(""), 100)
	})
}

func TestACredentialThatArrivesAfterItsTokenWasReplacedIsReplacedToo(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Latency: 10 * time.Second, Times: 1})
		old := r.server.Token(vaulttest.Token{TTL: 60 * time.Second})
		r.useToken(old, 2, time.Time{})
		r.want(creds)
		r.at(5 * time.Second)
		r.useToken(vaulttest.RootToken, 3, r.start.Add(60*time.Second))
		r.at(59 * time.Second)
		r.expect("credentials before the old token ends", r.server.Issued(creds), 2)
	})
}

func TestADeadTokenIsReportedAndTheNextOneUsedAtOnce(t *testing.T) {
	run(t, renewable, func(r *rig) {
		suspected := make(chan vault.Token, 10)
		r.manager.cfg.Suspect = func(token vault.Token) { suspected <- token }
		mortal := r.server.Token(vaulttest.Token{})
		r.useToken(mortal, 2, time.Time{})
		r.want(creds)
		r.server.EndToken(mortal)
		r.at(51 * time.Second)
		if token := <-suspected; token.Epoch != 2 {
			t.Errorf("suspected epoch = %d, want 2", token.Epoch)
		}
		r.useToken(vaulttest.RootToken, 3, time.Time{})
		synctest.Wait()
		r.expect("credentials", r.server.Issued(creds), 2)
	})
}

func TestNoRequestGoesOutBeforeThereIsAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New()
		manager := manager(t, Config{Server: server.Client(t)})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = manager.Run(ctx) }()
		manager.Want(map[vault.Want]schedule.Policy{want(t, creds): {}})
		time.Sleep(time.Hour)
		if n := server.Requests(); n != 0 {
			t.Errorf("requests = %d, want none", n)
		}
	})
}

// Reference, section 2, row 23.
func TestRequestsInFlightStayWithinTheBudget(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Role("database/creds/*", renewable)
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Latency: 10 * time.Millisecond})
		var paths []string
		for i := range 200 {
			paths = append(paths, fmt.Sprintf("database/creds/app-%d", i))
		}
		r.want(paths...)
		r.at(time.Second)
		r.expect("credentials", r.server.Issued(""), 200)
		r.expect("requests at once", r.server.Peak(), vault.DefaultConnections)
	})
}

func TestAWantThatIsDroppedIsRevokedAfterItsOverlap(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.want(creds)
		r.publish()
		r.want()
		r.at(14 * time.Second)
		r.expect("live leases within the overlap", len(r.server.Live()), 1)
		r.at(16 * time.Second)
		r.expect("live leases after it", len(r.server.Live()), 0)
	})
}

func TestAnAnswerAfterItsWantWasDroppedIsRevoked(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Latency: 5 * time.Second})
		r.want(creds)
		r.want()
		r.at(30 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

func TestShutdownRevokesWhatIsHeldAndWhatIsStillOnItsWay(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Role("database/creds/*", renewable)
		r.want(creds)
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Latency: 2 * time.Second})
		r.want(creds, "database/creds/late")
		r.stop()
		if err := r.manager.Revoke(r.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect("credentials", r.server.Issued(""), 2)
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

func TestShutdownSendsALostRevocationAgain(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.want(creds)
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Revoke, Drop: true, Times: 2})
		r.stop()
		if err := r.manager.Revoke(r.Context()); err != nil {
			t.Error(err)
		}
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

// Reference, section 2, row 4.
func TestShutdownIsBoundedAndSaysWhatIsLeft(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.want(creds)
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Revoke, Hang: true})
		r.stop()
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		err := r.manager.Revoke(ctx)
		if took := time.Since(r.start); took != 5*time.Second {
			t.Errorf("shutdown took %s, want the bound of 5 s", took)
		}
		if err == nil {
			t.Error("no error, though the lease was not revoked")
		}
	})
}

func TestAStaticSecretIsReadAgainAndOnlyAChangeIsHandedOn(t *testing.T) {
	run(t, renewable, func(r *rig) {
		const path = "secret/data/app"
		r.server.Static(path, map[string]any{"key": "one"})
		r.want(path)
		<-r.manager.Changed()
		first := r.manager.Snapshot().Generation
		r.at(11 * time.Minute)
		r.expect("reads in 11 minutes", r.server.Count(vaulttest.Read), 3)
		if got := r.manager.Snapshot().Generation; got != first {
			t.Errorf("generation = %d, want %d: nothing has changed", got, first)
		}
		r.server.Static(path, map[string]any{"key": "two"})
		r.at(16 * time.Minute)
		<-r.manager.Changed()
		if got := r.manager.Snapshot().Generation; got == first {
			t.Error("the change was not handed on")
		}
	})
}

func TestARenewalThatIsNearlyDueJoinsOthersUnderWay(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Role("database/creds/*", renewable)
		wants := make(map[vault.Want]schedule.Policy)
		for i := range 100 {
			wants[want(t, fmt.Sprintf("database/creds/app-%d", i))] = schedule.Policy{}
		}
		r.manager.Want(wants)
		r.at(56 * time.Second)
		wakeups := make(map[time.Duration]bool)
		for _, e := range r.server.History() {
			if e.Op == vaulttest.Renew {
				wakeups[e.At.Sub(r.start)] = true
			}
		}
		r.expect("renewals", r.server.Count(vaulttest.Renew), 100)
		if len(wakeups) > 11 {
			t.Errorf("100 renewals due within 10 s have woken the manager %d times, want about once a second", len(wakeups))
		}
	})
}

func TestJitterSpreadsRenewals(t *testing.T) {
	run(t, renewable, func(r *rig) {
		r.server.Role("database/creds/*", renewable)
		wants := make(map[vault.Want]schedule.Policy)
		for i := range 100 {
			wants[want(t, fmt.Sprintf("database/creds/app-%d", i))] = schedule.Policy{}
		}
		r.manager.Want(wants)
		r.at(44 * time.Second)
		r.expect("renewals before 45 s", r.server.Count(vaulttest.Renew), 0)
		r.at(50 * time.Second)
		if n := r.server.Count(vaulttest.Renew); n < 25 || n > 75 {
			t.Errorf("renewals by 50 s = %d of 100, want about half", n)
		}
		r.at(56 * time.Second)
		r.expect("renewals by 56 s", r.server.Count(vaulttest.Renew), 100)
	})
}
