package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// logStamp is put into the name of a log file that another follows. Names
	// are in the order of time, to the nanosecond.
	logStamp = "20060102T150405.000000000Z"
	// rotationRetry is between two tries to begin a new log file.
	rotationRetry = time.Minute
)

// rotation says when a log file has been written for long enough, and what
// becomes of it.
type rotation struct {
	size int64         // bytes that no file exceeds, but for a single longer line; 0 for no limit
	age  time.Duration // of a file with anything in it; 0 for no limit
	keep int           // old files; 0 for all, -1 for none
}

// logFile is a file to log to, app.log say. One that is full is renamed to
// app-TIME.log, and a new one begun. Each write is one line, and goes to one
// file; while no new one can be begun, the old one is written on. What is not a
// regular file is never renamed. A nil logFile is none.
type logFile struct {
	path     string
	rotation rotation

	mu      sync.Mutex
	file    *os.File
	size    int64     // bytes
	since   time.Time // when the file was begun
	regular bool
	retryAt time.Time // of a rotation that failed
}

// openLogFile opens a file to log to, and makes it if it is missing.
func openLogFile(path string, r rotation) (*logFile, error) {
	l := &logFile{path: path, rotation: r}
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// Reopen opens the file of that name, for the case that somebody has renamed
// the one in use. If it cannot, the one in use stays so.
func (l *logFile) Reopen() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening log_file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("opening log_file: %w", err)
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file, l.size, l.regular = file, info.Size(), info.Mode().IsRegular()
	l.since = begun(file, info)
	return nil
}

// begun returns when a file was made or, where the file system does not say,
// written last.
func begun(file *os.File, info os.FileInfo) time.Time {
	var facts unix.Statx_t
	err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &facts)
	if err != nil || facts.Mask&unix.STATX_BTIME == 0 {
		return info.ModTime()
	}
	return time.Unix(facts.Btime.Sec, int64(facts.Btime.Nsec))
}

// Write implements [io.Writer]. The line is written even if the error says
// that no new file could be begun for it.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.size == 0 {
		l.since = now
	}
	var failed error
	if l.full(len(line), now) {
		if failed = l.rotate(now); failed != nil {
			failed, l.retryAt = fmt.Errorf("changing the log file: %w", failed), now.Add(rotationRetry)
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, errors.Join(failed, err)
}

// full reports whether a line of that many bytes belongs into a new file.
func (l *logFile) full(more int, now time.Time) bool {
	if l.size == 0 || !l.regular || now.Before(l.retryAt) {
		return false
	}
	r := l.rotation
	return r.size > 0 && l.size+int64(more) > r.size || r.age > 0 && now.Sub(l.since) >= r.age
}

// rotate renames the file and begins a new one. After an error the old one is
// in use, by its old name if possible.
func (l *logFile) rotate(now time.Time) error {
	old := l.free(now)
	err := os.Rename(l.path, old)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // somebody else may have renamed it
		return err
	}
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		_ = os.Rename(old, l.path)
		return err
	}
	_ = l.file.Close()
	l.file, l.size, l.since = file, 0, now
	return l.prune()
}

// free returns a name for the file of now that is not taken.
func (l *logFile) free(now time.Time) string {
	extension := filepath.Ext(l.path)
	for {
		name := strings.TrimSuffix(l.path, extension) + "-" + now.UTC().Format(logStamp) + extension
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		now = now.Add(1)
	}
}

// prune removes the old files that are not to be kept.
func (l *logFile) prune() error {
	if l.rotation.keep == 0 {
		return nil
	}
	old, err := l.old()
	var errs []error
	for _, name := range old[:max(0, len(old)-max(0, l.rotation.keep))] {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(append(errs, err)...)
}

// old returns the files that others have followed, oldest first. One whose
// name holds anything but a time is not ours.
func (l *logFile) old() ([]string, error) {
	folder, base := filepath.Split(l.path)
	entries, err := os.ReadDir(filepath.Clean(folder + "."))
	if err != nil {
		return nil, err
	}
	extension := filepath.Ext(base)
	prefix := strings.TrimSuffix(base, extension) + "-"
	var old []string
	for _, entry := range entries {
		stamp := strings.TrimSuffix(strings.TrimPrefix(entry.Name(), prefix), extension)
		if _, err := time.Parse(logStamp, stamp); err == nil && entry.Name() == prefix+stamp+extension {
			old = append(old, filepath.Join(folder, entry.Name()))
		}
	}
	slices.Sort(old)
	return old, nil
}

// Close ends the use of the file.
func (l *logFile) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
