package schedule

import (
	"testing"
	"time"

	"github.com/novatech/securevault/agent/window"
	"github.com/novatech/securevault/internal/vault"
)

// start is when the lease under test was issued; times below are offsets.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// still is a policy without jitter, so that the table can state exact times.
var still = Policy{Jitter: -1}.WithDefaults()

// lease is a healthy renewable lease of 100 s, issued at start: its overlap
// is 15 s and it is replaced 22.5 s before its end.
func lease(change func(*Facts)) Facts {
	f := Facts{
		Held: true, Leased: true, Renewable: true,
		Issued: start, Granted: start, TTL: 100 * time.Second, Full: 100 * time.Second,
	}
	if change != nil {
		change(&f)
	}
	return f
}

func failed(action Action, class vault.Class, failures int, after time.Duration) func(*Facts) {
	return func(f *Facts) {
		f.Failed, f.Class, f.Failures, f.FailedAt = action, class, failures, start.Add(after)
	}
}

func TestNext(t *testing.T) {
	const now = time.Duration(-1) // due whatever the time
	tests := []struct {
		name   string
		facts  Facts
		action Action
		after  time.Duration
	}{
		{"nothing held is issued at once", Facts{}, Issue, now},
		{"an issue that failed is retried after the floor", Facts{Failed: Issue, Class: vault.Later, Failures: 1, FailedAt: start}, Issue, time.Second},
		{"an issue that keeps failing backs off", Facts{Failed: Issue, Class: vault.Later, Failures: 5, FailedAt: start}, Issue, 16 * time.Second},
		{"a backoff ends at the ceiling", Facts{Failed: Issue, Class: vault.Later, Failures: 99, FailedAt: start}, Issue, time.Minute},
		{"a refused issue is asked for less eagerly", Facts{Failed: Issue, Class: vault.Refused, Failures: 1, FailedAt: start}, Issue, 5 * time.Second},

		{"a lease is renewed at half of its TTL", lease(nil), Renew, 50 * time.Second},
		{"a renewal at full TTL leads to the next renewal", lease(func(f *Facts) { f.Granted = start.Add(50 * time.Second) }), Renew, 100 * time.Second},
		{"a grant that just reaches the next renewal is renewed", lease(func(f *Facts) { f.TTL = 73 * time.Second }), Renew, 50 * time.Second},
		{"a grant that no longer reaches the next renewal is rotated", lease(func(f *Facts) { f.TTL = 72 * time.Second }), Rotate, 49500 * time.Millisecond},
		{"a grant near max TTL is rotated at once when little is left", lease(func(f *Facts) { f.TTL = 10 * time.Second }), Rotate, time.Second},
		{"a lease that cannot be renewed is rotated before its end", lease(func(f *Facts) { f.Renewable = false }), Rotate, 77500 * time.Millisecond},

		{"a renewal that failed for now is retried", lease(failed(Renew, vault.Later, 1, 50*time.Second)), Renew, 51 * time.Second},
		{"a renewal that keeps failing gives way to a successor near the end", lease(failed(Renew, vault.Later, 6, 60*time.Second)), Rotate, 77500 * time.Millisecond},
		{"a successor that failed for now is retried", lease(func(f *Facts) {
			f.Renewable = false
			failed(Rotate, vault.Later, 2, 78*time.Second)(f)
		}), Rotate, 80 * time.Second},
		{"a successor is still asked for long after the end", lease(func(f *Facts) {
			f.Renewable = false
			failed(Rotate, vault.Later, 50, time.Hour)(f)
		}), Rotate, time.Hour + time.Minute},

		{"a successor does not wait when a renewal is refused shortly before the end", lease(func(f *Facts) {
			f.Renewable = false
			failed(Renew, vault.Refused, 1, 99*time.Second)(f)
		}), Rotate, 77500 * time.Millisecond},
		{"a renewal that brings nothing leads to a successor at once", lease(func(f *Facts) {
			f.Granted, f.TTL = start.Add(50*time.Second), 0
		}), Rotate, 50 * time.Second},
		{"one that lasts a second is no exception", lease(func(f *Facts) {
			f.Granted, f.TTL, f.Full = start.Add(time.Second), 1, time.Second
		}), Rotate, time.Second},
		{"a lease of a second that is renewed in full is renewed again before its end", lease(func(f *Facts) {
			f.TTL, f.Full = time.Second, time.Second
		}), Renew, 775*time.Millisecond - 1},
		{"a lease that is gone is replaced at once", lease(func(f *Facts) { f.Gone = true }), Rotate, now},
		{"a second one that is gone waits for the end of the first", lease(func(f *Facts) {
			f.Gone, f.NotBefore = true, start.Add(80*time.Second)
		}), Rotate, 80 * time.Second},
		{"a lease whose token was replaced and is over is rotated at once", lease(func(f *Facts) {
			f.StaleSince = start.Add(20 * time.Second)
		}), Rotate, 20 * time.Second},
		{"leases of a replaced token that lives are spread", lease(func(f *Facts) {
			f.StaleSince, f.TokenEnds, f.Seed = start.Add(20*time.Second), start.Add(40*time.Second), 512
		}), Rotate, 25 * time.Second},

		{"a grant that ends before the floor is rotated before that", lease(func(f *Facts) { f.TTL = time.Second }), Rotate, 500 * time.Millisecond},

		{"what was adopted is renewed soon, but not everything at once", lease(func(f *Facts) {
			f.AdoptedAt, f.Seed = start.Add(10*time.Second), 512
		}), Renew, 12500 * time.Millisecond},
		{"what was adopted shortly before its successor is due is renewed before that", lease(func(f *Facts) {
			f.AdoptedAt, f.Seed = start.Add(75500*time.Millisecond), 512
		}), Renew, 76 * time.Second},
		{"what was adopted when its successor was due is renewed at once", lease(func(f *Facts) {
			f.AdoptedAt, f.Seed = start.Add(90*time.Second), 512
		}), Renew, 90 * time.Second},
		{"what was adopted after its end by our record is renewed at once", lease(func(f *Facts) {
			f.AdoptedAt, f.Seed = start.Add(time.Hour), 512
		}), Renew, time.Hour},
		{"what was adopted is renewed again after a failure", lease(func(f *Facts) {
			f.AdoptedAt = start.Add(10 * time.Second)
			failed(Renew, vault.Later, 1, 11*time.Second)(f)
		}), Renew, 12 * time.Second},
		{"what was adopted and cannot be renewed gets a successor when one is due", lease(func(f *Facts) {
			f.AdoptedAt = start.Add(10 * time.Second)
			failed(Renew, vault.Later, 6, 60*time.Second)(f)
		}), Rotate, 77500 * time.Millisecond},
		{"what was adopted late and cannot be renewed gets one after the floor", lease(func(f *Facts) {
			f.AdoptedAt = start.Add(90 * time.Second)
			failed(Renew, vault.Later, 1, 90*time.Second)(f)
		}), Rotate, 91 * time.Second},

		{"a secret without a lease is read again after the interval", lease(func(f *Facts) { f.Leased = false }), Reread, 5 * time.Minute},
		{"a secret without a lease ignores its token's end", lease(func(f *Facts) { f.Leased, f.StaleSince = false, start }), Reread, 5 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			action, at := still.Next(test.facts)
			if action != test.action {
				t.Fatalf("action = %v at +%s, want %v", action, at.Sub(start), test.action)
			}
			if test.after == now {
				if at.After(start) {
					t.Fatalf("due at +%s, want at once", at.Sub(start))
				}
				return
			}
			if got := at.Sub(start); got != test.after {
				t.Fatalf("due at +%s, want +%s", got, test.after)
			}
		})
	}
}

