// Package file is the store of a single server: one file, kept by bbolt.
//
// A write has reached the disk when Put or Delete returns. Writers that come
// during an fsync share the next one, so the rate grows with their number;
// readers wait for nobody. The file has mode 0600 and is locked:
// a second process is told that it is in use.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"

	"github.com/novatech/securevault/server/batch"
)

const (
	// lockTimeout is how long Open waits for the process before to end.
	lockTimeout = time.Second
	// writers is how many writes share a transaction.
	writers = 1024

	fileMode   = 0o600
	folderMode = 0o700
)

// Store implements store.Store in one file.
type Store struct {
	db     *bbolt.DB
	writes *batch.Queue[write]
}

// write is one change of a key.
type write struct {
	key   []byte
	value []byte // nil to remove the key
}

// Open opens the store in the file at path, and makes it, with its folder, if
// there is none. Close must be called in the end.
func Open(path string) (*Store, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return nil, fmt.Errorf("making the folder of the store: %w", err)
	}
	db, err := bbolt.Open(path, fileMode, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
	})
	if err != nil {
		return nil, explain(path, err)
	}
	if err := prepare(db, path, folder); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Store{db: db}
	s.writes = batch.New(1, writers, s.commit)
	return s, nil
}

// prepare makes what a new file lacks, and its name durable.
func prepare(db *bbolt.DB, path, folder string) error {
	if err := os.Chmod(path, fileMode); err != nil {
		return fmt.Errorf("protecting the store: %w", err)
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketName())
		return err
	})
	if err != nil {
		return fmt.Errorf("preparing the store %q: %w", path, err)
	}
	return syncFolder(folder)
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("opening the folder of the store: %w", err)
	}
	if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
		return fmt.Errorf("syncing the folder of the store: %w", err)
	}
	return nil
}

// explain says what to do about a file that cannot be opened.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, bberrors.ErrTimeout):
		return fmt.Errorf("opening the store %q: another process has it open; stop that server, or choose another path: %w", path, err)
	case errors.Is(err, bberrors.ErrInvalid), errors.Is(err, bberrors.ErrChecksum), errors.Is(err, bberrors.ErrVersionMismatch):
		return fmt.Errorf("opening the store %q: it is damaged or not a store; restore it from a backup: %w", path, err)
	}
	return fmt.Errorf("opening the store: %w", err)
}

// bucketName is the one bucket that holds every key.
func bucketName() []byte { return []byte("securevault") }

// Close waits for the transactions under way and releases the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (value []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucketName()).Get([]byte(key)))
		return nil
	})
	return value, err
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	switch { // here, so that one bad write does not fail those that share its transaction
	case key == "":
		return bberrors.ErrKeyRequired
	case len(key) > bbolt.MaxKeySize:
		return bberrors.ErrKeyTooLarge
	case len(value) > bbolt.MaxValueSize:
		return bberrors.ErrValueTooLarge
	case value == nil:
		value = []byte{}
	}
	return s.write(ctx, write{[]byte(key), value})
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.write(ctx, write{key: []byte(key)})
}

// write waits until the disk has the write, however long: only then is its
// outcome known.
func (s *Store) write(ctx context.Context, w write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.writes.Do(context.WithoutCancel(ctx), w)
}

// commit makes writes durable, in order, all of them or none.
func (s *Store) commit(writes []write) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketName())
		for _, w := range writes {
			var err error
			if w.value == nil {
				err = bucket.Delete(w.key)
			} else {
				err = bucket.Put(w.key, w.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// List implements store.Store. A folder costs one step, whatever it holds.
func (s *Store) List(ctx context.Context, prefix string) (keys []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor, start := tx.Bucket(bucketName()).Cursor(), []byte(prefix)
		for key, _ := cursor.Seek(start); key != nil && bytes.HasPrefix(key, start); {
			name := key[len(start):]
			slash := bytes.IndexByte(name, '/')
			if slash < 0 {
				keys = append(keys, string(name))
				key, _ = cursor.Next()
				continue
			}
			keys = append(keys, string(name[:slash+1]))
			past := bytes.Clone(key[:len(start)+slash+1])
			past[len(past)-1]++ // the first key that is not in this folder
			key, _ = cursor.Seek(past)
		}
		return nil
	})
	return keys, err
}
