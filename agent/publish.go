package agent

import (
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

// publish switches every group of outputs that is complete, and has the
// changes announced. Outputs that share a secret are one group: their files
// switch together or not at all.
func (a *Agent) publish(snapshot *lease.Snapshot, now time.Time) {
	if !slices.ContainsFunc(a.outputs, func(o *output) bool { return o.content != nil }) {
		return
	}
	groups := a.groups()
	told := make([]announcement, len(groups))
	var work errgroup.Group
	work.SetLimit(stagers)
	for i, members := range groups {
		members = usable(members, snapshot)
		if !slices.ContainsFunc(members, func(o *output) bool { return o.content != nil }) {
			continue
		}
		work.Go(func() error {
			told[i] = a.publishGroup(members, now)
			return nil
		})
	}
	_ = work.Wait()
	for _, what := range told {
		if what.versions != nil {
			a.announcer.Tell(what)
		}
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

// publishGroup stages all files of a group and switches them. If one fails
// the others stay as they are, and there is nothing to announce.
func (a *Agent) publishGroup(members []*output, now time.Time) announcement {
	fresh := slices.DeleteFunc(slices.Clone(members), func(o *output) bool { return o.content == nil })
	staged := make([]*sink.Staged, 0, len(fresh))
	defer func() {
		for _, s := range staged {
			s.Discard()
		}
	}()
	for _, o := range fresh {
		s, err := o.file.Stage(o.content)
		if err != nil {
			a.sinkFailed(fresh, err, now)
			return announcement{}
		}
		staged = append(staged, s)
	}
	changed := make([]bool, len(fresh))
	for i, s := range staged {
		changed[i] = s.Changed()
	}
	if err := sink.Publish(staged...); err != nil {
		a.sinkFailed(fresh, err, now)
		return announcement{}
	}
	return a.published(members, fresh, changed)
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
func (a *Agent) published(members, fresh []*output, changed []bool) announcement {
	what := announcement{versions: make(map[vault.Want]uint64)}
	var generation uint64
	for _, o := range members {
		for w, version := range o.versions {
			what.versions[w] = version
			generation = max(generation, version)
		}
	}
	for i, o := range fresh {
		o.content, o.published, o.live = nil, true, o.wants
		if !changed[i] {
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
