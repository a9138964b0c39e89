package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// AppRoleConfig says where the credentials of an AppRole are.
type AppRoleConfig struct {
	Mount        string // "auth/approle"
	RoleIDPath   string
	SecretIDPath string // empty for a role that is not bound to a secret id
	// Remove deletes the file of the secret id after it was read; the secret
	// id is kept in memory for later logins.
	Remove bool
	// WrappingPath is the path at which the secret id was made and wrapped,
	// such as "auth/approle/role/app/secret-id": the file holds a wrapping
	// token then. Empty for a secret id in clear.
	WrappingPath string
}

// AppRole logs in with a role id and a secret id, each read from a file.
// Make one with [NewAppRole].
type AppRole struct {
	mount
	roleIDPath   string
	secretID     credentialFile
	wrappingPath string
	wrapping     vault.Sensitive // token that was unwrapped last
	unwrapped    vault.Sensitive // what it held: a token is good for one look
}

// NewAppRole returns the method.
func NewAppRole(cfg AppRoleConfig) *AppRole {
	return &AppRole{
		mount:      newMount(cfg.Mount),
		roleIDPath: cfg.RoleIDPath,
		secretID: credentialFile{
			what: "secret id", path: cfg.SecretIDPath, remove: cfg.Remove, option: "remove_secret_id_file_after_reading",
		},
		wrappingPath: strings.Trim(cfg.WrappingPath, "/"),
	}
}

// Watched implements [Watcher].
func (a *AppRole) Watched() ([]string, time.Duration) {
	if a.secretID.path == "" {
		return []string{a.roleIDPath}, 0
	}
	return []string{a.roleIDPath, a.secretID.path}, 0
}

// Login implements [Method].
func (a *AppRole) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	roleID, err := readCredential("role id", a.roleIDPath)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"role_id": roleID.Reveal()}
	if a.secretID.path != "" {
		secretID, err := a.secretID.read()
		if err == nil && a.wrappingPath != "" {
			secretID, err = a.unwrap(ctx, server, secretID)
		}
		if err != nil {
			return nil, err
		}
		body["secret_id"] = secretID.Reveal()
	}
	return server.Login(ctx, a.login(), body)
}

// unwrap exchanges a wrapping token for the secret id inside. It looks first
// where the token was made: one made elsewhere was put there by somebody who
// wants the agent to log in as somebody else.
func (a *AppRole) unwrap(ctx context.Context, server Server, wrapping vault.Sensitive) (vault.Sensitive, error) {
	if wrapping == a.wrapping {
		return a.unwrapped, nil
	}
	info, err := server.Write(ctx, "", "sys/wrapping/lookup", map[string]any{"token": wrapping.Reveal()})
	if err != nil {
		return "", a.unusable(err)
	}
	var made string
	if info != nil {
		made, _ = info.Data["creation_path"].(string)
	}
	if strings.Trim(made, "/") != a.wrappingPath {
		return "", fmt.Errorf("unwrapping the secret id of %q: the wrapping token was made at %q, "+
			"not at %q as secret_id_response_wrapping_path says; find out who wrote it before you change either",
			a.secretID.path, made, a.wrappingPath)
	}
	secret, err := server.Write(ctx, wrapping, "sys/wrapping/unwrap", map[string]any{})
	if err != nil {
		return "", a.unusable(err)
	}
	var value string
	if secret != nil {
		value, _ = secret.Data["secret_id"].(string)
	}
	if value == "" {
		return "", errors.New("unwrapping the secret id: the answer carries none; wrap the answer of a secret-id path of the role")
	}
	a.wrapping, a.unwrapped = wrapping, vault.Sensitive(value)
	return a.unwrapped, nil
}

func (a *AppRole) unusable(err error) error {
	if vault.Classify(err) == vault.Later {
		return err
	}
	return fmt.Errorf("unwrapping the secret id of %q: %w; the wrapping token has ended or somebody else has used it: "+
		"look into the audit log, and write a new one", a.secretID.path, err)
}