func TestARenewalIsNotWaitedForUntilItIsTooLate(t *testing.T) {
	for _, test := range []struct{ after, want time.Duration }{
		{50 * time.Second, 13750 * time.Millisecond},
		{77 * time.Second, 500 * time.Millisecond},
		{99 * time.Second, 500 * time.Millisecond},
	} {
		if got := still.Patience(lease(nil), start.Add(test.after)); got != test.want {
			t.Errorf("sent at +%s it is waited for %s, want %s", test.after, got, test.want)
		}
	}
}

// TestALeaseGrantedInFullIsNeverRotated goes through policies whose overlap
// or late renewals would leave no room between renewal and rotation.
func TestALeaseGrantedInFullIsNeverRotated(t *testing.T) {
	for _, policy := range []Policy{{RenewAt: 0.8}, {RenewAt: 0.95}, {Overlap: time.Hour}, {RenewAt: 0.9, Overlap: time.Hour}} {
		for seed := range uint64(100) {
			action, at := policy.WithDefaults().Next(lease(func(f *Facts) { f.Seed = seed }))
			if action != Renew || at.Sub(start) < 40*time.Second || at.Sub(start) > 80*time.Second {
				t.Fatalf("policy %+v, seed %d: %s at +%s, want a renewal", policy, seed, action, at.Sub(start))
			}
		}
	}
}

func TestStaticSecretIsNeverReadAgainWhenToldSo(t *testing.T) {
	policy := Policy{Static: -1}.WithDefaults()
	if action, _ := policy.Next(Facts{Held: true, Granted: start}); action != None {
		t.Fatalf("action = %v, want none", action)
	}
}

func TestJitterStaysWithinItsFractionAndSpreads(t *testing.T) {
	policy := Policy{}.WithDefaults()
	earliest, last := time.Hour, time.Duration(0)
	for seed := range uint64(1000) {
		_, at := policy.Next(lease(func(f *Facts) { f.Seed = seed }))
		after := at.Sub(start)
		if after < 45*time.Second || after > 55*time.Second {
			t.Fatalf("seed %d renews at +%s, outside 50s ±10%%", seed, after)
		}
		earliest, last = min(earliest, after), max(last, after)
	}
	if last-earliest < 9*time.Second {
		t.Fatalf("a thousand leases renew within %s: no spread", last-earliest)
	}
}

