package agent

import (
	"context"
	"errors"
	"path/filepath"
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
// switch together or not at all.
func (a *Agent) publish(ctx context.Context, snapshot *lease.Snapshot, now time.Time) {
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
			s.stage(ctx)
			return nil
		})
	}
	_ = work.Wait()
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

// check runs the checks of all outputs with new content, each with all the
// files of the group.
func (s *switching) check(ctx context.Context) error {
	var files []check.Staged
	changed := make(map[*output]bool)
	for _, staged := range s.staged {
		files = append(files, staged.lies()...)
		changed[staged.output] = changed[staged.output] || staged.Changed()
	}
	for _, o := range s.fresh {
		if !changed[o] {
			continue
		}
		for _, c := range o.checks {
			if err := c.Run(ctx, files...); err != nil {
				return err
			}
		}
	}
	return nil
}

// lies tells where the new content is until it is published.
func (s stagedFile) lies() []check.Staged {
	group := s.output.folder
	if group == nil {
		return []check.Staged{{Destination: s.Destination(), Path: s.Path()}}
	}
	var files []check.Staged
	for _, m := range group.Files {
		files = append(files, check.Staged{Destination: filepath.Join(group.Directory, m.Name), Path: filepath.Join(s.Path(), m.Name)})
	}
	return files
}

// sinkFailed records that a group could not be published: each of its outputs
// is evaluated and tried again.
func (a *Agent) sinkFailed(fresh []*output, err error, now time.Time) {
	a.log.Error("publishing failed", zap.Duration("retry", retryDelay), zap.Error(err))
	code := ExitSink
	if f, ok := errors.AsType[failure](err); ok {
		code = f.code
	}
	for _, o := range fresh {
		o.fail(code, err, now)
	}
}

// published records that the files of a group were switched, and returns what
// the app and the lease manager have to know of it.
func (a *Agent) published(s *switching, now time.Time) announcement {
	what := announcement{versions: make(map[vault.Want]uint64)}
	var generation uint64
	for _, o := range s.members {
		for w, version := range o.versions {
			what.versions[w] = version
		}
		generation = max(generation, newest(o.versions))
	}
	for _, o := range s.fresh {
		o.content, o.effects, o.published, o.live = nil, nil, true, o.wants
		o.generation = newest(o.versions)
	}
	for _, staged := range s.staged {
		if !staged.Changed() {
			continue
		}
		staged.output.changed = now
		event := notify.Event{Generation: generation, Changed: staged.Paths()}
		for _, hook := range staged.output.hooks {
			what.calls = append(what.calls, notify.Call{Notifier: hook, Event: event})
		}
		for _, path := range staged.Paths() {
			a.log.Info("published", zap.String("destination", path), zap.Uint64("generation", generation))
		}
	}
	return what
}

// newest returns the highest of the versions.
func newest(versions map[vault.Want]uint64) (generation uint64) {
	for _, version := range versions {
		generation = max(generation, version)
	}
	return generation
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
