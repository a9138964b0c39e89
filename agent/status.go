package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// view is the agent as package admin sees it: without a secret, and from
// outside. What the supply loop owns is looked at by the loop itself.
type view struct {
	agent     *Agent
	server    string // address
	started   time.Time
	questions chan func()   // for the supply loop to answer between two passes
	over      chan struct{} // closed when the supply loop answers no more
}

func newView(a *Agent, server string) *view {
	return &view{agent: a, server: server, started: a.started, questions: make(chan func()), over: make(chan struct{})}
}

// Token implements [admin.Source].
func (v *view) Token() vault.Token { return v.agent.holder.Load().Token() }

// Status implements [admin.Source].
func (v *view) Status(ctx context.Context) (admin.Status, error) {
	var status admin.Status
	answered := make(chan struct{})
	question := func() {
		defer close(answered)
		status = v.look(time.Now())
	}
	select {
	case v.questions <- question:
		<-answered
		return status, nil
	case <-v.over:
		return status, errReplaced
	case <-ctx.Done():
		return status, context.Cause(ctx)
	}
}

// look says what the agent does. It runs on the supply loop.
func (v *view) look(now time.Time) admin.Status {
	a := v.agent
	snapshot, held := a.leases.Snapshot(), a.leases.Status()
	status := admin.Status{
		Now: now, Started: v.started, Server: v.server, Settled: a.settled, Generation: snapshot.Generation,
		Token:    tokenStatus(a.keeper.Status()),
		Hooks:    v.hooks(),
		Counters: counters(a.leases.Stats()),
		Missing:  a.missing(held, now),
	}
	users := a.users()
	for _, s := range held {
		status.Credentials = append(status.Credentials, credentialStatus(s, users[s.Want]))
	}
	for _, o := range a.outputs {
		status.Outputs = append(status.Outputs, o.status())
	}
	status.Ready = status.Settled && len(status.Missing) == 0
	return status
}

// users returns want → destinations whose content depends on it.
func (a *Agent) users() map[vault.Want][]string {
	users := make(map[vault.Want][]string)
	for _, o := range a.outputs {
		for _, w := range slices.Concat(o.wants, o.live) {
			if !slices.Contains(users[w], o.place.Path()) {
				users[w] = append(users[w], o.place.Path())
			}
		}
	}
	return users
}

// missing names what keeps the agent from being ready. What was published
// counts as good whatever fails later, until max_stale is over: a server that
// is out must not take every app with it. What the app could not be told of
// does not.
func (a *Agent) missing(held []lease.Status, now time.Time) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	token := a.keeper.Token()
	switch err := a.keeper.Err(); {
	case token.Epoch == 0 && err != nil:
		say("token: %s", err)
	case token.Epoch == 0:
		say("token: not there yet")
	case !a.tokens.Written() && a.tokens.Err() != nil:
		say("token: %s", a.tokens.Err())
	case !a.tokens.Written():
		say("token: not written yet")
	}
	byWant := make(map[vault.Want]lease.Status, len(held))
	for _, s := range held {
		byWant[s.Want] = s
	}
	for _, o := range a.outputs {
		if why := o.missing(byWant, now); why != "" {
			say("%s: %s", o.place.Path(), why)
		}
	}
	switch {
	case a.announcer.Err() != nil:
		say("app: not told yet, since a hook fails")
	case !a.ready && !a.announcer.Idle():
		say("app: being told")
	}
	return out
}

// missing says what keeps an output from being good, "" for nothing.
func (o *output) missing(held map[vault.Want]lease.Status, now time.Time) string {
	if !o.published && o.err != nil {
		return o.err.Error()
	}
	for _, w := range o.wants {
		s := held[w]
		switch {
		case !o.published && !s.Held && s.Err != nil:
			return fmt.Sprintf("waiting for %s: %s", w, s.Err)
		case !o.published && !s.Held:
			return fmt.Sprintf("waiting for %s", w)
		case o.maxStale > 0 && staleFor(s, now) > o.maxStale:
			return fmt.Sprintf("%s should have been replaced %s ago, which is more than max_stale allows", w, staleFor(s, now).Round(time.Second))
		}
	}
	if !o.published {
		return "not published yet"
	}
	return ""
}

// staleFor returns for how long a secret has been past its end or, if it has
// none, could not be read again.
func staleFor(s lease.Status, now time.Time) time.Duration {
	switch {
	case !s.Held || s.Err == nil && s.Ends.IsZero():
		return 0
	case s.Ends.IsZero():
		return now.Sub(s.Failing)
	default:
		return now.Sub(s.Ends)
	}
}

func (o *output) status() admin.Output {
	s := admin.Output{
		Destination: o.place.Path(), Template: o.template.Name(), State: admin.Waiting,
		Generation: o.generation, Changed: o.changed,
	}
	switch {
	case o.err != nil:
		s.State, s.Error = admin.Failed, o.err.Error()
	case o.published && !o.pending && o.content == nil:
		s.State = admin.Published
	}
	return s
}

// hooks tells how the app is told.
func (v *view) hooks() admin.Hooks {
	failed, pending, err := v.agent.announcer.status()
	out := admin.Hooks{Failures: failed, Pending: pending}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// status returns how many hooks have failed, whether any has still to succeed,
// and the last error.
func (n *announcer) status() (failed int, pending bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed, n.busy || len(n.waiting) > 0, n.err
}

func tokenStatus(s auth.Status) admin.Token {
	return admin.Token{
		Accessor: s.Accessor, Epoch: s.Epoch,
		Grant: grant(s.Granted, s.Ends, s.Renewable, s.Err, s.Failures, admin.Next{Action: s.Action.String(), At: s.At, Why: s.Why}),
	}
}

func credentialStatus(s lease.Status, users []string) admin.Credential {
	out := admin.Credential{
		Path: s.Want.String(), LeaseID: s.LeaseID, Held: s.Held, Generation: s.Version, Replaced: s.Replaced,
		Failing: s.Failing, Dependents: users,
		Grant: grant(s.Granted, s.Ends, s.Renewable, s.Err, s.Failures, admin.Next{Action: s.Action.String(), At: s.At, Busy: s.Busy, Why: s.Why}),
	}
	for _, e := range s.History {
		action := e.Action.String()
		if e.Action == schedule.None {
			action = "adopt"
		}
		out.History = append(out.History, admin.Rotation{At: e.At, Action: action, LeaseID: e.LeaseID, Generation: e.Version})
	}
	return out
}

func grant(granted, ends time.Time, renewable bool, err error, failures int, next admin.Next) admin.Grant {
	g := admin.Grant{Granted: granted, Ends: ends, Renewable: renewable, Failures: failures, Next: next}
	if err != nil {
		g.Error = err.Error()
	}
	return g
}

func counters(s lease.Stats) admin.Counters {
	return admin.Counters{
		Created: s.Leased, Read: s.Issued + s.Rotated - s.Leased, Adopted: s.Adopted, Renewed: s.Renewed,
		RenewalFailed: s.RenewFailed, Rotated: s.Rotated, Expired: s.Expired, Revoked: s.Revoked,
		Requests: s.Requested, Failed: s.Failed, Leases: s.Held,
	}
}
