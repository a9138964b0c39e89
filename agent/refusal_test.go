package agent

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// busiest returns the most requests that arrived within a second.
func busiest(events []vaulttest.Event) (most int) {
	first := 0
	for i, e := range events {
		for e.At.Sub(events[first].At) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// succeeded counts the requests of a kind that the server carried out.
func succeeded(events []vaulttest.Event, op vaulttest.Op) (n int) {
	for _, e := range events {
		if e.Op == op && e.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// Reference, section 2, row 2.
func TestRefusalsCauseFewRequests(t *testing.T) {
	faults := map[string]vaulttest.Fault{
		"everything is refused":                 {},
		"renewals of leases are refused":        {Op: vaulttest.Renew},
		"renewals of the token are refused":     {Op: vaulttest.RenewSelf},
		"new credentials are refused":           {Op: vaulttest.Read},
		"logins are refused":                    {Op: vaulttest.Login},
		"revocations are refused":               {Op: vaulttest.Revoke},
		"everything of one secret is refused":   {Match: func(_ vaulttest.Op, path string) bool { return strings.HasPrefix(path, creds) }},
		"what is asked of the token is refused": {Op: vaulttest.LookupSelf},
	}
	for name, fault := range faults {
		for _, ended := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", and the token has ended"}[ended], func(t *testing.T) {
				within(t, func(r *rig) {
					r.server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: 10 * time.Minute, TokenMaxTTL: 30 * time.Minute})
					r.launch(approle+pair("db"), Options{})
					r.at(10 * time.Second)
					fault.Status, fault.Messages = http.StatusForbidden, []string{"permission denied"}
					remove := r.server.Inject(fault)
					if ended {
						r.server.EndToken(r.token())
					}
					before := r.server.Requests()
					r.at(time.Hour)
					events := r.server.History()[before:]
					if most := busiest(events); most > 5 || len(events) > 400 {
						t.Errorf("%d requests in an hour, up to %d a second; want a few a minute", len(events), most)
					}
					remove()
					r.at(time.Hour + 5*time.Minute)
					r.expect("the file is good again", r.works("db"), true)
					r.expect("end", r.end(), nil)
				})
			})
		}
	}
}

// works reports whether a file holds a credential that lives.
func (r *rig) works(name string) bool {
	for _, l := range r.server.Live() {
		if r.read(name) == l.Data["username"].(string)+":"+l.Data["password"].(string) {
			return true
		}
	}
	return false
}

// Reference, section 2, row 10.
func TestAnOutageLeavesTheFileAndEndsWithoutAStorm(t *testing.T) {
	const from = 10 * time.Second
	tests := []struct {
		name                string
		lasts               time.Duration
		logins, credentials int // once it is over
	}{
		{"shorter than the lease", 45 * time.Second, 1, 1},
		{"longer than the lease", 40 * time.Minute, 1, 2},
		{"longer than the token", 3 * time.Hour, 2, 2},
	}
	faults := map[string]vaulttest.Fault{
		"unreachable": {Drop: true}, "sealed": {Status: 503, Messages: []string{"Vault is sealed"}}, "failing": {Status: 500}, "hanging": {Hang: true},
	}
	for _, test := range tests {
		for how, fault := range faults {
			t.Run(how+", "+test.name, func(t *testing.T) {
				within(t, func(r *rig) {
					r.server.Role(creds, vaulttest.Role{TTL: 100 * time.Second})
					r.launch(approle+pair("db"), Options{})
					r.at(from)
					remove := r.server.Inject(fault)
					before := r.server.Requests()
					r.at(from + test.lasts)
					r.expect("file", r.read("db"), "v-app-1:password-1")
					events := r.server.History()[before:]
					if most, limit := busiest(events), 10+3*int(test.lasts/time.Minute); most > 3 || len(events) > limit {
						t.Errorf("%d requests during the outage, up to %d a second; want at most %d", len(events), most, limit)
					}
					remove()
					r.at(from + test.lasts + 10*time.Minute)
					r.expect("the file is good again", r.works("db"), true)
					r.expect("logins", succeeded(r.server.History(), vaulttest.Login), test.logins)
					r.expect("credentials", r.server.Issued(creds), test.credentials)
					if most := busiest(r.server.History()[before:]); most > 5 {
						t.Errorf("up to %d requests a second when the server came back", most)
					}
					r.expect("end", r.end(), nil)
				})
			})
		}
	}
}
