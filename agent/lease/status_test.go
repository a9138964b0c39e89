package lease

import (
	"testing"
	"time"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vaulttest"
)

func TestStatusRemembersTheLastFewCredentials(t *testing.T) {
	run(t, vaulttest.Role{TTL: 20 * time.Second, NonRenewable: true}, func(r *rig) {
		r.want(creds)
		for step := range 60 {
			r.at(time.Duration(step) * 5 * time.Second)
			r.publish()
		}
		all := r.manager.Status()
		if len(all) != 1 || len(all[0].History) != remembered {
			t.Fatalf("status = %+v", all)
		}
		s, latest := all[0], all[0].History[remembered-1]
		if latest.LeaseID != s.LeaseID || latest.Version != s.Version || latest.Action != schedule.Rotate {
			t.Errorf("the latest event is %+v, the credential %+v", latest, s)
		}
		if s.Action != schedule.Rotate || s.Why != "it cannot be renewed" {
			t.Errorf("next is %s, since %s", s.Action, s.Why)
		}
		r.expect("leased credentials", r.manager.Stats().Leased, r.server.Issued(creds))
		for _, event := range s.History {
			if event.At.IsZero() || event.LeaseID == "" {
				t.Errorf("event %+v", event)
			}
		}
	})
}

func TestStatusTellsSinceWhenASecretFails(t *testing.T) {
	run(t, renewable, func(r *rig) {
		heal := r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: 503})
		r.want(creds)
		r.at(renewable.TTL * 3 / 4)
		s := r.manager.Status()[0]
		if s.Err == nil || s.Failures < 2 || s.Failing.IsZero() || time.Since(s.Failing) < renewable.TTL/10 {
			t.Errorf("status while renewals fail = %+v", s)
		}
		r.expect("renewals that failed", r.manager.Stats().RenewFailed, s.Failures)
		heal()
		r.at(renewable.TTL)
		s = r.manager.Status()[0]
		if s.Err != nil || s.Failures != 0 || !s.Failing.IsZero() {
			t.Errorf("status afterwards = %+v", s)
		}
	})
}
