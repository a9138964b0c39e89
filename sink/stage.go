package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Staged is content that waits beside its destination. End it with
// [Staged.Commit], [Publish] or [Staged.Discard].
type Staged struct {
	path    string                // of the destination, as the user wrote it
	target  string                // what is replaced: the file itself, where the path is a link
	temp    string                // what replaces it; empty once that is done, or if nothing changed
	over    []byte                // what is to be written over it instead; nil likewise
	backup  bool                  // keep what is replaced
	repairs []repair              // of what has the right content already
	changed []string              // the paths whose content is new
	settle  func(kept bool) error // puts the surroundings in order; nil if there is nothing to do
}

// repair puts mode and owner of a file right.
type repair struct {
	path  string
	mode  fs.FileMode
	owner ids
}

func (r repair) do() error {
	file, err := os.OpenFile(r.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return give(file, r.owner, r.mode)
}

// Stage writes content to a temporary file in the folder of the destination,
// and to the disk; with InPlace it sets space aside and keeps the content. The
// destination stays as it is. Stage may be called for different files at the
// same time, which spreads the cost of reaching the disk.
func (f File) Stage(content []byte) (*Staged, error) {
	s, err := f.stage(content)
	if err != nil {
		return nil, failed("staging", f.Path, err)
	}
	return s, nil
}

func (f File) stage(content []byte) (*Staged, error) {
	wanted, err := f.ids()
	if err != nil {
		return nil, err
	}
	target, err := f.target()
	if err != nil {
		return nil, err
	}
	s := &Staged{path: f.Path, target: target, backup: f.Backup}
	old, err := examine(target, content)
	if err != nil {
		return nil, err
	}
	mode := f.Mode
	if mode == 0 {
		mode = DefaultMode
		if old.exists {
			mode = old.mode.Perm()
		}
	}
	stays := old.exists && (old.same || f.InPlace)
	if stays {
		s.repairs = old.repairs(target, mode, wanted)
	}
	if old.same {
		return s, nil
	}
	s.changed = []string{f.Path}
	if stays {
		return s, s.reserve(content)
	}
	folder := filepath.Dir(target)
	if f.CreateDirs {
		if err := os.MkdirAll(folder, folderMode); err != nil {
			return nil, fmt.Errorf("making the folder %q: %w", folder, bare(err))
		}
	}
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	temp := tempName(target)
	if err := create(temp, content, mode, wanted, old.owner); err != nil {
		return nil, err
	}
	s.temp = temp
	return s, nil
}

// found is what is at a destination before it is written.
type found struct {
	exists bool
	same   bool // its content is the new one already
	mode   fs.FileMode
	owner  ids
}

// repairs returns what has to be done for a file to have that mode and owner.
func (f found) repairs(path string, mode fs.FileMode, wanted ids) []repair {
	if f.mode == mode && f.owner == wanted.or(f.owner) {
		return nil
	}
	return []repair{{path, mode, wanted}}
}

// examine compares the file at path with content. A file that we may not
// read counts as different.
func examine(path string, content []byte) (found, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return found{owner: ids{unset, unset}}, nil
	}
	if err != nil {
		return found{}, err
	}
	if err := checkRegular(info); err != nil {
		return found{}, err
	}
	old := found{exists: true, mode: modeOf(info), owner: owners(info)}
	if info.Size() != int64(len(content)) {
		return old, nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return old, nil
	}
	defer func() { _ = file.Close() }()
	current, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	old.same = err == nil && bytes.Equal(current, content)
	return old, nil
}

// modeOf returns the bits of a mode that chmod(2) sets.
func modeOf(info fs.FileInfo) fs.FileMode {
	return info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// create makes a file with its mode, owner and content, and has it reach the
// disk. The ids in keep are taken where that is allowed and wanted says nothing
// else. If anything fails the file is gone again.
func create(path string, content []byte, mode fs.FileMode, wanted, keep ids) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	both := wanted.or(keep)
	err = give(file, both, mode)
	if err != nil && both != wanted {
		err = give(file, wanted, mode)
	}
	if err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Sync()
}

// Changed reports whether the content differs from what is at the
// destination. If not, committing at most puts mode and owner right.
func (s *Staged) Changed() bool { return len(s.changed) > 0 }

// Paths returns the paths whose content is new: the destination, or those of
// the files of a [Group] that differ.
func (s *Staged) Paths() []string { return s.changed }

// Commit replaces the destination. See [Publish].
func (s *Staged) Commit() error { return Publish(s) }

// Discard removes what was staged. The destination stays as it is. After
// Commit or Discard it does nothing.
func (s *Staged) Discard() {
	if s.temp != "" {
		_ = os.Remove(s.temp)
	}
	s.temp, s.over, s.repairs = "", nil, nil
	_ = s.end(false) // nothing has changed; what is left over is found by the next run
}

// end puts the surroundings in order, once, now that the staged content was
// kept or not.
func (s *Staged) end(kept bool) error {
	settle := s.settle
	if settle == nil {
		return nil
	}
	s.settle = nil
	return settle(kept)
}

// Write stages and commits content, and reports whether it was a change.
func (f File) Write(content []byte) (changed bool, err error) {
	s, err := f.Stage(content)
	if err != nil {
		return false, err
	}
	return s.Changed(), s.Commit()
}
