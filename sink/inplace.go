package sink

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A file that is mounted by itself cannot be replaced: the name belongs to the
// mount, and whoever mounted it looks at the one file behind it. It has to be
// written over, which no system call does whole. What is done about it:
//
//   - The disk sets the space aside while staging, so that a full one is told
//     of while the old content stands.
//   - The content is written from the start, in one call, and what is longer of
//     the old is cut off after that. A reader in between finds the beginning of
//     the new content, followed by the rest of the old, but never less than the
//     shorter of the two.
//   - If writing fails, the old content is put back.
//   - An agent killed in between leaves the two mixed until its next start,
//     which compares, finds them different, and writes again.
//   - The backup is a copy, complete and on the disk before the first byte of
//     the file changes. It is beside the file, where the folder is written to;
//     without Backup the folder may be read-only.

// reserve prepares content to be written over a file that exists.
func (s *Staged) reserve(content []byte) error {
	file, err := os.OpenFile(s.target, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := allocate(file, int64(len(content))); err != nil {
		return err
	}
	s.over = append([]byte{}, content...)
	return nil
}

// overwrite writes the content over the destination.
func (s *Staged) overwrite() error {
	old, err := os.ReadFile(s.target)
	readable := err == nil
	if s.backup {
		if err == nil {
			err = s.copyToBackup(old)
		}
		if err != nil {
			return fmt.Errorf("keeping the old file as a backup: %w", bare(err))
		}
	}
	file, err := os.OpenFile(s.target, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := fill(file, s.over); err != nil {
		if readable {
			err = errors.Join(err, fill(file, old))
		}
		return err
	}
	s.over = nil
	return nil
}

// copyToBackup writes what a file holds to NAME.bak, as readable as the file.
func (s *Staged) copyToBackup(content []byte) error {
	info, err := os.Stat(s.target)
	if err != nil {
		return err
	}
	temp := tempName(s.target)
	if err := create(temp, content, modeOf(info), ids{unset, unset}, owners(info)); err != nil {
		return err
	}
	if err := os.Rename(temp, s.target+backupSuffix); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}

// fill makes content all that an open file holds, and has it reach the disk.
func fill(file *os.File, content []byte) error {
	if _, err := file.WriteAt(content, 0); err != nil {
		return bare(err)
	}
	if err := file.Truncate(int64(len(content))); err != nil {
		return bare(err)
	}
	return bare(file.Sync())
}
