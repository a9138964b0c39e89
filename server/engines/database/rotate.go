package database

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

func (b *backend) rotateRootPath() *framework.Path {
	return actionPath("rotate-root/", "name", b.rotateRoot,
		"Changes the admin's own password to one that only this server knows.")
}

func (b *backend) resetPath() *framework.Path {
	return actionPath("reset/", "name", b.reset, "Closes the connection of a config; the next request opens it anew.")
}

func (b *backend) reloadPath() *framework.Path {
	return actionPath("reload/", "plugin_name", b.reload, "Closes the connections of every config that uses the plugin.")
}

// actionPath is a path that does something when it is written.
func actionPath(prefix, field string, act framework.OperationFunc, synopsis string) *framework.Path {
	return &framework.Path{
		Pattern: prefix + framework.GenericNameRegex(field),
		Fields: map[string]*framework.FieldSchema{
			field: {Type: framework.TypeString, Description: "What to act on."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{Callback: act},
		},
		HelpSynopsis: synopsis,
	}
}

func (b *backend) rotateRoot(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	conn := b.connections.get(name)
	if err := conn.lock(ctx); err != nil {
		return fail(err)
	}
	defer conn.unlock()
	// Opening settles what an earlier rotation may have left.
	current, err := b.openLocked(ctx, req.Storage, name, conn)
	if err != nil {
		return fail(err)
	}
	defer current.release()
	rotated, err := b.rotate(ctx, req.Storage, name, current)
	if err != nil {
		return fail(err)
	}
	conn.replace(rotated)
	return nil, nil
}

// rotate changes the password on the database and returns an instance that has
// logged in with the new one. The new password is stored as pending first: a
// crash at any point leaves both on record, and settle finds out which is real.
// One that is pending already is set again: the database may still be about to
// take it, and a third would let it be forgotten.
func (b *backend) rotate(ctx context.Context, storage logical.Storage, name string, current *instance) (*instance, error) {
	config, err := loadConfig(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, unknownConfig(name)
	}
	if err := config.rotatable(name); err != nil {
		return nil, err
	}
	inherited := config.PendingPassword != ""
	if !inherited {
		if config.PendingPassword, err = b.newPassword(ctx, config.PasswordPolicy); err != nil {
			return nil, err
		}
	}
	// From here on the two passwords must not part because a client hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	old, next := config.password(), config.PendingPassword
	if err := config.save(ctx, storage); err != nil {
		return nil, err
	}
	err = current.setOwnPassword(ctx, config)
	// What a database has refused it will not do later, but the same password may be
	// on its way from an earlier try.
	class := fault.ClassOf(err)
	refused := !inherited && (class == fault.Refused || class == fault.NoUser)
	if refused && len(config.RotationStatements) == 0 {
		return nil, b.keepOld(ctx, storage, config, old, scrubbed(err, old, next))
	}
	// Of several statements the first may have done it, whatever became of the last.
	settled, settleErr := b.settle(ctx, storage, name, config)
	if settleErr != nil || config.password() == next {
		return settled, settleErr
	}
	settled.release()
	switch {
	case err == nil:
		err = fault.New(fault.Refused, "the database still takes the old password of config %q: check root_rotation_statements", name)
		return nil, b.keepOld(ctx, storage, config, old, err)
	case refused:
		return nil, b.keepOld(ctx, storage, config, old, scrubbed(err, old, next))
	}
	return nil, scrubbed(err, old, next)
}

// setOwnPassword tells the database to give the admin the pending password.
func (i *instance) setOwnPassword(ctx context.Context, config *config) error {
	_, err := i.UpdateUser(ctx, dbplugin.UpdateUserRequest{
		Username:       config.detail("username"),
		CredentialType: dbplugin.CredentialTypePassword,
		Password: &dbplugin.ChangePassword{
			NewPassword: config.PendingPassword,
			Statements:  dbplugin.Statements{Commands: config.RotationStatements},
		},
	})
	return err
}

// keepOld ends a rotation that has failed for certain, and returns why.
func (b *backend) keepOld(ctx context.Context, storage logical.Storage, config *config, old string, why error) error {
	if err := config.withPassword(old).save(ctx, storage); err != nil {
		return err
	}
	return why
}

func (c *config) rotatable(name string) error {
	if c.detail("username") == "" || c.password() == "" {
		return fault.New(fault.Refused, "config %q has no username and password to rotate%s: write both to config/%s if the admin is to have a password", name, c.otherLogin(), name)
	}
	if url := c.detail("connection_url"); url != "" && !strings.Contains(url, "{{password}}") {
		return fault.New(fault.Refused, "connection_url of config %q does not use {{password}}, a rotated one would never be tried: write it as …://{{username}}:{{password}}@…", name)
	}
	return nil
}

// otherLogin names what the config logs in with in place of a password, where it
// can be told.
func (c *config) otherLogin() string {
	for _, field := range []string{"auth_type", "tls_certificate_key", "private_key", "service_account_json"} {
		if c.detail(field) != "" {
			return ", it logs in with " + field
		}
	}
	return ""
}

// settle ends a rotation, also one that a crash interrupted: whichever of the
// two passwords logs in becomes the stored one. While it is the old one, the new
// one stays pending: what a database has been sent, it may do when whoever sent it
// has long given up or died. If neither logs in, both stay.
func (b *backend) settle(ctx context.Context, storage logical.Storage, name string, config *config) (*instance, error) {
	secrets := []string{config.PendingPassword, config.password()}
	var failed error
	for _, candidate := range secrets {
		tried := config.withPassword(candidate)
		if candidate != config.PendingPassword {
			tried.PendingPassword = config.PendingPassword
		}
		opened, err := b.initialize(ctx, tried, true)
		if err != nil {
			failed = scrubbed(err, secrets...)
			continue
		}
		if err := tried.save(ctx, storage); err != nil {
			opened.release()
			return nil, err
		}
		*config = *tried
		return opened, nil
	}
	return nil, fault.New(fault.Later, "neither the old nor the new password of config %q logs in, both are kept: %s", name, failed)
}

// suspect closes an instance on which a call has failed while another password is
// pending: the database may have taken that one late. The next use finds out.
func (b *backend) suspect(ctx context.Context, storage logical.Storage, name string, used *instance, err error) {
	if class := fault.ClassOf(err); err == nil || class == fault.Refused || class == fault.NoUser {
		return
	}
	config, loadErr := loadLastConfig(context.WithoutCancel(ctx), storage, name)
	if loadErr == nil && config != nil && config.PendingPassword != "" {
		b.connections.get(name).discard(used)
	}
}

func (b *backend) reset(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	stored, err := loadConfig(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return fail(unknownConfig(name))
	}
	b.connections.get(name).replace(nil)
	return nil, nil
}

func (b *backend) reload(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	wanted := data.Get("plugin_name").(string)
	if _, err := b.plugin(wanted); err != nil {
		return fail(err)
	}
	names, err := req.Storage.List(ctx, configPrefix)
	if err != nil {
		return nil, err
	}
	closed := []string{}
	for _, name := range names {
		stored, err := loadConfig(ctx, req.Storage, name)
		if err != nil {
			return nil, err
		}
		if stored != nil && stored.PluginName == wanted {
			b.connections.get(name).replace(nil)
			closed = append(closed, name)
		}
	}
	return &logical.Response{Data: map[string]any{"connections": closed, "count": len(closed)}}, nil
}
