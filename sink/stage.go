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
	file    File
	target  string // the file itself, where the path is a link
	temp    string // empty once published or discarded, or if nothing changed
	repair  bool   // the content is there, its mode or owner is wrong
	mode    fs.FileMode
	owner   ids
	changed bool
}

// Stage writes content to a temporary file in the folder of the destination,
// and to the disk. The destination stays as it is. Stage may be called for
// different files at the same time, which spreads the cost of reaching the disk.
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
	s := &Staged{file: f, target: target, mode: f.Mode, owner: wanted}
	old, err := examine(target, content)
	if err != nil {
		return nil, err
	}
	if s.mode == 0 {
		s.mode = DefaultMode
		if old.exists {
			s.mode = old.mode.Perm()
		}
	}
	if old.same {
		s.repair = old.mode != s.mode || old.owner != wanted.or(old.owner)
		return s, nil
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
	s.changed = true
	return s, s.write(content, old)
}

// found is what is at a destination before it is written.
type found struct {
	exists bool
	same   bool // its content is the new one already
	mode   fs.FileMode
	owner  ids
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

// write makes the temporary file. It is gone again if that fails.
func (s *Staged) write(content []byte, old found) (err error) {
	temp := tempName(s.target)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			s.temp = ""
			_ = os.Remove(temp)
		}
	}()
	if err := s.own(file, old); err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	s.temp = temp
	return nil
}

// own sets owner and mode of the temporary file. The ids of the file that it
// replaces are kept where that is allowed; only those asked for are a must.
func (s *Staged) own(file *os.File, old found) error {
	keep := s.owner.or(old.owner)
	err := give(file, keep, s.mode)
	if err != nil && keep != s.owner {
		err = give(file, s.owner, s.mode)
	}
	return err
}

// Changed reports whether the content differs from what is at the
// destination. If not, committing at most puts mode and owner right.
func (s *Staged) Changed() bool { return s.changed }

// Commit replaces the destination. See [Publish].
func (s *Staged) Commit() error { return Publish(s) }

// Discard removes what was staged. The destination stays as it is. After
// Commit or Discard it does nothing.
func (s *Staged) Discard() {
	if s.temp != "" {
		_ = os.Remove(s.temp)
	}
	s.temp, s.repair = "", false
}

// Write stages and commits content, and reports whether it was a change.
func (f File) Write(content []byte) (changed bool, err error) {
	s, err := f.Stage(content)
	if err != nil {
		return false, err
	}
	return s.Changed(), s.Commit()
}
