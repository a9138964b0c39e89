package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/backup"
)

// Backup writes every entry of the store, encrypted as it is, while the server
// goes on.
func (s *Server) Backup(ctx context.Context, to io.Writer) error {
	return WriteBackup(ctx, to, s.seal.Store(), backup.Header{Created: time.Now().UTC(), Version: s.config.Version, Storage: s.config.StoreType})
}

// WriteBackup writes every entry of a store, which may be in use.
func WriteBackup(ctx context.Context, to io.Writer, from store.Store, header backup.Header) error {
	w, err := backup.NewWriter(to, header)
	if err != nil {
		return err
	}
	if err := seal.Copy(ctx, from, w.Put); err != nil {
		return fmt.Errorf("making a backup: %w", err)
	}
	return w.Close()
}

// Restore replaces everything in the store by a backup, which is checked to its
// end before anything changes. The server is sealed then, and the keys that
// unseal it are those of the backup.
func (s *Server) Restore(ctx context.Context, file io.ReadSeeker) error {
	if err := CheckBackup(file); err != nil {
		return err
	}
	s.turning.Lock()
	current, err := s.dismiss(false, func(ctx context.Context) error { return ReadBackup(ctx, s.seal.Store(), file) })
	s.byHand.Store(false) // nobody wanted it sealed: if it can unseal itself, it may
	s.turning.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-current.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the requests under way: %w", ctx.Err())
	}
}

// CheckBackup reads a backup to its end, and goes back to its beginning.
func CheckBackup(file io.ReadSeeker) error {
	if _, _, err := backup.Check(file); err != nil {
		return invalidBackup(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the backup again: %w", err)
	}
	return nil
}

// invalidBackup makes damage the caller's to mend.
func invalidBackup(err error) error {
	if errors.Is(err, backup.ErrDamaged) {
		return fmt.Errorf("%w: %w; nothing was changed, use another backup", seal.ErrInvalid, err)
	}
	return err
}

// ReadBackup replaces everything in a store by a backup that was checked. No
// server may use the store.
func ReadBackup(ctx context.Context, into store.Store, file io.Reader) error {
	r, err := backup.NewReader(file)
	if err != nil {
		return err
	}
	if err := seal.Replace(ctx, into, r.Next); err != nil {
		return fmt.Errorf("restoring a backup: %w", err)
	}
	return nil
}
