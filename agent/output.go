package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/check"
	"github.com/novatech/securevault/agent/lease"
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
	// longestRetry is between two evaluations of a template that goes on failing.
	longestRetry = time.Minute
)

// output is one template on its way to its file.
type output struct {
	template renderer
	place    place
	hooks    []hook
	checks   []check.Check // that new content must pass
	policy   schedule.Policy
	fatal    bool          // an error of evaluation ends the agent
	maxStale time.Duration // how old its secrets may be for the agent to be ready; 0 for no limit

	wants      []vault.Want        // of the last evaluation
	evaluated  bool                // at least once
	versions   []uint64            // of the wants, as the last evaluation saw them
	passes     int                 // evaluations in a row that left something pending
	content    []byte              // rendered and not published yet, else nil
	effects    []*templates.Effect // files that the evaluation writes besides, not published yet
	sidePaths  []string            // of the effects of the last evaluation
	pending    bool                // some want has no secret yet
	changed    time.Time           // when the bytes of the file were last
	generation uint64              // of the newest secret in the file
	ahead      int                 // publications that the app has not been told of
	untold     bool                // an earlier run may have ended before it told the app of a secret
	published  bool                // the file holds the last evaluation that was complete
	checking   bool                // new content is being checked; until that is over nothing here changes
	live       []vault.Want        // whose secrets are in the file
	err        error               // of the last evaluation or publication
	said       string              // why the last publication failed, as the log has it; "" if it did not
	retryAt    time.Time           // when to try again after err
	failures   int                 // evaluations in a row that failed
}

// stale reports whether an evaluation would see anything new.
func (o *output) stale(snapshot *lease.Snapshot, now time.Time) bool {
	if !o.evaluated {
		return true
	}
	if o.err != nil && !now.Before(o.retryAt) {
		return true
	}
	for i, w := range o.wants {
		if snapshot.Item(w).Version != o.versions[i] {
			return true
		}
	}
	return false
}

// evaluate renders the template on a snapshot.
func (o *output) evaluate(snapshot *lease.Snapshot, now time.Time) {
	o.evaluated = true
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
	o.wants, o.content, o.effects, o.err, o.failures = result.Wants, nil, nil, nil, 0
	if o.pending = len(result.Pending) > 0; !o.pending {
		o.passes = 0
		o.content = append([]byte{}, result.Output...) // an empty file is something to publish
		o.effects, o.sidePaths = result.Effects, nil
		for _, effect := range result.Effects {
			o.sidePaths = append(o.sidePaths, effect.Path)
		}
	}
	o.versions, o.untold = make([]uint64, len(o.wants)), false
	for i, w := range o.wants {
		item := snapshot.Item(w)
		o.versions[i] = item.Version
		o.untold = o.untold || item.Untold
	}
}

// owing reports whether the app has yet to be told of what the file held before.
func (o *output) owing() bool { return o.ahead > 0 || o.untold }

// stage writes new content beside its destination.
func (o *output) stage() (files []stagedFile, err error) {
	staged, err := o.place.Stage(o)
	for _, s := range staged {
		files = append(files, stagedFile{s, o})
	}
	return files, err
}

// side returns the files that the template writes besides its destination.
func (o *output) side() []sink.File {
	var files []sink.File
	for _, e := range o.effects {
		files = append(files, sink.File{Path: e.Path, Mode: e.Mode, Owner: e.Owner, Group: e.Group, CreateDirs: true})
	}
	return files
}

// contents returns what is to be published: first that of the destination,
// then those of the files on the side.
func (o *output) contents() [][]byte {
	contents := [][]byte{o.content}
	for _, e := range o.effects {
		contents = append(contents, e.Content)
	}
	return contents
}

// clash returns the output that writes a file which this one writes as well,
// nil if there is none.
func (o *output) clash(all []*output) *output {
	if len(o.sidePaths) == 0 {
		return nil // as nearly always; comparing all with all would show
	}
	for _, other := range all {
		for _, path := range o.sidePaths {
			if other != o && slices.Contains(other.sidePaths, path) || path == other.place.Path() {
				return other
			}
		}
	}
	return nil
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
	o.content, o.effects = nil, nil
	delay := retryDelay
	if code == ExitTemplate { // which costs time, and waiting seldom mends it
		delay = min(retryDelay<<min(o.failures, 10), longestRetry)
		o.failures++
	}
	o.err, o.retryAt = failure{code, err}, now.Add(delay)
}

// pass evaluates what has changed, says what is wanted, and publishes what is
// complete. It returns when to come back though nothing has changed, zero for
// never.
func (a *Agent) pass(ctx context.Context, now time.Time) (retryAt time.Time) {
	snapshot := a.leases.Snapshot()
	for _, o := range a.outputs {
		if o.checking || !o.stale(snapshot, now) {
			continue
		}
		before := o.err
		o.evaluate(snapshot, now)
		a.unordered = true
		if other := o.clash(a.outputs); o.err == nil && other != nil {
			o.fail(ExitTemplate, fmt.Errorf("evaluating %s: it writes a file that %s writes as well; give each its own", o.template.Name(), other.template.Name()), now)
		}
		if o.err != nil && before == nil {
			a.log.Error("evaluating a template failed", zap.String("template", o.template.Name()), zap.Error(o.err))
		}
	}
	if a.unordered {
		a.order()
	}
	if a.keeper.Token().Epoch > 0 { // before, nothing says that the agent may be here at all
		a.publish(ctx, snapshot, now)
	}
	for _, o := range a.outputs {
		if o.err != nil && (retryAt.IsZero() || o.retryAt.Before(retryAt)) {
			retryAt = o.retryAt
		}
	}
	return retryAt
}

// wantSet is what was asked of the lease manager last.
type wantSet map[vault.Want]schedule.Policy

// add merges one more user of a want.
func (s wantSet) add(w vault.Want, p schedule.Policy) {
	if other, ok := s[w]; ok {
		p = p.Merge(other)
	}
	s[w] = p
}

// order tells the lease manager what is wanted, if that has changed. What a
// file still holds stays wanted until the file no longer does.
func (a *Agent) order() {
	a.unordered = false
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
