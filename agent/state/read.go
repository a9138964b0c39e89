package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Read returns what the state holds and leaves everything as it is: no file
// is made or set aside, and an agent may be using the state meanwhile. A state
// that is missing holds nothing. An error says why the next start would not
// use what is there.
func Read(cfg Config) ([]Record, error) {
	if _, err := os.Stat(cfg.Path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if cfg.Key == (Key{}) {
		cfg.Key.File = cfg.Path + ".key" // not to be made here
	}
	key, _, err := cfg.Key.load(cfg.Path, cfg.Getenv)
	if err != nil {
		return nil, err
	}
	origin, err := json.Marshal(cfg.Origin)
	if err != nil {
		return nil, fmt.Errorf("encoding the origin of the state: %w", err)
	}
	l := &Log{path: cfg.Path, key: key, origin: origin, live: map[string]json.RawMessage{}}
	if err := l.read(); err != nil {
		return nil, fmt.Errorf("reading the state %q: %w", cfg.Path, err)
	}
	return l.records(), nil
}
