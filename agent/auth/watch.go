package auth

import (
	"io/fs"
	"os"
	"time"
)

// lookPeriod is how long to wait between two looks at a method's files when
// the method does not say.
const lookPeriod = 5 * time.Second

// watch notices when one of a method's files is written anew. It looks at
// them now and then instead of asking the kernel for events: it sees what
// Kubernetes does (a link to a link that is swapped) and what happens on a
// network file system, for one stat per file and period.
type watch struct {
	paths []string
	every time.Duration
	seen  []fs.FileInfo // of each path when it was last noted; nil for none
}

// newWatch returns the watch of a method, without paths for one that has no
// files. It looks no more often than once in floor.
func newWatch(method Method, floor time.Duration) watch {
	watcher, ok := method.(Watcher)
	if !ok {
		return watch{}
	}
	paths, every := watcher.Watched()
	if every <= 0 {
		every = lookPeriod
	}
	return watch{paths: paths, every: max(every, floor), seen: make([]fs.FileInfo, len(paths))}
}

// note remembers the files as they are. One that is missing leaves what was
// there before: it was removed after reading.
func (w *watch) note() {
	for i, path := range w.paths {
		if info, err := os.Stat(path); err == nil {
			w.seen[i] = info
		}
	}
}

// fresh reports whether a file is there that is not the one noted.
func (w *watch) fresh() bool {
	for i, path := range w.paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		old := w.seen[i]
		if old == nil || !os.SameFile(old, info) || old.Size() != info.Size() || !old.ModTime().Equal(info.ModTime()) {
			return true
		}
	}
	return false
}

// ticker says when to look: never without paths. Stop it when done.
func (w *watch) ticker() (look <-chan time.Time, stop func()) {
	if len(w.paths) == 0 {
		return nil, func() {}
	}
	ticker := time.NewTicker(w.every)
	return ticker.C, ticker.Stop
}
