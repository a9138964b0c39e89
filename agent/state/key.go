package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/novatech/securevault/sink"
)

// minKey is the least length of a sealing key in bytes. A longer one is used
// whole.
const minKey = 32

// Key says where the sealing key is. With neither field it is a file beside
// the state, made at the first start.
type Key struct {
	File       string // path of a file
	Credential string // name of a file in $CREDENTIALS_DIRECTORY; see systemd.exec(5)
}

// load returns the sealing key, and whether it was made beside the state:
// then whoever can read the one can read the other.
func (k Key) load(statePath string, getenv func(string) string) (key []byte, beside bool, err error) {
	switch {
	case k.File != "":
		key, err = readKey(k.File)
		return key, false, err
	case k.Credential != "":
		folder := getenv("CREDENTIALS_DIRECTORY")
		if folder == "" {
			return nil, false, fmt.Errorf("reading the sealing key: CREDENTIALS_DIRECTORY is not set; start the agent by systemd with LoadCredential=%s:PATH", k.Credential)
		}
		if filepath.Base(k.Credential) != k.Credential {
			return nil, false, fmt.Errorf("reading the sealing key: credential %q must be a name, not a path", k.Credential)
		}
		key, err = readKey(filepath.Join(folder, k.Credential))
		return key, false, err
	}
	path := statePath + ".key"
	key, err = readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(path)
	}
	return key, true, err
}

func readKey(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the sealing key: %w", err)
	}
	key := []byte(strings.TrimSpace(string(content)))
	if len(key) < minKey {
		return nil, fmt.Errorf("reading the sealing key: %q holds %d bytes, want %d or more; make one with head -c 32 /dev/urandom | base64", path, len(key), minKey)
	}
	return key, nil
}

func makeKey(path string) ([]byte, error) {
	key := []byte(rand.Text() + rand.Text()) // 52 characters, 256 bits and some
	if _, err := (sink.File{Path: path, Mode: 0o600, CreateDirs: true}).Write(key); err != nil {
		return nil, fmt.Errorf("making a sealing key: %w", err)
	}
	return key, nil
}
