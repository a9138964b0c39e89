package database

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// settleLimit bounds how long a client waits for a rotation under way, to be told
// the new password.
const settleLimit = 5 * time.Second

func (b *backend) staticCredsPath() *framework.Path {
	return &framework.Path{
		Pattern: "static-creds/" + framework.GenericNameRegex("name"),
		Fields: map[string]*framework.FieldSchema{
			"name": {Type: framework.TypeString, Description: "Name of the static role."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{Callback: b.readStaticCreds},
		},
		HelpSynopsis: "Tells the password of a static role, and how many seconds (ttl) it has left.",
	}
}

func (b *backend) rotateRolePath() *framework.Path {
	return actionPath("rotate-role/", "name", b.rotateRole, "Changes the password of a static role now.")
}

func (b *backend) readStaticCreds(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	role, err := b.settled(ctx, req.Storage, name)
	if err != nil {
		return fail(err)
	}
	if _, err := b.configOf(ctx, req.Storage, name, role); err != nil {
		return fail(err)
	}
	if role.Password == "" {
		return refuse("static role %q has no password yet: write rotate-role/%s, or wait until %s%s",
			name, name, role.expected().Format(time.RFC3339), because(role.Failure))
	}
	left := max(time.Until(role.expected()), 0)
	answer := map[string]any{
		"username":            role.Username,
		"password":            role.Password,
		"ttl":                 int64(math.Ceil(left.Seconds())),
		"last_vault_rotation": role.Rotated,
	}
	role.timetable.shown(answer)
	response := &logical.Response{Data: answer}
	role.warn(response)
	return response, nil
}

func because(failure string) string {
	if failure == "" {
		return ""
	}
	return ": the last rotation failed: " + failure
}

// warn tells whoever asks about the role that it is not rotated.
func (r *staticRole) warn(response *logical.Response) {
	if r.Failures > 0 {
		response.AddWarning(fmt.Sprintf("the last rotation failed and is tried again at %s: %s",
			r.expected().Format(time.RFC3339), r.Failure))
	}
}

// settled returns a static role. If it has two passwords because a rotation is
// under way or was interrupted, that is ended first, if it can be.
func (b *backend) settled(ctx context.Context, storage logical.Storage, name string) (*staticRole, error) {
	role, err := needStatic(ctx, storage, name)
	if err != nil || role.Pending == "" {
		return role, err
	}
	waiting, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	done, err := b.turns.take(waiting, name)
	if err != nil { // what is stored is the best there is
		return role, nil
	}
	defer done()
	if role, err = needStatic(ctx, storage, name); err != nil {
		return nil, err
	}
	if role.Pending != "" && !role.due(time.Now()).After(time.Now()) {
		// Its failure is part of the role.
		_ = b.rotateStatic(context.WithoutCancel(ctx), storage, name, role)
	}
	return role, nil
}

func needStatic(ctx context.Context, storage logical.Storage, name string) (*staticRole, error) {
	role, err := loadStatic(ctx, storage, name)
	if err == nil && role == nil {
		err = fault.New(fault.Refused, "unknown static role %q: write static-roles/%s first", name, name)
	}
	return role, err
}

func (b *backend) rotateRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	done, err := b.turns.take(ctx, name)
	if err != nil {
		return fail(err)
	}
	defer done()
	role, err := needStatic(ctx, req.Storage, name)
	if err != nil {
		return fail(err)
	}
	// The two passwords must not part because a client hung up.
	return answered(b.rotateStatic(context.WithoutCancel(ctx), req.Storage, name, role))
}
