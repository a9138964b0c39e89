package sink

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Publish replaces the destinations of all that is staged, in the order given,
// and then has the folders reach the disk. If one cannot be replaced those
// before it are published, and it and those after it are discarded.
func Publish(staged ...*Staged) error {
	return PublishGroups([][]*Staged{staged})[0]
}

// PublishGroups publishes several groups, each as [Publish] does and whatever
// becomes of the others, and has each folder reach the disk only once. It
// returns the error of each group.
func PublishGroups(groups [][]*Staged) []error {
	errs := make([]error, len(groups))
	users := make(map[string][]int) // folder → the groups with a file in it
	for i, group := range groups {
		errs[i] = replace(group, func(folder string) { users[folder] = append(users[folder], i) })
	}
	for folder, indices := range users {
		if err := syncFolder(folder); err != nil {
			for _, i := range indices {
				errs[i] = errors.Join(errs[i], failed("having the disk keep the folder", folder, err))
			}
		}
	}
	for i, group := range groups {
		for _, s := range group {
			if err := s.end(true); err != nil {
				errs[i] = errors.Join(errs[i], failed("publishing", s.path, err))
			}
		}
	}
	return errs
}

// replace switches the destinations of one group, and reports the folders that
// this changes.
func replace(staged []*Staged, changes func(folder string)) error {
	for i, s := range staged {
		if s.temp != "" {
			changes(filepath.Dir(s.target))
		}
		if err := s.publish(); err != nil {
			for _, rest := range staged[i:] {
				rest.Discard()
			}
			return failed("publishing", s.path, err)
		}
	}
	return nil
}

func (s *Staged) publish() error {
	for _, r := range s.repairs {
		if err := r.do(); err != nil {
			return err
		}
	}
	s.repairs = nil
	switch {
	case s.over != nil:
		return s.overwrite()
	case s.temp == "":
		return nil
	}
	if s.backup {
		if err := backup(s.target); err != nil {
			return fmt.Errorf("keeping the old file as a backup: %w", err)
		}
	}
	if err := os.Rename(s.temp, s.target); err != nil {
		return err
	}
	s.temp = ""
	return nil
}

// backup gives the file at path a second name, NAME.bak, which replaces an
// older one at once.
func backup(path string) error {
	temp := tempName(path)
	err := os.Link(path, temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if err = os.Rename(temp, path+backupSuffix); err == nil {
			_ = os.Remove(temp) // rename leaves both names when they are one file already
			return nil
		}
		_ = os.Remove(temp)
	}
	return bare(err)
}

// syncFolder makes renames in a folder last. File systems that cannot do it
// for a folder say so by EINVAL or ENOTSUP.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

const (
	backupSuffix = ".bak"

	tempSuffix = ".tmp"
	tempRandom = 8 // bytes
)

// tempName returns a new name beside path: .NAME.RANDOM.tmp.
func tempName(path string) string {
	random := make([]byte, tempRandom)
	_, _ = rand.Read(random) // never fails
	folder, name := filepath.Split(path)
	return folder + "." + name + "." + hex.EncodeToString(random) + tempSuffix
}

// tempOf returns the name of the destination that a temporary file is for.
func tempOf(temp string) (name string, ok bool) {
	rest, ok := strings.CutSuffix(temp, tempSuffix)
	if !ok || !strings.HasPrefix(rest, ".") {
		return "", false
	}
	dot := strings.LastIndexByte(rest, '.')
	random, err := hex.DecodeString(rest[dot+1:])
	if err != nil || len(random) != tempRandom || dot < 2 {
		return "", false
	}
	return rest[1:dot], true
}

// Sweep removes what runs that were killed left beside the given destinations:
// temporary files of exactly theirs that were last written before the given
// time, the start of this process. It reads each folder once, so call it for
// all files together. What cannot be read or removed is left for another time.
func Sweep(before time.Time, files ...File) {
	folders := make(map[string]map[string]bool) // folder → names of destinations
	for _, f := range files {
		target, err := follow(f.Path)
		if err != nil {
			continue
		}
		folder, name := filepath.Dir(target), filepath.Base(target)
		if folders[folder] == nil {
			folders[folder] = make(map[string]bool)
		}
		folders[folder][name] = true
	}
	for folder, names := range folders {
		entries, _ := os.ReadDir(folder)
		for _, entry := range entries {
			name, ok := tempOf(entry.Name())
			if !ok || !names[name] || !entry.Type().IsRegular() {
				continue
			}
			if info, err := entry.Info(); err == nil && info.ModTime().Before(before) {
				_ = os.Remove(filepath.Join(folder, entry.Name()))
			}
		}
	}
}
