package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	fileMode   = 0o600
	folderMode = 0o700
	// pipeTimeout bounds the wait for the reader of a FIFO.
	pipeTimeout = 2 * time.Second
)

// file appends to a file; "stdout" and "discard" stand for no file at all.
type file struct {
	path string
	mode fs.FileMode // 0: as it is
	file *os.File    // nil to discard
	torn bool        // the last line has no end
}

func fileOptions(o *options) func() (sink, error) {
	path := o.text("file_path", "")
	if older := o.text("path", ""); path == "" {
		path = older
	}
	digits := o.text("mode", "0600")
	return func() (sink, error) {
		bits, err := strconv.ParseUint(digits, 8, 9)
		if err != nil {
			return nil, fmt.Errorf("option mode: %q: write octal digits such as 0600", digits)
		}
		f := &file{path: path, mode: fs.FileMode(bits)}
		switch path {
		case "":
			return nil, errors.New("option file_path is missing: name a file, or stdout")
		case "stdout":
			f.file = os.Stdout
			return f, nil
		case "discard":
			return f, nil
		}
		return f, f.open()
	}
}

func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), folderMode); err != nil {
		return fmt.Errorf("making the folder of the audit file: %w", err)
	}
	// Not to block keeps a FIFO that nobody reads from stalling the server.
	opened, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, fileMode)
	if err != nil {
		return fmt.Errorf("opening the audit file: %w", err)
	}
	if err := f.setMode(opened); err != nil {
		return errors.Join(fmt.Errorf("setting the mode of the audit file: %w", err), opened.Close())
	}
	f.file = opened
	return nil
}

// setMode leaves everything but files alone: /dev/null is everybody's.
func (f *file) setMode(opened *os.File) error {
	info, err := opened.Stat()
	if err != nil || f.mode == 0 || !info.Mode().IsRegular() {
		return err
	}
	return opened.Chmod(f.mode)
}

// write begins a new line if the last one was cut short, as by a full disk: else
// this record could not be read either.
func (f *file) write(line []byte) error {
	if f.file == nil {
		return nil
	}
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	if err := f.file.SetWriteDeadline(time.Now().Add(pipeTimeout)); err != nil && !errors.Is(err, os.ErrNoDeadline) { // as files have none
		return err
	}
	n, err := f.file.Write(line)
	f.torn = err != nil && (f.torn || n > 0)
	return err
}

// reopen goes on with the old file when there can be no new one.
func (f *file) reopen() error {
	if f.file == nil || f.file == os.Stdout {
		return nil
	}
	old := f.file
	if err := f.open(); err != nil {
		return err
	}
	return old.Close()
}

func (f *file) close() error {
	if f.file == nil || f.file == os.Stdout {
		return nil
	}
	return f.file.Close()
}
