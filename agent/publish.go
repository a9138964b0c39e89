package agent

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

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
	staged  []*sink.Staged
	err     error
}

// publish switches every group of outputs that is complete, and has the
// changes announced. Outputs that share a secret are one group: their files
// switch together or not at all.
func (a *Agent) publish(snapshot *lease.Snapshot, now time.Time) {
	var due []*switching
	for _, members := range a.groups() {
		members = usable(members, snapshot)
		fresh := slices.DeleteFunc(slices.Clone(members), func(o *output) bool { return o.content == nil })
		if len(fresh) > 0 {
			due = append(due, &switching{members: members, fresh: fresh})
		}
	}
	var work errgroup.Group
	work.SetLimit(stagers)
	for _, s := range due {
		work.Go(func() error {
			s.stage()
			return nil
		})
	}
	_ = work.Wait()
	staged := make([][]*sink.Staged, len(due))
	for i, s := range due {
		staged[i] = s.staged
	}
	for i, err := range sink.PublishGroups(staged) {
		if err = errors.Join(due[i].err, err); err != nil {
			a.sinkFailed(due[i].fresh, err, now)
			continue
		}
		a.announcer.Tell(a.published(due[i]))
	}
}

// usable returns the members of a group that can be published together, none
// if one of them must be waited for: one whose file is in use, or one that is
// only waiting for the server's answer. One that never worked holds up nobody.
func usable(members []*output, snapshot *lease.Snapshot) []*output {
	var out []*output
	for _, o := range members {
		switch {
		case o.err == nil && !o.pending:
			out = append(out, o)
		case o.published, o.err == nil && !o.refused(snapshot):
			return nil
		}
	}
	return out
}

// stage writes the files of a group beside their destinations; none if one
// of them fails.
func (s *switching) stage() {
	for _, o := range s.fresh {
		staged, err := o.file.Stage(o.content)
		if err != nil {
			for _, other := range s.staged {
				other.Discard()
			}
			s.staged, s.err = nil, err
			return
		}
		s.staged = append(s.staged, staged)
	}
}

// sinkFailed records that a group could not be published: each of its outputs
// is evaluated and tried again.
func (a *Agent) sinkFailed(fresh []*output, err error, now time.Time) {
	a.log.Error("publishing failed", zap.Duration("retry", retryDelay), zap.Error(err))
	for _, o := range fresh {
		o.fail(ExitSink, err, now)
	}
}

// published records that the files of a group were switched, and returns what
// the app and the lease manager have to know of it.
func (a *Agent) published(s *switching) announcement {
	what := announcement{versions: make(map[vault.Want]uint64)}
	var generation uint64
	for _, o := range s.members {
		for w, version := range o.versions {
			what.versions[w] = version
			generation = max(generation, version)
		}
	}
	for i, o := range s.fresh {
		o.content, o.published, o.live = nil, true, o.wants
		if !s.staged[i].Changed() {
			continue
		}
		event := notify.Event{Generation: generation, Changed: []string{o.file.Path}}
		for _, hook := range o.hooks {
			what.calls = append(what.calls, notify.Call{Notifier: hook, Event: event})
		}
		a.log.Info("published", zap.String("destination", o.file.Path), zap.Uint64("generation", generation))
	}
	return what
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