func TestOverlap(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		ttl    time.Duration
		want   time.Duration
	}{
		{"is a fraction of a short TTL", Policy{}, 100 * time.Second, 15 * time.Second},
		{"is at most five minutes by default", Policy{}, 24 * time.Hour, 5 * time.Minute},
		{"is as configured", Policy{Overlap: 20 * time.Minute}, 24 * time.Hour, 20 * time.Minute},
		{"never takes half of the life", Policy{Overlap: time.Hour}, time.Hour, 20 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.policy.WithDefaults().OverlapFor(test.ttl); got != test.want {
				t.Fatalf("overlap = %s, want %s", got, test.want)
			}
		})
	}
}

// TestPromises walks through a day in which every request fails in one way
// and checks what a broken server can cause at the most.
func TestPromises(t *testing.T) {
	for _, class := range []vault.Class{vault.Later, vault.Refused, vault.Login} {
		t.Run(class.String(), func(t *testing.T) {
			policy := Policy{}.WithDefaults()
			f, now, requests := lease(nil), start, map[Action]int{}
			for now.Before(start.Add(24 * time.Hour)) {
				action, at := policy.Next(f)
				if len(requests) > 0 && at.Sub(now) < policy.Floor {
					t.Fatalf("%s comes %s after the failure before, floor is %s", action, at.Sub(now), policy.Floor)
				}
				now = at
				requests[action]++
				if f.Failed != action {
					f.Failures = 0
				}
				failed(action, class, f.Failures+1, now.Sub(start))(&f)
				f.Renewable = f.Renewable && class != vault.Refused
			}
			if requests[Renew] > 6 {
				t.Errorf("renewals of one lease = %d, want at most 6", requests[Renew])
			}
			if n := requests[Rotate]; n < 1200 || n > 1700 {
				t.Errorf("tries to get a successor in a day = %d, want about one a minute", n)
			}
		})
	}
}

func TestDefaultsFilledInTwiceAreTheSame(t *testing.T) {
	for _, p := range []Policy{{}, {Jitter: -1, Static: -1}} {
		if once := p.WithDefaults(); once != once.WithDefaults() {
			t.Errorf("%+v became %+v", once, once.WithDefaults())
		}
	}
}

func TestARotationWindow(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 1, day, hour, 0, 0, 0, time.UTC) }
	windows := window.Windows{{Days: [7]bool{true, true, true, true, true, true, true}, From: 2 * time.Hour, To: 4 * time.Hour, Zone: time.UTC}}
	policy := Policy{Jitter: -1, Windows: &windows}.WithDefaults()
	grant := func(issued, granted time.Time, ttl time.Duration, renewable bool) Facts {
		return Facts{Held: true, Leased: true, Renewable: renewable, Issued: issued, Granted: granted, TTL: ttl, Full: ttl}
	}
	fail := func(f Facts, action Action, after time.Duration) Facts {
		f.Failed, f.Class, f.Failures, f.FailedAt = action, vault.Later, 1, f.Granted.Add(after)
		return f
	}
	tests := []struct {
		name   string
		facts  Facts
		action Action
		at     time.Time
	}{
		{"a lease is renewed before the window", grant(at(1, 12), at(1, 12), time.Hour, true), Renew, at(1, 12).Add(30 * time.Minute)},
		{"a lease is replaced when the window opens", grant(at(1, 12), at(2, 1), 4*time.Hour, true), Rotate, at(2, 2)},
		{"a lease that was issued in the window is renewed", grant(at(2, 2), at(2, 2), time.Hour, true), Renew, at(2, 2).Add(30 * time.Minute)},
		{"a successor that failed is asked for again in the window", fail(grant(at(1, 12), at(2, 2), time.Hour, true), Rotate, time.Minute), Rotate, at(2, 2).Add(61 * time.Second)},
		{"and renewing goes on beside it", fail(grant(at(1, 12), at(2, 2), time.Hour, true), Rotate, 30*time.Minute), Renew, at(2, 2).Add(30*time.Minute + time.Second)},
		{"a lease that cannot be renewed is replaced in the last window of its life", grant(at(1, 1), at(1, 1), 72*time.Hour, false), Rotate, at(3, 2)},
		{"one that ends before any window is replaced before its end", grant(at(1, 6), at(1, 6), time.Hour, false), Rotate, at(1, 6).Add(time.Hour - 7*time.Minute - 30*time.Second)},
		{"a secret without a lease is read in a window", Facts{Held: true, Granted: at(1, 12)}, Reread, at(2, 2)},
		{"but one that could not be read is tried again", fail(Facts{Held: true, Granted: at(2, 3)}, Reread, time.Minute), Reread, at(2, 3).Add(5 * time.Minute)},
		{"what the server rotates is read when it does", Facts{Held: true, Rotates: true, TTL: time.Minute, Granted: at(1, 12)}, Reread, at(1, 12).Add(61 * time.Second)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			action, when := policy.Next(test.facts)
			if action != test.action || !when.Equal(test.at) {
				t.Errorf("%s at %s, want %s at %s", action, when.Format("2 15:04:05"), test.action, test.at.Format("2 15:04:05"))
			}
		})
	}
	if why := policy.Why(tests[1].facts, Rotate); why != "a rotation window opens" {
		t.Errorf("why = %q", why)
	}
}
