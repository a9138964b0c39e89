package system

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/password"
	"github.com/novatech/securevault/server/store"
)

// Passwords keeps password policies by name and makes passwords after them.
type Passwords struct {
	storage logical.Storage
}

// passwordRecord is a password policy at rest.
type passwordRecord struct {
	Policy string `json:"policy"` // as written by its author
}

// NewPasswords returns the password policies in storage.
func NewPasswords(storage logical.Storage) *Passwords { return &Passwords{storage: storage} }

// Generate makes a password after the named policy.
func (p *Passwords) Generate(ctx context.Context, name string) (string, error) {
	record, err := store.GetJSON[passwordRecord](ctx, p.storage, name)
	if err != nil {
		return "", err
	}
	if record == nil {
		return "", logical.CodedError(http.StatusBadRequest,
			fmt.Sprintf("password policy %q does not exist; write it to sys/policies/password/%s", name, name))
	}
	policy, err := password.Parse(record.Policy)
	if err != nil {
		return "", fmt.Errorf("password policy %q: %w", name, err)
	}
	return policy.Generate(ctx, rand.Reader)
}

func (b *backend) passwordPaths() []*framework.Path {
	name := endpoint.Text("Name of the password policy.")
	return []*framework.Path{
		endpoint.New("policies/password/?", "Lists the password policies.", nil, endpoint.Operations{
			logical.ListOperation: b.listPasswordPolicies,
		}),
		endpoint.New("policies/password/"+namePattern+"/generate", "Makes a password.", endpoint.Fields{
			"name": name,
		}, endpoint.Operations{
			logical.ReadOperation: b.generatePassword,
		}),
		endpoint.New("policies/password/"+namePattern, "Reads, writes or deletes a password policy.", endpoint.Fields{
			"name":   name,
			"policy": endpoint.Text("The policy: a length and rules, in HCL."),
		}, endpoint.Operations{
			logical.ReadOperation:   b.readPasswordPolicy,
			logical.UpdateOperation: b.writePasswordPolicy,
			logical.DeleteOperation: b.deletePasswordPolicy,
		}),
	}
}

func (b *backend) listPasswordPolicies(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.Passwords.storage.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("listing password policies: %w", err)
	}
	return logical.ListResponse(names), nil
}

func (b *backend) readPasswordPolicy(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	record, err := store.GetJSON[passwordRecord](ctx, b.Passwords.storage, d.Get("name").(string))
	if err != nil || record == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"policy": record.Policy}}, nil
}

func (b *backend) writePasswordPolicy(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name, policy := d.Get("name").(string), d.Get("policy").(string)
	if policy == "" {
		return logical.ErrorResponse("missing policy: send the text of the password policy in the field policy"), nil
	}
	if _, err := password.Parse(policy); err != nil {
		return logical.ErrorResponse("password policy %q: %v", name, err), nil
	}
	return nil, store.PutJSON(ctx, b.Passwords.storage, name, passwordRecord{Policy: policy})
}

func (b *backend) deletePasswordPolicy(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, b.Passwords.storage.Delete(ctx, d.Get("name").(string))
}

func (b *backend) generatePassword(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	made, err := b.Passwords.Generate(ctx, d.Get("name").(string))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"password": made}}, nil
}
