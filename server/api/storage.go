package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Storage is what can be done with everything that the server keeps at once.
type Storage interface {
	// Backup writes the storage, encrypted as it is.
	Backup(ctx context.Context, to io.Writer) error
	// Restore replaces the storage by a backup and seals the server. A file that
	// is no whole backup changes nothing.
	Restore(ctx context.Context, file io.ReadSeeker) error
}

const (
	backupPath  = "sys/storage/backup"
	restorePath = "sys/storage/restore"

	backupType = "application/octet-stream"
	// transferTime is how long a backup may take on its way.
	transferTime = time.Hour
)

// storageHandlers move backups. The core decides who may and keeps a record, as
// of any request; the file itself is too large to be part of one.
func storageHandlers(c Core) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET " + backupPath:  allowed(c, serveBackup),
		"PUT " + restorePath: allowed(c, serveRestore),
	}
}

// transfers reports whether a request moves a backup, whose size and time are
// not bounded like others'. The method counts: any other would have its body
// read into memory before anybody has asked who sent it.
func transfers(r *http.Request) bool {
	switch canonical(r.Method) {
	case http.MethodGet:
		return r.URL.Path == prefix+backupPath
	case http.MethodPut:
		return r.URL.Path == prefix+restorePath
	}
	return false
}

// allowed calls move if the core lets the request pass, without its body.
func allowed(c Core, move func(context.Context, http.ResponseWriter, *http.Request, Core) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bare := r.Clone(r.Context())
		bare.Body = http.NoBody
		req, err := decode(bare)
		if err == nil && req.WrapInfo != nil {
			err = badRequest("a backup cannot be wrapped: leave X-Vault-Wrap-TTL (-wrap-ttl) out")
		}
		if err != nil {
			writeError(w, err)
			return
		}
		resp, err := c.Handle(r.Context(), req)
		if status, err := failure(req, resp, err); status != 0 {
			addHeaders(w, err)
			writeErrors(w, status, err)
			return
		}
		withoutDeadlines(w)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), transferTime)
		defer cancel()
		if err := move(ctx, w, r, c); err != nil {
			writeError(w, err)
		}
	}
}

// withoutDeadlines lets a transfer take its time.
func withoutDeadlines(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // a test's recorder has none
	_ = control.SetWriteDeadline(time.Time{})
}

func serveBackup(ctx context.Context, w http.ResponseWriter, _ *http.Request, c Core) error {
	w.Header().Set("Content-Type", backupType)
	sent := &counter{Writer: w}
	err := c.Backup(ctx, sent)
	if err != nil && sent.n > 0 {
		panic(http.ErrAbortHandler) // the client must not take half a backup for one
	}
	return err
}

// counter counts the bytes of an answer.
type counter struct {
	io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += n
	return n, err
}

func serveRestore(ctx context.Context, w http.ResponseWriter, r *http.Request, c Core) error {
	file, err := os.CreateTemp("", "securevault-restore-") // mode 0600
	if err != nil {
		return fmt.Errorf("keeping the backup: %w", err)
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }()
	if _, err := io.Copy(file, r.Body); err != nil {
		return logical.CodedError(http.StatusBadRequest, "receiving the backup: "+err.Error())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	if err := c.Restore(ctx, file); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
