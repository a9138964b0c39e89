package schedule

import (
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

func TestWhySaysWhatMakesTheActionTheNextOne(t *testing.T) {
	start := time.Now()
	lasting := Facts{Held: true, Leased: true, Renewable: true, Granted: start, TTL: 100 * time.Second, Full: 100 * time.Second}
	with := func(change func(*Facts)) Facts {
		f := lasting
		change(&f)
		return f
	}
	tests := []struct {
		facts Facts
		want  string
	}{
		{Facts{}, "nothing is held yet"},
		{Facts{Failed: Issue, Class: vault.Later, Failures: 1, FailedAt: start}, "trying again, issue failed once"},
		{lasting, "50 % of its time will have passed"},
		{with(func(f *Facts) { f.Failed, f.Class, f.Failures, f.FailedAt = Renew, vault.Later, 3, start }), "trying again, renew failed 3 times"},
		{with(func(f *Facts) { f.Renewable = false }), "it cannot be renewed"},
		{with(func(f *Facts) { f.TTL = 20 * time.Second }), "its max TTL is near"},
		{with(func(f *Facts) { f.Gone = true }), "the server no longer knows it"},
		{with(func(f *Facts) { f.StaleSince = start }), "the token that issued it was replaced"},
		{with(func(f *Facts) { f.AdoptedAt = start }), "finding out whether it outlived the restart"},
		{Facts{Held: true, Granted: start, TTL: time.Minute, Rotates: true}, "the server rotates it"},
		{Facts{Held: true, Granted: start, TTL: time.Minute, Expires: true}, "50 % of its life will have passed"},
		{Facts{Held: true, Granted: start}, "looking for a change every 5m0s"},
	}
	policy := Policy{Jitter: -1}.WithDefaults()
	for _, test := range tests {
		action, _ := policy.Next(test.facts)
		if got := policy.Why(test.facts, action); got != test.want {
			t.Errorf("%s: %q, want %q", action, got, test.want)
		}
	}
	never := Policy{Static: -1}.WithDefaults()
	if got := never.Why(Facts{Held: true, Granted: start}, None); got != "it does not end" {
		t.Errorf("none: %q", got)
	}
}
