package agent

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/notify"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/templates"
)

const (
	// maxPasses is how often a template may ask for something new before any
	// of its output appears. One whose wants never settle, because a path
	// holds the time of day, say, would have credentials issued for ever.
	maxPasses = 16
	// retryDelay is between two tries of an output that failed.
	retryDelay = 5 * time.Second
)

// output is one template on its way to its file.
type output struct {
	template *templates.Template
	file     sink.File
	hooks    []notify.Notifier
	policy   schedule.Policy
	fatal    bool // an error of evaluation ends the agent

	wants     []vault.Want          // of the last evaluation
	versions  map[vault.Want]uint64 // want → version seen by the last evaluation
	passes    int                   // evaluations in a row that left something pending
	content   []byte                // rendered and not published yet, else nil
	pending   bool                  // some want has no secret yet
	published bool                  // the file holds the last evaluation that was complete
	live      []vault.Want          // whose secrets are in the file
	err       error                 // of the last evaluation or publication
	retryAt   time.Time             // when to try again after err
}

// stale reports whether an evaluation would see anything new.
func (o *output) stale(snapshot *lease.Snapshot, now time.Time) bool {
	if o.versions == nil {
		return true
	}
	if o.err != nil && !now.Before(o.retryAt) {
		return true
	}
	for _, w := range o.wants {
		if snapshot.Item(w).Version != o.versions[w] {
			return true
		}
	}
	return false
}

// evaluate renders the template on a snapshot.
func (o *output) evaluate(snapshot *lease.Snapshot, now time.Time) {
	result, err := o.template.Render(snapshot.Lookup)
	if err == nil && len(result.Pending) > 0 {
		if o.passes++; o.passes > maxPasses {
			err = fmt.Errorf("evaluating %s: it asks for a new secret each time (now %s); a path must not depend on the time or on chance",
				o.template.Name(), result.Pending[0])
		}
	}
	if err != nil {
		o.fail(ExitTemplate, err, now)
		return
	}
	o.wants, o.content, o.err = result.Wants, nil, nil
	if o.pending = len(result.Pending) > 0; !o.pending {
		o.passes = 0
		o.content = append([]byte{}, result.Output...) // an empty file is something to publish
	}
	o.versions = make(map[vault.Want]uint64, len(o.wants))
	for _, w := range o.wants {
		o.versions[w] = snapshot.Item(w).Version
	}
}

// refused reports whether the output waits for a secret that cannot be had.
func (o *output) refused(snapshot *lease.Snapshot) bool {
	return slices.ContainsFunc(o.wants, func(w vault.Want) bool {
		item := snapshot.Item(w)
		return item.Secret == nil && item.Err != nil
	})
}

// fail records what keeps the output from its file, and when to try again.
func (o *output) fail(code int, err error, now time.Time) {
	if o.versions == nil {
		o.versions = map[vault.Want]uint64{}
	}
	o.content = nil
	o.err, o.retryAt = failure{code, err}, now.Add(retryDelay)
}

// pass evaluates what has changed, says what is wanted, and publishes what is
// complete. It returns when to come back though nothing has changed, zero for
// never.
func (a *Agent) pass(now time.Time) (retryAt time.Time) {
	a.writeTokens(now)
	snapshot := a.leases.Snapshot()
	for _, o := range a.outputs {
		if !o.stale(snapshot, now) {
			continue
		}
		before := o.err
		o.evaluate(snapshot, now)
		if o.err != nil && before == nil {
			a.log.Error("evaluating a template failed", zap.String("template", o.template.Name()), zap.Error(o.err))
		}
	}
	a.order()
	if a.keeper.Token().Epoch > 0 { // before, nothing says that the agent may be here at all
		a.publish(snapshot, now)
	}
	retryAt = a.tokensRetryAt
	for _, o := range a.outputs {
		if o.err != nil && (retryAt.IsZero() || o.retryAt.Before(retryAt)) {
			retryAt = o.retryAt
		}
	}
	return retryAt
}

// wantSet is what was asked of the lease manager last.
type wantSet map[vault.Want]schedule.Policy

// add merges one more user of a want: whoever wants it fresher decides.
func (s wantSet) add(w vault.Want, p schedule.Policy) {
	if other, ok := s[w]; ok {
		p.RenewAt = min(p.RenewAt, other.RenewAt)
		p.Overlap = max(p.Overlap, other.Overlap)
	}
	s[w] = p
}

// order tells the lease manager what is wanted, if that has changed. What a
// file still holds stays wanted until the file no longer does.
func (a *Agent) order() {
	wanted := make(wantSet, len(a.wanted))
	for _, o := range a.outputs {
		for _, w := range o.wants {
			wanted.add(w, o.policy)
		}
		for _, w := range o.live {
			wanted.add(w, o.policy)
		}
	}
	if !maps.Equal(wanted, a.wanted) {
		a.wanted = wanted
		a.leases.Want(wanted)
	}
}
