package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/novatech/securevault/sink"
)

// Config says where the state is.
type Config struct {
	Path string
	Key  Key
	// Origin names what the state belongs to: the server and the way to log
	// in. A state of another origin is set aside.
	Origin string
	Getenv func(name string) string
}

// originKey is the record of the origin in the file.
const originKey = "origin"

// Log is an open state. It is safe for concurrent use.
type Log struct {
	path   string
	key    []byte
	origin json.RawMessage
	lock   *os.File // held while the log is open

	mu     sync.Mutex
	file   *os.File
	sealer *sealer
	live   map[string]json.RawMessage // key → value
	size   int64                      // bytes of the file
	floor  int64                      // bytes that it had when it was written anew
}

// worthwhile is how many bytes of superseded records are kept before the file
// is written anew.
const worthwhile = 256 << 10

// Open reads the state, or begins an empty one. A file that cannot be trusted
// is renamed to PATH.rejected-TIME, and the warnings say so; a key beside the
// state is warned of as well. An error means that the agent must not start:
// the key is missing, the folder cannot be written, or another agent uses the
// state.
func Open(cfg Config) (log *Log, warnings []string, err error) {
	key, beside, err := cfg.Key.load(cfg.Path, cfg.Getenv)
	if err != nil {
		return nil, nil, err
	}
	if beside {
		warnings = append(warnings, fmt.Sprintf("the state is sealed by a key beside it, %q: whoever can read both can read the secrets; name a key_file or a credential", cfg.Path+".key"))
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the folder of the state: %w", err)
	}
	origin, err := json.Marshal(cfg.Origin)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the origin of the state: %w", err)
	}
	l := &Log{path: cfg.Path, key: key, origin: origin, live: map[string]json.RawMessage{}}
	if err := l.acquire(); err != nil {
		return nil, nil, err
	}
	if reason := l.read(); reason != nil {
		aside := fmt.Sprintf("%s.rejected-%s", cfg.Path, time.Now().UTC().Format("20060102T150405.000"))
		if err := os.Rename(cfg.Path, aside); err != nil {
			l.release()
			return nil, nil, fmt.Errorf("setting an unusable state aside: %w", err)
		}
		l.live = map[string]json.RawMessage{}
		warnings = append(warnings, fmt.Sprintf("the state %q cannot be trusted: %v; it was renamed to %q, and whatever it held may be alive on the server until its TTL", cfg.Path, reason, aside))
	}
	if err := l.rewrite(); err != nil {
		l.release()
		return nil, nil, err
	}
	return l, warnings, nil
}

// checkOrigin takes the origin out of what was read, and reports a state that
// belongs to something else.
func (l *Log) checkOrigin() error {
	held := l.live[originKey]
	delete(l.live, originKey)
	if len(l.live) > 0 && !bytes.Equal(held, l.origin) {
		return fmt.Errorf("it belongs to %s, the configuration says %s", held, l.origin)
	}
	return nil
}

// acquire makes sure that no other agent uses the state. The lock is a file of
// its own, since the state's file is replaced now and then.
func (l *Log) acquire() error {
	lock, err := os.OpenFile(l.path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("locking the state: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return fmt.Errorf("locking the state %q: another agent uses it; give each agent its own state path", l.path)
	}
	l.lock = lock
	return nil
}

func (l *Log) release() { _ = l.lock.Close() }

// read takes over what the file says. The error says why it cannot be trusted.
func (l *Log) read() error {
	file, err := os.Open(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	id, err := readHead(file)
	if err != nil {
		return err
	}
	opener, err := newSealer(l.key, id)
	if err != nil {
		return err
	}
	for {
		records, err := opener.open(file)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			// A torn frame was never reported as written.
			return l.checkOrigin()
		case err != nil:
			return err
		}
		l.apply(records)
	}
}

func (l *Log) apply(records []Record) {
	for _, r := range records {
		if r.Value == nil {
			delete(l.live, r.Key)
		} else {
			l.live[r.Key] = r.Value
		}
	}
}

// Records returns what the state holds, by key.
func (l *Log) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records()
}

func (l *Log) records() []Record {
	records := make([]Record, 0, len(l.live))
	for _, key := range slices.Sorted(maps.Keys(l.live)) {
		records = append(records, Record{key, l.live[key]})
	}
	return records
}

// Append writes records, all or none, and has them reach the disk. After an
// error the state is as it was before, and the log can be used further.
func (l *Log) Append(records ...Record) error {
	if len(records) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.size-l.floor > worthwhile+l.floor {
		return l.replaceWith(records)
	}
	frame, err := l.sealer.seal(records)
	if err != nil {
		return err
	}
	if err := l.write(frame); err != nil {
		// Whatever reached the file must not be taken for a frame later, nor
		// its nonce be used for other content: the next write begins anew.
		_ = l.file.Close()
		l.file = nil
		return fmt.Errorf("writing the state %q: %w; free some space or correct its permissions", l.path, err)
	}
	l.size += int64(len(frame))
	l.apply(records)
	return nil
}

func (l *Log) write(frame []byte) error {
	if _, err := l.file.Write(frame); err != nil {
		return err
	}
	return l.file.Sync()
}

// replaceWith applies records and writes the file anew, without what was
// superseded.
func (l *Log) replaceWith(records []Record) error {
	before := maps.Clone(l.live)
	l.apply(records)
	if err := l.rewrite(); err != nil {
		l.live = before
		return err
	}
	return nil
}

// rewrite puts a new file with the live records in the place of the old one.
func (l *Log) rewrite() error {
	head := newHead()
	fresh, err := newSealer(l.key, head[len(magic):])
	if err != nil {
		return err
	}
	frame, err := fresh.seal(append(l.records(), Record{originKey, l.origin}))
	if err != nil {
		return err
	}
	content := append(head, frame...)
	if _, err := (sink.File{Path: l.path, Mode: 0o600}).Write(content); err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("opening the state: %w", err)
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file, l.sealer = file, fresh
	l.size, l.floor = int64(len(content)), int64(len(content))
	return nil
}

// Close ends the use of the state. Nothing is left to be written.
func (l *Log) Close() error {
	defer l.release()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
