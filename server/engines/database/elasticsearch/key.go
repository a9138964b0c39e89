package elasticsearch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// keysPath is where API keys are made, found and invalidated.
const keysPath = "/_security/api_key"

// Issues lists the credential types whose secret the server makes.
func (d *Database) Issues() []string { return []string{apiKey} }

// Issue makes an API key of that name. It belongs to the admin and may do what
// both its descriptors and the admin may.
func (d *Database) Issue(ctx context.Context, kind, name string, req dbplugin.NewUserRequest) (data map[string]any, warnings []string, err error) {
	if kind != apiKey {
		return nil, nil, fault.New(fault.Refused, "credential_type %q is unknown to this database: use password or %s", kind, apiKey)
	}
	granted, err := decodeGrants(req.Statements.Commands, placeholders(name, req.Expiration))
	if err != nil {
		return nil, nil, err
	}
	descriptors, err := granted.forKey(name)
	if err != nil {
		return nil, nil, err
	}
	dialect, err := d.speak(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !dialect.keys {
		return nil, nil, fault.New(fault.Refused, "%s has no API keys: use credential_type=password", dialect.name)
	}
	made, err := d.makeKey(ctx, name, descriptors, granted.metadata, req.Expiration)
	if err != nil {
		return nil, nil, d.undo(ctx, err, name)
	}
	return map[string]any{"id": made.ID, "api_key": made.Key, "encoded": made.Encoded}, nil, nil
}

// issuedKey is the server's answer to the creation of a key.
type issuedKey struct {
	ID      string `json:"id"`
	Key     string `json:"api_key"`
	Encoded string `json:"encoded"` // id:key in base64, as the header Authorization: ApiKey takes it
}

// makeKey does not stop when ctx ends: a key that came after that would be found by
// nobody.
func (d *Database) makeKey(ctx context.Context, name string, descriptors map[string]json.RawMessage, metadata json.RawMessage, expiration time.Time) (issuedKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	body := map[string]any{
		"name":             name,
		"expiration":       fmt.Sprintf("%dms", max(time.Until(expiration), time.Second).Milliseconds()),
		"role_descriptors": descriptors,
	}
	if metadata != nil {
		body["metadata"] = metadata
	}
	var made issuedKey
	if err := d.client.do(ctx, "creating the API key", request{"POST", keysPath, body}, &made); err != nil {
		return issuedKey{}, err
	}
	if made.ID == "" || made.Key == "" {
		return issuedKey{}, fault.New(fault.Refused, "creating the API key: the answer lacks id or api_key: check url, is there a proxy in between?")
	}
	if made.Encoded == "" { // before 7.16
		made.Encoded = base64.StdEncoding.EncodeToString([]byte(made.ID + ":" + made.Key))
	}
	return made, nil
}
