package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/agent/check"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/notify"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
)

// stagers is how many files are written to the disk at once: the disk takes
// several together in little more time than one.
const stagers = 16

// switching is one group of outputs on its way to its files.
type switching struct {
	members []*output
	fresh   []*output // those of the members that have something to publish
	staged  []stagedFile
	err     error
}

// stagedFile is new content for one file of an output: its destination, or
// one that its template writes on the side.
type stagedFile struct {
	*sink.Staged
	output *output
}

// publish switches every group of outputs that is complete, and has the
// changes announced. Outputs that share a secret are one group: their files
// switch together or not at all. A group with checks does so when these have
// passed, and holds up no other.
func (a *Agent) publish(ctx context.Context, snapshot *lease.Snapshot, now time.Time) {
	if !slices.ContainsFunc(a.outputs, func(o *output) bool { return o.content != nil && !o.checking }) {
		return
	}
	var due []*switching
	for _, members := range a.groups() {
		members = usable(members, snapshot)
		fresh := slices.DeleteFunc(slices.Clone(members), func(o *output) bool { return o.content == nil })
		if len(fresh) == 0 {
			continue
		}
		for _, o := range fresh {
			a.redactor.learn(snapshot, o.wants, a.wanted)
		}
		s := &switching{members: members, fresh: fresh}
		if s.checked() {
			a.check(ctx, s)
			continue
		}
		due = append(due, s)
	}
	var work errgroup.Group
	work.SetLimit(stagers)
	for _, s := range due {
		work.Go(func() error {
			s.stage(ctx)
			return nil
		})
	}
	_ = work.Wait()
	a.switchOver(due, now)
}

// check stages and checks a group in the background. The supply loop takes it
// from there.
func (a *Agent) check(ctx context.Context, s *switching) {
	for _, o := range s.members {
		o.checking = true
	}
	a.checking++
	go func() {
		s.stage(ctx)
		s.err = a.redactor.hide(s.err)
		a.checks <- s
	}()
}

// conclude publishes a group whose checks are over, if they have passed.
func (a *Agent) conclude(s *switching, now time.Time) {
	a.checking--
	for _, o := range s.members {
		o.checking = false
	}
	a.switchOver([]*switching{s}, now)
}

// abandon waits for the checks that are under way, which end with their
// context, and gives up what they were for.
func (a *Agent) abandon() {
	for ; a.checking > 0; a.checking-- {
		(<-a.checks).discard(nil)
	}
}

// switchOver publishes what is staged.
func (a *Agent) switchOver(due []*switching, now time.Time) {
	staged := make([][]*sink.Staged, len(due))
	for i, s := range due {
		for _, file := range s.staged {
			staged[i] = append(staged[i], file.Staged)
		}
	}
	for i, err := range sink.PublishGroups(staged) {
		if err = errors.Join(due[i].err, err); err != nil {
			a.sinkFailed(due[i].fresh, err, now)
			continue
		}
		a.announcer.Tell(a.published(due[i], now))
	}
}

// usable returns the members of a group that can be published together, none
// if one of them must be waited for: one whose file is in use, or one that is
// only waiting for the server's answer. One that never worked holds up nobody.
func usable(members []*output, snapshot *lease.Snapshot) []*output {
	var out []*output
	for _, o := range members {
		switch {
		case o.checking:
			return nil
		case o.err == nil && !o.pending:
			out = append(out, o)
		case o.published, o.err == nil && !o.refused(snapshot):
			return nil
		}
	}
	return out
}

// stage writes the files of a group beside their destinations, and has them
// checked; none stays if one fails.
func (s *switching) stage(ctx context.Context) {
	for _, o := range s.fresh {
		staged, err := o.stage()
		if err != nil {
			s.staged = append(s.staged, staged...)
			s.discard(failure{ExitSink, err})
			return
		}
		s.staged = append(s.staged, staged...)
	}
	if err := s.check(ctx); err != nil {
		s.discard(failure{ExitNotify, err})
	}
}

func (s *switching) discard(err error) {
	for _, staged := range s.staged {
		staged.Discard()
	}
	s.staged, s.err = nil, err
}

// checked reports whether new content of the group must pass a check.
func (s *switching) checked() bool {
	return slices.ContainsFunc(s.fresh, func(o *output) bool { return len(o.checks) > 0 })
}

