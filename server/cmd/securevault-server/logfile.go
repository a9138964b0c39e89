package main

import (
	"fmt"
	"os"
	"sync"
)

// logFile is a log that can be moved away: reopen begins a new file under the
// old name.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File // guarded by mu
}

func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	return l, l.reopen()
}

// reopen goes on with the old file when there can be no new one.
func (l *logFile) reopen() error {
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening log_file: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // every line has been written by its own call
	}
	l.file = file
	return nil
}

// Write implements io.Writer.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(line)
}
