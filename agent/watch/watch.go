// Package watch notices when files are written anew.
//
// [Files] looks at them now and then instead of asking the kernel for events:
// it sees what Kubernetes does (a link to a link that is swapped) and what
// happens on a network file system, for one stat per file and look.
package watch

import (
	"io/fs"
	"os"
)

// Files are watched from the first [Files.Note] on.
type Files struct {
	paths []string
	seen  []fs.FileInfo // of each path when it was last noted; nil for none
}

// New returns the watch of some files and folders.
func New(paths ...string) *Files {
	return &Files{paths: paths, seen: make([]fs.FileInfo, len(paths))}
}

// Empty reports whether there is nothing to watch.
func (f *Files) Empty() bool { return len(f.paths) == 0 }

// Note remembers the files as they are. One that is missing leaves what was
// there before: it was removed after reading.
func (f *Files) Note() {
	for i, path := range f.paths {
		if info, err := os.Stat(path); err == nil {
			f.seen[i] = info
		}
	}
}

// Fresh reports whether a file is there that is not the one noted.
func (f *Files) Fresh() bool {
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		old := f.seen[i]
		if old == nil || !os.SameFile(old, info) || old.Size() != info.Size() || !old.ModTime().Equal(info.ModTime()) {
			return true
		}
	}
	return false
}
