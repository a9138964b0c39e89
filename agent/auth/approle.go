package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// AppRole logs in with a role id and a secret id, each read from a file.
// Make one with [NewAppRole].
type AppRole struct {
	mount        string
	roleIDPath   string
	secretIDPath string
	remove       bool
	secretID     vault.Sensitive // kept after its file was removed
}

// NewAppRole returns the method for a mount such as "auth/approle".
// secretIDPath may be empty for a role that is not bound to a secret id.
// With remove the file of the secret id is deleted after it was read, and the
// secret id is kept in memory for later logins.
func NewAppRole(mount, roleIDPath, secretIDPath string, remove bool) *AppRole {
	return &AppRole{mount: strings.Trim(mount, "/"), roleIDPath: roleIDPath, secretIDPath: secretIDPath, remove: remove}
}

// Owns implements [Method].
func (a *AppRole) Owns() bool { return true }

// Login implements [Method].
func (a *AppRole) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	roleID, err := readCredential("role id", a.roleIDPath)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"role_id": roleID.Reveal()}
	if a.secretIDPath != "" {
		if err := a.loadSecretID(); err != nil {
			return nil, err
		}
		body["secret_id"] = a.secretID.Reveal()
	}
	return login(ctx, server, a.mount+"/login", body)
}

// loadSecretID reads the secret id, newly if its file is there: whoever
// writes one means it to be used.
func (a *AppRole) loadSecretID() error {
	secretID, err := readCredential("secret id", a.secretIDPath)
	if errors.Is(err, fs.ErrNotExist) && a.secretID != "" {
		return nil
	}
	if err != nil {
		return err
	}
	a.secretID = secretID
	if !a.remove {
		return nil
	}
	if err := os.Remove(a.secretIDPath); err != nil {
		return fmt.Errorf("removing the secret id after reading: %w; set remove_secret_id_file_after_reading = false to keep it", err)
	}
	return nil
}
