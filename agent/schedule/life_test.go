package schedule

import (
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

func TestWhatHasNoLease(t *testing.T) {
	const hour = time.Hour
	certificate := Facts{Held: true, Expires: true, Granted: start, TTL: 100 * hour, Full: 100 * hour}
	rotated := Facts{Held: true, Rotates: true, Granted: start, TTL: 2 * time.Minute}
	static := Facts{Held: true, Granted: start}
	with := func(f Facts, changes ...func(*Facts)) Facts {
		for _, change := range changes {
			change(&f)
		}
		return f
	}
	tests := map[string]struct {
		policy Policy
		facts  Facts
		action Action
		after  time.Duration
	}{
		"a certificate is replaced at half of its life":            {Policy{}, certificate, Rotate, 50 * hour},
		"a certificate is replaced when renew_at says":             {Policy{RenewAt: 0.9}, certificate, Rotate, 90 * hour},
		"a certificate is replaced before its end whatever it is":  {Policy{RenewAt: 0.99999}, certificate, Rotate, 100*hour - 7*time.Minute - 30*time.Second},
		"a certificate is never read again":                        {Policy{Static: time.Second}, certificate, Rotate, 50 * hour},
		"a certificate outlives the token that it was issued with": {Policy{}, with(certificate, func(f *Facts) { f.StaleSince = start }), Rotate, 50 * hour},
		"a certificate that is adopted is not asked about":         {Policy{}, with(certificate, func(f *Facts) { f.AdoptedAt, f.Renewable = start, true }), Rotate, 50 * hour},
		"a certificate of a moment still leaves the floor":         {Policy{}, with(certificate, func(f *Facts) { f.TTL, f.Full = 1, 1 }), Rotate, time.Second},
		"a successor that failed is tried again after its backoff": {Policy{}, with(certificate, failed(Rotate, vault.Refused, 1, 60*hour)), Rotate, 60*hour + 5*time.Second},

		"a rotated account is read when the server has rotated it":     {Policy{}, rotated, Reread, 121 * time.Second},
		"a rotated account is read at its interval where that is less": {Policy{Static: time.Minute}, rotated, Reread, time.Minute},
		"a rotated account is read though static secrets never are":    {Policy{Static: -1}, rotated, Reread, 121 * time.Second},
		"a rotation that is overdue is not asked for in a hurry":       {Policy{}, with(rotated, func(f *Facts) { f.TTL = 0 }), Reread, 5 * time.Second},

		"a static secret is read at its own interval":   {Policy{Static: 7 * time.Minute}, static, Reread, 7 * time.Minute},
		"a static secret is never read when it says so": {Policy{Static: -1}, static, None, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.policy.Jitter = -1
			action, at := test.policy.WithDefaults().Next(test.facts)
			if action != test.action || (action != None && !at.Equal(start.Add(test.after))) {
				t.Errorf("got %s at +%s, want %s at +%s", action, at.Sub(start), test.action, test.after)
			}
		})
	}
}

func TestJitterNeverMovesAReplacementBeyondTheEnd(t *testing.T) {
	policy := Policy{RenewAt: 0.95, Jitter: 0.5}.WithDefaults()
	for seed := range uint64(1000) {
		f := Facts{Held: true, Expires: true, Granted: start, TTL: time.Hour, Full: time.Hour, Seed: seed}
		if _, at := policy.Next(f); !at.Before(f.Ends()) {
			t.Fatalf("seed %d: replaced at +%s", seed, at.Sub(start))
		}
	}
}

func TestTheFresherOfTwoUsersDecides(t *testing.T) {
	never := Policy{Static: -1, RenewAt: 0.9, Overlap: time.Minute}.WithDefaults()
	often := Policy{Static: time.Second, RenewAt: 0.3}.WithDefaults()
	for _, got := range []Policy{never.Merge(often), often.Merge(never)} {
		if got.Static != time.Second || got.RenewAt != 0.3 || got.Overlap != time.Minute {
			t.Errorf("got %+v", got)
		}
	}
	if got := never.Merge(never); got.Static != -1 {
		t.Errorf("two that never read again read after %s", got.Static)
	}
}
