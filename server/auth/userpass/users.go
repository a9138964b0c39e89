package userpass

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/crypto/bcrypt"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// maxCost bounds the cost of a hash that was made elsewhere. Each step doubles
// the time of a login, which anybody may try: this one takes seconds already.
const maxCost = 15

// user is what is kept about a user.
type user struct {
	tokenutil.TokenParams
	PasswordHash []byte `json:"password_hash"` // bcrypt
}

func newUsers() *record.Family[user, *user] {
	fields := endpoint.Fields{
		"password":      endpoint.Text("Password of the user."),
		"password_hash": endpoint.Text("Its bcrypt hash, instead of the password."),
		"policies":      {Type: framework.TypeCommaStringSlice, Description: tokenutil.DeprecationText("token_policies")},
		"ttl":           {Type: framework.TypeDurationSecond, Description: tokenutil.DeprecationText("token_ttl")},
		"max_ttl":       {Type: framework.TypeDurationSecond, Description: tokenutil.DeprecationText("token_max_ttl")},
	}
	tokenutil.AddTokenFields(fields)
	return &record.Family[user, *user]{
		Folder: "users", Name: "username", Pattern: framework.GenericNameRegex("username"),
		Synopsis: "Reads, writes or deletes a user.", Fields: fields,
	}
}

// Apply implements record.Record.
func (u *user) Apply(req *logical.Request, d *framework.FieldData) error {
	if err := u.ParseTokenFields(req, d); err != nil {
		return err
	}
	if policies, ok := d.GetOk("policies"); ok && d.Raw["token_policies"] == nil {
		u.TokenPolicies = policies.([]string)
	}
	if ttl, ok := d.GetOk("ttl"); ok && d.Raw["token_ttl"] == nil {
		u.TokenTTL = time.Duration(ttl.(int)) * time.Second
	}
	if ttl, ok := d.GetOk("max_ttl"); ok && d.Raw["token_max_ttl"] == nil {
		u.TokenMaxTTL = time.Duration(ttl.(int)) * time.Second
	}
	if err := u.setPassword(d); err != nil {
		return err
	}
	if len(u.PasswordHash) == 0 {
		return errors.New("missing password: a new user needs one")
	}
	return nil
}

// setPassword takes over the password that a request carries, if it does.
func (u *user) setPassword(d *framework.FieldData) error {
	password, hash := d.Get("password").(string), d.Get("password_hash").(string)
	switch {
	case password != "" && hash != "":
		return errors.New("password and password_hash exclude each other: send one of them")
	case hash != "":
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case err != nil:
			return errors.New("password_hash is no bcrypt hash: it looks like $2b$10$…")
		case cost > maxCost:
			return fmt.Errorf("password_hash has the cost %d: make it with one of at most %d", cost, maxCost)
		}
		u.PasswordHash = []byte(hash)
	case password != "":
		made, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
		if errors.Is(err, bcrypt.ErrPasswordTooLong) {
			return errors.New("password: bcrypt takes no more than 72 bytes; choose a shorter one")
		}
		if err != nil {
			return fmt.Errorf("hashing the password: %w", err)
		}
		u.PasswordHash = made
	}
	return nil
}

// Describe implements record.Record.
func (u *user) Describe() map[string]any {
	data := map[string]any{}
	u.PopulateTokenData(data)
	return data
}