// check runs the checks of all outputs with new content, each with all the
// files of the group.
func (s *switching) check(ctx context.Context) error {
	changed := make(map[*output]bool)
	for _, staged := range s.staged {
		changed[staged.output] = changed[staged.output] || staged.Changed()
	}
	for _, o := range s.fresh {
		if !changed[o] {
			continue
		}
		for _, c := range o.checks {
			if err := c.Run(ctx, s.files(o)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// files tells where the new content of the group lies: first that of the output
// whose check asks.
func (s *switching) files(asks *output) []check.Staged {
	var own, others []check.Staged
	for _, staged := range s.staged {
		lies := staged.output.place.Lies(staged.Staged)
		if staged.output == asks {
			own = append(own, lies...)
		} else {
			others = append(others, lies...)
		}
	}
	return append(own, others...)
}

// sinkFailed records that a group could not be published: each of its outputs
// is evaluated and tried again. What goes on failing in the same way is said
// once: a full disk must not fill with the log of it.
func (a *Agent) sinkFailed(fresh []*output, err error, now time.Time) {
	level := zap.DebugLevel
	for _, o := range fresh {
		if o.said != err.Error() {
			o.said, level = err.Error(), zap.ErrorLevel
		}
	}
	a.log.Log(level, "publishing failed", zap.Duration("retry", retryDelay), zap.Error(err))
	code := ExitSink
	if f, ok := errors.AsType[failure](err); ok {
		code = f.code
	}
	for _, o := range fresh {
		o.fail(code, err, now)
	}
}

// published records that the files of a group were switched, hands over what
// is no file, and returns what the app and the lease manager have to know of it.
func (a *Agent) published(s *switching, now time.Time) announcement {
	what := announcement{versions: make(map[vault.Want]uint64), outputs: s.fresh, early: !a.settled && !a.once}
	if a.settled { // before, nothing is served by waiting
		what.at = now
	}
	var generation uint64
	for _, o := range s.members {
		for i, w := range o.wants {
			what.versions[w] = o.versions[i]
		}
		generation = max(generation, newest(o.versions))
	}
	for _, staged := range s.staged {
		if staged.Changed() {
			staged.output.changed = now
		}
		if staged.Changed() || staged.output.owing() {
			what.add(a.told(staged.output), notify.Event{Generation: generation, Changed: staged.Paths()})
		}
	}
	for _, o := range s.fresh {
		if o.handOver(now) {
			what.add(a.told(o), notify.Event{Generation: generation, Changed: []string{o.place.Path()}})
		}
		o.content, o.effects, o.published, o.live, o.said = nil, nil, true, o.wants, ""
		o.generation = newest(o.versions)
		a.unordered = true // what was there before may not be wanted any more
		o.ahead++
	}
	for _, path := range what.changed {
		a.log.Info("published", zap.String("destination", path), zap.Uint64("generation", generation))
	}
	return what
}

// told returns whom to tell of a change of an output: not the child that has
// yet to start.
func (a *Agent) told(o *output) []hook {
	if a.launched {
		return o.hooks
	}
	return slices.DeleteFunc(slices.Clone(o.hooks), func(h hook) bool { return h.starts(a.child) })
}

// newest returns the highest of the versions.
func newest(versions []uint64) uint64 {
	if len(versions) == 0 {
		return 0
	}
	return slices.Max(versions)
}

// groups returns the outputs by the secrets they share, directly or through
// others, in their own order.
func (a *Agent) groups() [][]*output {
	parent := make([]int, len(a.outputs)) // output → one of its group; itself if it leads it
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	user := make(map[vault.Want]int) // want → an output that uses it
	for i, o := range a.outputs {
		parent[i] = i
		for _, w := range slices.Concat(o.wants, o.live) {
			if other, ok := user[w]; ok {
				parent[find(i)] = find(other)
			}
			user[w] = i
		}
	}
	place := make(map[int]int) // leader → index in groups
	var groups [][]*output
	for i, o := range a.outputs {
		leader := find(i)
		if _, ok := place[leader]; !ok {
			place[leader] = len(groups)
			groups = append(groups, nil)
		}
		groups[place[leader]] = append(groups[place[leader]], o)
	}
	return groups
}
